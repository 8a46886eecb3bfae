"""Comparisons and tests as functions, as in qlbridge `expr/builtins/logic.go`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from listbridge.aggregation.conditions import comparable, compares, equals
from listbridge.aggregation.signatures import COMPARABLE, WORDS, BadArgumentError, Function, Parameter
from listbridge.aggregation.values import Value

_PAIR: Final = (Parameter("left", WORDS), Parameter("right", WORDS))


def _eq(arguments: Sequence[Value]) -> Value:
    left, right = _matched(arguments)
    return Value(equals(left, right), "bool")


def _ne(arguments: Sequence[Value]) -> Value:
    left, right = _matched(arguments)
    return Value(~equals(left, right), "bool")


def _matched(arguments: Sequence[Value]) -> Sequence[Value]:
    if "list" in {argument.type for argument in arguments} and arguments[0].type != arguments[1].type:
        raise BadArgumentError(1, f"{arguments[1].type} beside {arguments[0].type}", arguments[0].type)
    return arguments


def _ordered(operator: str) -> Callable[[Sequence[Value]], Value]:
    def built(arguments: Sequence[Value]) -> Value:
        left, right = arguments
        if wanted := comparable(left, operator, right):
            raise BadArgumentError(0, f"{left.type} {operator} {right.type}", wanted)
        there = left.expr.is_not_null() & right.expr.is_not_null()
        return Value(pl.when(there).then(compares(left, operator, right)), "bool")

    return built


def _any(arguments: Sequence[Value]) -> Value:
    return Value(pl.any_horizontal([argument.expr.is_not_null() for argument in arguments]), "bool")


def _all(arguments: Sequence[Value]) -> Value:
    there = [
        argument.expr.fill_null(False) if argument.type == "bool" else argument.expr.is_not_null()
        for argument in arguments
    ]
    return Value(pl.all_horizontal(there), "bool")


def _order(operator: str, meaning: str, *examples: tuple[str, bool | None]) -> Function:
    numbers = (Parameter("left", COMPARABLE), Parameter("right", COMPARABLE))
    return Function(numbers, _ordered(operator), f"Whether the left is {meaning} the right.", examples)


LOGIC_FUNCTIONS: Final[dict[str, Function]] = {
    "eq": Function(
        _PAIR,
        _eq,
        "Whether the two are equal, the right read as the type of the left; two missing values are equal.",
        (('eq(event, "open")', True), ("eq(city, 5)", False), ("eq(eq(city, 5), false)", True)),
    ),
    "ne": Function(
        _PAIR,
        _ne,
        "Whether the two differ: what `eq` is not.",
        (("ne(5, 6)", True), ('ne("open", event)', False), ('ne("hello", city)', True)),
    ),
    "gt": _order(">", "greater than", ('gt(5, "3")', True), ("gt(toint(city), 0)", None)),
    "ge": _order(">=", "greater than or equal to", ("ge(5.5, 3)", True), ("ge(5, 6)", False)),
    "lt": _order("<", "less than", ("lt(5, 5)", False), ('lt(todate("2014-01-01"), epochms())', True)),
    "le": _order("<=", "less than or equal to", ("le(5, 5)", True), ('le(5, "3")', False)),
    "any": Function(
        (Parameter("value", (*WORDS, "map")),),
        _any,
        "Whether one of the values is there.",
        (("any(city, event)", True), ("any(city)", False)),
        variadic=True,
    ),
    "all": Function(
        (Parameter("value", (*WORDS, "map")),),
        _all,
        "Whether all values are there and none is false.",
        (("all(event, true)", True), ("all(event, city)", False), ("all(event, false)", False)),
        variadic=True,
    ),
}
