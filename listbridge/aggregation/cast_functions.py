"""Functions that read a value as another type: `expr/builtins/cast.go`, `value/coerce.go` of qlbridge."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from listbridge.aggregation.distinct import on_distinct
from listbridge.aggregation.signatures import WORDS, BadArgumentError, Function, Parameter
from listbridge.aggregation.values import Type, Value, as_bool, as_number, as_text, as_time

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECORATION: Final = str.maketrans("", "", "$,£€ ")
_INT64: Final = range(-(2**63), 2**63)


def number_in(text: str) -> float | None:
    """Return the number that the text holds, signs of money, commas and spaces aside, or None."""
    for written in (text, text.translate(_DECORATION)):
        if _DECIMAL.fullmatch(written):
            number = float(written) + 0.0
            return number if math.isfinite(number) else None
    return None


def whole_number_in(text: str) -> int | None:
    """Return the number that the text holds as `number_in` reads it, decimals cut off, or None."""
    for written in (text, text.translate(_DECORATION)):
        if _WHOLE.fullmatch(written):
            return _fitting(int(written)) if len(written) < 32 else None
        if "." in written and (number := number_in(written)) is not None:
            return _fitting(int(number))
    return None


def _fitting(number: int) -> int | None:
    return number if number in _INT64 else None


_whole: Final = on_distinct(whole_number_in, pl.Int64)
_number: Final = on_distinct(number_in, pl.Float64)


def _to_int(value: Value) -> Value:
    if value.type in ("string", "list"):
        return Value(_whole(as_text(value)), "int")
    return Value(value.expr.cast(pl.Int64, strict=False), "int")


def _to_number(value: Value) -> Value:
    if value.type in ("string", "list"):
        return Value(_number(as_text(value)), "number")
    return Value(as_number(value), "number")


def _to_bool(value: Value) -> Value:
    return Value(as_bool(Value(as_text(value), "string") if value.type == "list" else value), "bool")


def _to_text(value: Value) -> Value:
    return Value(as_text(value), "string")


def _to_time(value: Value) -> Value:
    return Value(as_time(value), "time")


CASTS: Final[dict[str, Callable[[Value], Value]]] = {
    "string": _to_text,
    "int": _to_int,
    "number": _to_number,
    "bool": _to_bool,
    "time": _to_time,
    "date": _to_time,
}


def _cast(arguments: Sequence[Value]) -> Value:
    wanted = arguments[1].literal
    cast = CASTS.get(str(wanted).lower())
    if cast is None:
        raise BadArgumentError(1, f'the type "{wanted}"', "one of " + ", ".join(CASTS))
    return cast(arguments[0])


def _one(build: Callable[[Value], Value]) -> Callable[[Sequence[Value]], Value]:
    return lambda arguments: build(arguments[0])


_VALUE: Final = Parameter("value")
_NUMBERS: Final[tuple[Type, ...]] = tuple(each for each in WORDS if each != "bool")

CAST_FUNCTIONS: Final[dict[str, Function]] = {
    "toint": Function(
        (Parameter("value", _NUMBERS),),
        _one(_to_int),
        "The whole number, decimals cut off; signs of money and commas are passed over. A time is in epoch"
        " milliseconds.",
        (
            ('toint("5")', 5),
            ('toint("$ 5.22")', 5),
            ('toint("€ 5,555.00")', 5555),
            ("toint(5555.05)", 5555),
            ('toint("hello")', None),
        ),
    ),
    "tonumber": Function(
        (_VALUE,),
        _one(_to_number),
        "The number; signs of money and commas are passed over. Truth values are 0 and 1.",
        (('tonumber("$5.56")', 5.56), ('tonumber("5,555.00")', 5555.0), ('tonumber("hello")', None)),
    ),
    "tobool": Function(
        (_VALUE,),
        _one(_to_bool),
        "The truth value: `1`, `t`, `true` and `0`, `f`, `false`, as `true`, `True` or `TRUE`.",
        (('tobool("true")', True), ("tobool(0)", False), ('tobool("yes")', None)),
    ),
    "cast": Function(
        (_VALUE, Parameter("type", ("string",), constant=True)),
        _cast,
        "The value as string, int, number, bool or time (also date).",
        (
            ('cast("22" AS int)', 22),
            ('cast("10/13/2014", "time")', 1413158400000),
            ('cast(5, "string")', "5"),
        ),
        shown="value AS type",
    ),
}
