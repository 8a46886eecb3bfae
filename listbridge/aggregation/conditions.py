"""Conditions with missing values: true, false, or null for "can't be evaluated".

The rules are those of qlbridge: `vm/vm.go` for the operators, `value/coerce.go` for `eq()`.
"""

from __future__ import annotations

import fnmatch
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from listbridge.aggregation.distinct import on_distinct_pairs
from listbridge.aggregation.values import Value, as_bool, as_int, as_number, as_text, as_time

OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_OF_TEXT: Final = ("CONTAINS", "LIKE")
_NUMERIC: Final = ("int", "number")
_ORDERED: Final = (*_NUMERIC, "time")


def comparable(left: Value, operator_: str, right: Value) -> str | None:
    """Say what would be right if the two can't be compared, else None."""
    types = (left.type, right.type)
    if operator_ in _OF_TEXT and "map" not in types and right.type != "list":
        return None if operator_ == "CONTAINS" or left.type != "list" else "text before LIKE"
    for container in ("map", "list"):
        if container in types:
            return f"text, a number or a truth value, not a {container}"
    if "bool" in types and "time" in types:
        return "times, or text or a number beside a time"
    ordered = left.type in _ORDERED or right.type in _ORDERED
    if operator_ not in ("==", "!=") and not ordered:
        return "numbers or times (see todate) beside > >= < <="
    if left.type != right.type and "bool" in (left.type, right.type) and left.type != "string":
        return f"a {left.type} on the right too"
    return None


def holds_text(left: Value, operator_: str, right: Value) -> pl.Expr:
    """`left CONTAINS right` or `left LIKE right`, letter for letter; false with a side missing. Never null.

    A list contains its elements, text its parts. In a LIKE pattern `*` and `%` stand for any text and `?`
    for any one character; the pattern has to fit the whole text.
    """
    part = as_text(right)
    if operator_ == "LIKE":
        return on_distinct_pairs(_is_like, pl.Boolean, as_text(left), part).fill_null(False)
    if left.type == "list":
        return left.expr.list.contains(part).fill_null(False) & part.is_not_null()
    return as_text(left).str.contains(part, literal=True).fill_null(False)


def _is_like(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern.replace("%", "*").replace("[", "[[]"))


def compares(left: Value, operator_: str, right: Value) -> pl.Expr:
    """`left operator right` for values that are `comparable`.

    With a side missing it is false, but `!=` is true if only one is. Text that isn't the number it is
    compared with can't be evaluated on the right; on the left it is unlike every number.
    """
    if operator_ in _OF_TEXT:
        return holds_text(left, operator_, right)
    first, second = _alike(left, right)
    unlike = operator_ == "!="
    both = left.expr.is_not_null() & right.expr.is_not_null()
    one = left.expr.is_not_null() ^ right.expr.is_not_null()
    compared = OPERATORS[operator_](first, second)
    if left.type == "string" and right.type in _ORDERED:
        compared = compared.fill_null(unlike)
    elif left.type == "string" and right.type == "bool" and not unlike:
        compared = compared.fill_null(False)
    return pl.when(both).then(compared).otherwise(one if unlike else False)


def _alike(left: Value, right: Value) -> tuple[pl.Expr, pl.Expr]:
    if left.type == right.type:
        return left.expr, right.expr
    if right.type == "bool":
        return as_bool(left), right.expr
    if "time" in (left.type, right.type):
        return as_time(left), as_time(right)
    return as_number(left), as_number(right)


_CONVERSIONS: Final[dict[str, Callable[[Value], pl.Expr]]] = {
    "string": as_text,
    "int": as_int,
    "number": as_number,
    "bool": as_bool,
    "time": as_time,
    "list": lambda value: value.expr,
}


def equals(left: Value, right: Value) -> pl.Expr:
    """`eq(left, right)`: the right side read as the type of the left. Never null.

    Two missing values are equal; one missing value equals nothing; nor does what can't be converted.
    """
    converted = _CONVERSIONS[left.type](right)
    both_missing = left.expr.is_null() & right.expr.is_null()
    return both_missing | (left.expr == converted).fill_null(False)


def is_among(member: Value, choices: Sequence[Value]) -> pl.Expr:
    """`member IN (choices)`: equal to one of them as by `equals`; false for a missing member. Never null."""
    return member.expr.is_not_null() & pl.any_horizontal([equals(member, choice) for choice in choices])


def exists(operand: Value) -> pl.Expr:
    """`EXISTS operand`. Never null."""
    return operand.expr.is_not_null()


def both(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """`left AND right`: false if one side can't be evaluated, null if both can't."""
    known = left.is_not_null() | right.is_not_null()
    return pl.when(known).then(left.fill_null(False) & right.fill_null(False))


def either(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """`left OR right`: a side that can't be evaluated is passed over. Never null."""
    return left.fill_null(False) | right.fill_null(False)
