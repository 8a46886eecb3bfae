"""From the text of a mapping to its parse tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from listbridge.aggregation.errors import MappingError
from listbridge.aggregation.syntax import (
    ALIASES,
    Call,
    Capacity,
    Column,
    Comparison,
    Existence,
    Expression,
    Field,
    Junction,
    Literal,
    Mapping,
    Membership,
    Name,
    Negation,
    Place,
    first_field,
)

DEFAULT_NAME_PREFIXES: Final = {"count": "ct", "valuect": "cts"}
"""How a column without AS is called, by its function: `ct_event`; others take the function's own name."""

_TERMINALS: Final = {
    "STRING": "text in double quotes",
    "NUMBER": "a number",
    "NAME": "a name",
    "QUOTED_NAME": "a name in back-ticks",
    "FUNCTION": "a function",
    "CAST": "a function",
    "KIND_NAME": "a kind such as string or map[string]intsum",
    "OPERATOR": "an operator (== != > >= < <=)",
    "CAPACITY": "a whole number from 1",
    "COMMA": "`,`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "SEMICOLON": "`;`",
    "$END": "the end",
}


def parse(text: str, source: str = "<mapping>") -> Mapping:
    """Parse one SELECT statement; `source` names it in errors.

    Only the form is checked here, the meaning (fields, functions, kinds) by `compile_program`.
    Raises MappingError with line, column and what would be right.
    """
    try:
        tree = _grammar().parse(text)
        return cast(Mapping, _Builder(source).transform(tree))
    except UnexpectedInput as error:
        raise _syntax_error(error, text, source) from None
    except VisitError as error:
        raise error.orig_exc from None


@cache
def _grammar() -> Lark:
    grammar = resources.files(__package__).joinpath("mapping.lark").read_text("utf-8")
    return Lark(grammar, start="mapping", parser="lalr", maybe_placeholders=True, propagate_positions=True)


def _syntax_error(error: UnexpectedInput, text: str, source: str) -> MappingError:
    if isinstance(error, UnexpectedToken):
        expected = error.accepts or error.expected
        at_end = error.token.type == "$END"
        found = "the end of the text" if at_end else f"`{error.token}`"
    elif isinstance(error, UnexpectedCharacters):
        expected, at_end = error.allowed or set(), False
        found = f"`{_word_at(text, error.pos_in_stream or 0)}`"
    else:
        expected, at_end, found = set(cast(UnexpectedEOF, error).expected), True, "the end of the text"
    line, column = _end(text) if at_end else (error.line, error.column)
    return MappingError(source, line, column, found, _readable(expected))


def _word_at(text: str, position: int) -> str:
    return re.split(r"[\s,()]", text[position:], maxsplit=1)[0] or text[position]


def _end(text: str) -> tuple[int, int]:
    lines = text.rstrip().split("\n")
    return len(lines), len(lines[-1]) + 1


def _readable(terminals: set[str]) -> str:
    names = sorted({_TERMINALS.get(terminal, terminal.lstrip("_")) for terminal in terminals})
    return " or ".join(names) if len(names) < 3 else "one of " + ", ".join(names)


@dataclass(frozen=True)
class _Where:
    condition: Expression


