"""Functions of text and of lists of text, as in qlbridge `expr/builtins/string.go` and `list_map.go`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from listbridge.aggregation.addresses import MAX_ADDRESS_BYTES, PLAIN_ADDRESS, email, email_domain
from listbridge.aggregation.distinct import on_distinct, on_distinct_pairs
from listbridge.aggregation.signatures import (
    MAP,
    TEXT,
    WORDS,
    BadArgumentError,
    Function,
    Parameter,
    of_text,
    present,
)
from listbridge.aggregation.values import Value, as_number, as_text

LONGEST_RESULT: Final = 65_536
_SPACE: Final = " \n\t\r"
_email: Final = on_distinct(email, pl.String)
_email_domain: Final = on_distinct(email_domain, pl.String)


def _is_plain(address: pl.Expr) -> pl.Expr:
    return address.str.contains(PLAIN_ADDRESS) & (address.str.len_bytes() <= MAX_ADDRESS_BYTES)


def _emails(text: pl.Expr) -> pl.Expr:
    plain = _is_plain(text)
    return pl.when(plain).then(text.str.to_lowercase()).otherwise(_email(pl.when(~plain).then(text)))


def _email_domains(text: pl.Expr) -> pl.Expr:
    plain = _is_plain(text)
    domain = text.str.to_lowercase().str.extract("@(.*)$")
    return pl.when(plain).then(domain).otherwise(_email_domain(pl.when(~plain).then(text)))


def _filled(words: pl.Expr) -> pl.Expr:
    """A list without empty text, missing when nothing is left."""
    kept = words.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != "")))
    return pl.when(kept.list.len() > 0).then(kept)


def _strip(arguments: Sequence[Value]) -> Value:
    value = arguments[0]
    if value.type == "list":
        return Value(_filled(value.expr.list.eval(pl.element().str.strip_chars(_SPACE))), "list")
    return Value(present(as_text(value).str.strip_chars(_SPACE)), "string")


def _split(arguments: Sequence[Value]) -> Value:
    text, separator = map(as_text, arguments)
    return Value(_filled(text.str.split(separator)), "list")


def _join(arguments: Sequence[Value]) -> Value:
    *parts, separator = arguments
    words = [part.expr if part.type == "list" else pl.concat_list(as_text(part)) for part in parts]
    filled = [each.fill_null(pl.lit([], dtype=pl.List(pl.String))) for each in words]
    together = _filled(pl.concat_list(filled))
    between = pl.lit("") if separator.literal == "" else as_text(separator)
    return Value(together.list.join(between), "string")


def _replace(arguments: Sequence[Value]) -> Value:
    text, old = (as_text(argument) for argument in arguments[:2])
    new = as_text(arguments[2]).fill_null("") if len(arguments) == 3 else pl.lit("")
    return Value(present(on_distinct_pairs(_replaced, pl.String, text, old, new)), "string")


def _replaced(text: str, old: str, new: str) -> str | None:
    """None where the result would be longer than `LONGEST_RESULT`: one event may not fill the memory."""
    if len(text) + text.count(old) * len(new) > LONGEST_RESULT:
        return None
    return text.replace(old, new)


def _contains(arguments: Sequence[Value]) -> Value:
    text, part = map(as_text, arguments)
    return Value(text.str.contains(part, literal=True).fill_null(False), "bool")


def _tests(test: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[Sequence[Value]], Value]:
    return lambda arguments: Value(test(as_text(arguments[0]), as_text(arguments[1])), "bool")


def _oneof(arguments: Sequence[Value]) -> Value:
    types = {argument.type for argument in arguments}
    if len(types) == 1:
        return Value(pl.coalesce([argument.expr for argument in arguments]), arguments[0].type)
    if types == {"int", "number"}:
        return Value(pl.coalesce(map(as_number, arguments)), "number")
    if "map" in types:
        position = next(index for index, each in enumerate(arguments) if each.type != arguments[0].type)
        raise BadArgumentError(
            position, f"{arguments[position].type} beside {arguments[0].type}", "maps alone"
        )
    return Value(pl.coalesce(map(as_text, arguments)), "string")


def _of_map(part: str) -> Callable[[Sequence[Value]], Value]:
    def built(arguments: Sequence[Value]) -> Value:
        words = arguments[0].expr.list.eval(pl.element().struct.field(part))
        return Value(_filled(words).list.unique().list.sort(), "list")

    return built


_TEXT: Final = Parameter("text")

TEXT_FUNCTIONS: Final[dict[str, Function]] = {
    "email": of_text(
        _emails,
        "The one e-mail address that the text holds, in lower case and without a display name.",
        ('email("Bob <Bob@Bob.com>")', "bob@bob.com"),
        ('email("Bob <bob>")', None),
        types=TEXT,
    ),
    "emaildomain": of_text(
        _email_domains,
        "What follows the first `@` of the address, in lower case.",
        ('emaildomain("Bob<bob@Gmail.com>")', "gmail.com"),
        types=TEXT,
    ),
    "tolower": of_text(
        lambda text: text.str.to_lowercase(), "The text in lower case.", ('tolower("Apple")', "apple")
    ),
    "toupper": of_text(
        lambda text: text.str.to_uppercase(), "The text in upper case.", ('toupper("Apple")', "APPLE")
    ),
    "strip": Function(
        (Parameter("text"),),
        _strip,
        "The text, or each text of a list, without the spaces and line ends around it.",
        (('strip(" apples ")', "apples"), ('strip(split("apples, oranges ", ","))', ["apples", "oranges"])),
    ),
    "split": Function(
        (_TEXT, Parameter("separator")),
        _split,
        "The list of the texts between the separators; empty ones are left out.",
        (('split("apples,oranges", ",")', ["apples", "oranges"]), ('split("apples", ",")', ["apples"])),
    ),
    "join": Function(
        (Parameter("part"), Parameter("separator")),
        _join,
        "All parts but the last argument, which is put between them; what is missing or empty is left out.",
        (
            ('join("apple", event, "oranges", "--")', "apple--open--oranges"),
            ('join("apple", "", "peach", ",")', "apple,peach"),
            ('join(split("a b", " "), "")', "ab"),
            ('join("", ",")', None),
        ),
        variadic=True,
        shown="part, …, separator",
    ),
    "replace": Function(
        (_TEXT, Parameter("old"), Parameter("new")),
        _replace,
        "The text with every `old` in it replaced by `new`, or removed; nothing if that is over 65,536 long.",
        (
            ('replace("M20:30", "M")', "20:30"),
            ('replace("M20:30", "M", "Hour ")', "Hour 20:30"),
            ('replace("/search/for+stuff", "/search/")', "for+stuff"),
        ),
        optional=1,
    ),
    "contains": Function(
        (_TEXT, Parameter("part")),
        _contains,
        "Whether the text holds the part, letter for letter; false where one of them is missing.",
        (
            ('contains("5tem", 5)', True),
            ('contains("the-item", event)', False),
            ('contains(city, "x")', False),
        ),
    ),
    "hasprefix": Function(
        (_TEXT, Parameter("start")),
        _tests(lambda text, start: text.str.starts_with(start)),
        "Whether the text begins with `start`.",
        (
            ('hasprefix("apples", "ap")', True),
            ('hasprefix("apples", "o")', False),
            ('hasprefix(city, "x")', None),
        ),
    ),
    "hassuffix": Function(
        (_TEXT, Parameter("end")),
        _tests(lambda text, end: text.str.ends_with(end)),
        "Whether the text ends with `end`.",
        (('hassuffix("apples", "es")', True), ('hassuffix("apples", "e")', False)),
    ),
    "oneof": Function(
        (Parameter("value", (*WORDS, "map")),),
        _oneof,
        "The first of the values that is there; as text if they are of several types, numbers as numbers.",
        (('oneof(city, "oranges")', "oranges"), ("oneof(event, city)", "open"), ('oneof(city, 5, "x")', "5")),
        variadic=True,
    ),
    "mapkeys": Function(
        (Parameter("map", MAP),),
        _of_map("k"),
        "The keys of a map, as a sorted list.",
        (("mapkeys(custom_fields)", ["plan", "size"]),),
    ),
    "mapvalues": Function(
        (Parameter("map", MAP),),
        _of_map("v"),
        "The distinct values of a map, as a sorted list.",
        (("mapvalues(custom_fields)", ["gold", "xl"]),),
    ),
}
