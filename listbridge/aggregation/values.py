"""Typed expressions, and how a value of one type reads as another.

An expression is null where the value is missing. Text is never empty: "" is missing too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from listbridge.aggregation.syntax import Literal
from listbridge.streams.schemas import FieldType

Type = FieldType
"""The type of a value; that of a `map` is a list of {k, v} of text."""

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
"""What Go's strconv.ParseBool takes."""

_DTYPES: Final = {"string": pl.String, "int": pl.Int64, "number": pl.Float64, "bool": pl.Boolean}


@dataclass(frozen=True)
class Value:
    """An expression over the events of a stream, null where it can't be evaluated."""

    expr: pl.Expr
    type: Type


def constant(literal: Literal) -> Value:
    """The literal as a value; empty text is missing."""
    types: dict[type, Type] = {str: "string", int: "int", float: "number", bool: "bool"}
    kind = types[type(literal.value)]
    return Value(pl.lit(None if literal.value == "" else literal.value, dtype=_DTYPES[kind]), kind)


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
    """The value as text: whole numbers in decimal, truth values as `true` and `false`."""
    if value.type == "string":
        return value.expr
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
