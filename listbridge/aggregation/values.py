"""Typed expressions, and how a value of one type reads as another.

An expression is null where the value is missing. Text is never empty: "" is missing too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from listbridge.aggregation import syntax
from listbridge.aggregation.distinct import on_distinct
from listbridge.aggregation.times import parse_time
from listbridge.streams.schemas import FieldType

Type = FieldType | Literal["time", "list"]
"""The type of a value: a `map` is a list of {k, v} of text, a `list` one of text, a `time` epoch ms."""

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
"""What Go's strconv.ParseBool takes."""

_DTYPES: Final = {"string": pl.String, "int": pl.Int64, "number": pl.Float64, "bool": pl.Boolean}


@dataclass(frozen=True)
class Value:
    """An expression over the events of a stream, null where it can't be evaluated."""

    expr: pl.Expr
    type: Type
    literal: str | int | float | bool | None = None
    """What stands in the mapping itself, if that is where the value comes from."""


def constant(literal: syntax.Literal) -> Value:
    """The literal as a value; empty text is missing."""
    types: dict[type, Type] = {str: "string", int: "int", float: "number", bool: "bool"}
    kind = types[type(literal.value)]
    if isinstance(literal.value, int) and not -(2**63) <= literal.value < 2**63:
        kind = "number"
    expr = pl.lit(None if literal.value == "" else literal.value, dtype=_DTYPES[kind])
    return Value(expr, kind, literal.value)


def field(name: str, kind: Type) -> pl.Expr:
    """The column of a stream's field with everything that counts as missing made null."""
    column = pl.col(name)
    match kind:
        case "string":
            return pl.when(column != "").then(column).alias(name)
        case "number":
            # Adding 0.0 turns -0.0, which equals 0.0 and would be latest or not by chance, into 0.0.
            return pl.when(column.is_finite()).then(column + 0.0).alias(name)
        case "map":
            return pl.when(column.list.len() > 0).then(column).alias(name)
        case _:
            return column


def as_text(value: Value) -> pl.Expr:
    """The value as text: numbers in decimal, truth values as `true` and `false`, times as RFC 3339.

    A list is read as its first element.
    """
    match value.type:
        case "string":
            return value.expr
        case "list":
            return value.expr.list.first()
        case "time":
            return pl.from_epoch(value.expr, time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    text = value.expr.cast(pl.String)
    return text.str.strip_suffix(".0") if value.type == "number" else text


def as_number(value: Value) -> pl.Expr:
    """The value as Float64, null where text isn't a number; truth values are 0 and 1."""
    return value.expr.cast(pl.Float64, strict=False)


def as_int(value: Value) -> pl.Expr:
    """The value as Int64, decimals cut off, null where text isn't a number or it doesn't fit."""
    whole = value.expr.cast(pl.Int64, strict=False)
    return (
        pl.coalesce(whole, as_number(value).cast(pl.Int64, strict=False)) if value.type == "string" else whole
    )


def as_bool(value: Value) -> pl.Expr:
    """The value as a truth value, null where text or a number isn't one."""
    if value.type == "bool":
        return value.expr
    if value.type == "string":
        return pl.when(value.expr.is_in(_TRUE)).then(True).when(value.expr.is_in(_FALSE)).then(False)
    return pl.when(value.expr == 1).then(True).when(value.expr == 0).then(False)


_parsed: Final = on_distinct(parse_time, pl.Int64)


def as_time(value: Value) -> pl.Expr:
    """The value as epoch milliseconds: text as `parse_time` reads it, numbers by their digits."""
    return value.expr if value.type == "time" else _parsed(as_text(value))