class _Builder(Transformer[Token, Any]):
    """Makes the nodes of `syntax` from lark's tree, from the leaves up."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def _place(self, token: Token) -> Place:
        return Place(self._source, token.line or 1, token.column or 1)

    def mapping(self, parts: list[Any]) -> Mapping:
        wheres = [part.condition for part in parts if isinstance(part, _Where)]
        if len(wheres) > 1:
            raise _error(wheres[1].place, "a second WHERE", "one WHERE at most")
        columns, stream, table, by, alias = (part for part in parts if not isinstance(part, _Where))
        return Mapping(self._source, columns, stream, table, by, next(iter(wheres), None), alias or stream)

    @v_args(inline=True)
    def where(self, condition: Expression) -> _Where:
        return _Where(condition)

    def columns(self, parts: list[Column]) -> tuple[Column, ...]:
        return tuple(parts)

    def identities(self, parts: list[Name]) -> tuple[Name, ...]:
        return tuple(parts)

    def column(self, parts: list[Any]) -> Column:
        expression, *clauses = parts
        given: dict[str, Any] = {}
        for clause, place, value in clauses:
            if clause in given:
                raise _error(place, f"a second {clause}", f"one {clause} a column")
            given[clause] = value
        return Column(
            place=expression.place,
            expression=expression,
            name=given.get("AS") or _default_name(expression),
            condition=given.get("IF"),
            kind=given.get("KIND"),
            merge_operation=given.get("MERGEOP"),
            capacity=given.get("CAP"),
            shortdesc=given.get("SHORTDESC", ""),
            longdesc=given.get("LONGDESC", ""),
        )

    @v_args(inline=True)
    def as_clause(self, name: Name) -> tuple[str, Place, Name]:
        return "AS", name.place, name

    @v_args(inline=True)
    def if_clause(self, condition: Expression) -> tuple[str, Place, Expression]:
        return "IF", condition.place, condition

    @v_args(inline=True)
    def shortdesc_clause(self, text: Token) -> tuple[str, Place, str]:
        return "SHORTDESC", self._place(text), _unquoted(text)

    @v_args(inline=True)
    def longdesc_clause(self, text: Token) -> tuple[str, Place, str]:
        return "LONGDESC", self._place(text), _unquoted(text)

    @v_args(inline=True)
    def kind_clause(self, kind: Token) -> tuple[str, Place, Name]:
        return "KIND", self._place(kind), Name(self._place(kind), kind.lower())

    @v_args(inline=True)
    def mergeop_clause(self, operation: Token) -> tuple[str, Place, Name]:
        return "MERGEOP", self._place(operation), Name(self._place(operation), operation.lower())

    @v_args(inline=True)
    def cap_clause(self, capacity: Token) -> tuple[str, Place, Capacity]:
        return "CAP", self._place(capacity), Capacity(self._place(capacity), int(capacity))

    @v_args(inline=True)
    def disjunction(self, left: Expression, right: Expression) -> Junction:
        return Junction(left.place, "OR", left, right)

    @v_args(inline=True)
    def conjunction(self, left: Expression, right: Expression) -> Junction:
        return Junction(left.place, "AND", left, right)

    @v_args(inline=True)
    def negation(self, word: Token, operand: Expression) -> Negation:
        return Negation(self._place(word), operand)

    @v_args(inline=True)
    def comparison(self, left: Expression, operator: Token, right: Expression) -> Comparison:
        return Comparison(left.place, "==" if operator == "=" else operator.upper(), left, right)

    @v_args(inline=True)
    def membership(self, member: Expression, *choices: Literal) -> Membership:
        return Membership(member.place, member, choices)

    @v_args(inline=True)
    def exclusion(self, member: Expression, _word: Token, *choices: Literal) -> Negation:
        return Negation(member.place, Membership(member.place, member, choices))

    @v_args(inline=True)
    def existence(self, word: Token, operand: Expression) -> Existence:
        return Existence(self._place(word), operand)

    @v_args(inline=True)
    def field(self, name: Name) -> Field:
        return Field(name.place, name.text)

    @v_args(inline=True)
    def call(self, function: Token, *arguments: Expression | None) -> Call:
        name = function.lower()
        given = tuple(argument for argument in arguments if argument is not None)
        return Call(self._place(function), ALIASES.get(name, name), given)

    @v_args(inline=True)
    def typed_call(self, function: Token, argument: Expression, kind: Name) -> Call:
        return Call(self._place(function), "cast", (argument, Literal(kind.place, kind.text)))

    @v_args(inline=True)
    def string(self, text: Token) -> Literal:
        return Literal(self._place(text), _unquoted(text))

    @v_args(inline=True)
    def number(self, digits: Token) -> Literal:
        return Literal(self._place(digits), float(digits) if "." in digits else int(digits))

    @v_args(inline=True)
    def true(self, word: Token) -> Literal:
        return Literal(self._place(word), True)

    @v_args(inline=True)
    def false(self, word: Token) -> Literal:
        return Literal(self._place(word), False)

    @v_args(inline=True)
    def name(self, token: Token) -> Name:
        return Name(self._place(token), token.strip("`"))


def _default_name(expression: Expression) -> Name:
    field = first_field(expression)
    if isinstance(expression, Field):
        return Name(expression.place, expression.name)
    if isinstance(expression, Call) and field is not None:
        prefix = DEFAULT_NAME_PREFIXES.get(expression.function, expression.function.replace(".", "_"))
        return Name(expression.place, f"{prefix}_{field}")
    raise _error(expression.place, "a column without a name", "AS and a name after the expression")


def _unquoted(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])


def _error(place: Place, found: str, expected: str) -> MappingError:
    return MappingError(place.source, place.line, place.column, found, expected)
