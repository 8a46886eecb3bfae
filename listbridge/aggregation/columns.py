"""What one column of a mapping contributes: its kind, its operation and its checked expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from listbridge.aggregation import values
from listbridge.aggregation.conditions import exists
from listbridge.aggregation.errors import nearest
from listbridge.aggregation.expressions import (
    AGGREGATES,
    check_arity,
    compile_condition,
    compile_expression,
    described,
    error,
    fields_read,
)
from listbridge.aggregation.kinds import FITTING, KINDS, Container, Element, Kind, fitted
from listbridge.aggregation.operations import Fold, Operation
from listbridge.aggregation.syntax import Call, Column, Expression, canonical
from listbridge.aggregation.values import Type, Value
from listbridge.streams.schemas import Schema

MERGE_OPERATIONS: Final[dict[Container, dict[str, Fold]]] = {
    "scalar": {
        "latest": "latest",
        "oldest": "oldest",
        "max": "max",
        "min": "min",
        "sum": "sum",
        "count": "sum",
    },
    "set": {"merge": "union"},
    "map": {
        "merge": "latest",
        "latestmap": "latest",
        "oldestmap": "oldest",
        "mapmax": "max",
        "mapmin": "min",
        "sum": "sum",
    },
}
"""MERGEOP by what the kind contains. A map's `latest` (only the last event's keys) has no place here:
it is not a function of the keys alone."""


@dataclass(frozen=True)
class Contribution:
    """What a column adds to a profile field for each event of its stream.

    `value` is null where the event adds nothing. A mapped operation takes its key from `key`, or, where
    that is None, `value` is a list of {k, v}. `type` is the type of the (fitted) value, `text` the
    canonical text of everything that decides what is added.
    """

    column: Column
    kind: Kind
    operation: Operation
    type: Type
    value: pl.Expr
    key: pl.Expr | None
    reads: frozenset[str]
    text: str


@dataclass(frozen=True)
class _Draft:
    """An expression's aggregate before KIND and MERGEOP are looked at; the first element is the default."""

    container: Container
    elements: tuple[Element, ...]
    fold: Fold
    value: Value
    key: pl.Expr | None = None
    aggregate: bool = True


def compile_column(column: Column, where: Expression | None, schema: Schema) -> Contribution:
    """Check one column against the stream's schema.

    Raises MappingError for unknown names, a KIND or MERGEOP that doesn't fit, or misplaced functions.
    """
    draft = _draft(column.expression, schema)
    kind = _kind(column, draft)
    operation = Operation(_fold(column, draft, kind), mapped=draft.container == "map")
    clauses = {"IF": column.condition, "WHERE": where}
    conditions = {word: condition for word, condition in clauses.items() if condition is not None}
    guards = [compile_condition(condition, schema) for condition in conditions.values()]
    texts = [f"{word} {canonical(condition)}" for word, condition in conditions.items()]
    value = draft.value.expr if draft.value.type == "map" else fitted(draft.value, kind.element)
    return Contribution(
        column=column,
        kind=kind,
        operation=operation,
        type="string" if kind.element == "string" else draft.value.type,
        value=_guarded(value, guards),
        key=draft.key,
        reads=frozenset().union(*map(fields_read, (column.expression, *conditions.values()))),
        text=" ".join([canonical(column.expression), *texts]),
    )


def _guarded(value: pl.Expr, guards: list[pl.Expr]) -> pl.Expr:
    for guard in guards:
        value = pl.when(guard).then(value)
    return value


def _draft(expression: Expression, schema: Schema) -> _Draft:
    if isinstance(expression, Call) and expression.function in AGGREGATES:
        return _aggregate(expression, schema)
    value = compile_expression(expression, schema)
    if value.type == "map":
        return _Draft("map", ("string",), "latest", value, aggregate=False)
    elements = tuple(element for element in FITTING[value.type] if element != "intsum")
    return _Draft("scalar", elements, "latest", value, aggregate=False)


def _aggregate(call: Call, schema: Schema) -> _Draft:
    check_arity(call, 2 if call.function == "map" else 1)
    arguments = [compile_expression(argument, schema) for argument in call.arguments]
    first = arguments[0]
    match call.function:
        case "count":
            return _Draft("scalar", ("int", "number"), "sum", _one_if_present(first))
        case "max" | "min":
            _require(call, 0, first, ("int", "number"))
            elements: tuple[Element, ...] = ("int", "number", "date") if first.type == "int" else ("number",)
            return _Draft("scalar", elements, "max" if call.function == "max" else "min", first)
        case "set":
            _require(call, 0, first, ("string", "int", "bool"))
            return _Draft("set", ("string",), "union", first)
        case "valuect":
            _require(call, 0, first, ("string", "int", "bool"))
            return _Draft("map", ("intsum",), "sum", _one_if_present(first), values.as_text(first))
        case _:
            _require(call, 0, first, ("string", "int", "bool"))
            _require(call, 1, arguments[1], ("string", "int", "number", "bool"))
            return _Draft("map", FITTING[arguments[1].type], "latest", arguments[1], values.as_text(first))


def _one_if_present(value: Value) -> Value:
    return Value(pl.when(exists(value)).then(pl.lit(1, dtype=pl.Int64)), "int")


def _require(call: Call, position: int, argument: Value, types: tuple[Type, ...]) -> None:
    if argument.type not in types:
        part = call.arguments[position]
        raise error(part.place, described(part, argument.type), f"an argument of type {' or '.join(types)}")


def _kind(column: Column, draft: _Draft) -> Kind:
    fitting = [
        kind
        for kind in KINDS.values()
        if kind.container == draft.container and kind.element in draft.elements
    ]
    if column.kind is None:
        return next(kind for kind in fitting if kind.element == draft.elements[0])
    kind = KINDS.get(column.kind.text)
    if kind is None:
        raise error(
            column.kind.place, f"an unknown KIND `{column.kind.text}`", nearest(column.kind.text, KINDS)
        )
    if kind not in fitting:
        found = f"KIND {kind.name}, which doesn't fit {canonical(column.expression)}"
        raise error(column.kind.place, found, "KIND " + " or ".join(each.name for each in fitting))
    return kind


def _fold(column: Column, draft: _Draft, kind: Kind) -> Fold:
    allowed = _folds(draft, kind)
    if column.merge_operation is None:
        return allowed[0]
    word = column.merge_operation.text
    known = MERGE_OPERATIONS[draft.container]
    fold = known.get(word)
    if fold is None or fold not in allowed:
        right = [each for each, meant in known.items() if meant in allowed]
        found = f"MERGEOP {word} for {canonical(column.expression)} of KIND {kind.name}"
        raise error(column.merge_operation.place, found, "MERGEOP " + " or ".join(right))
    return fold


def _folds(draft: _Draft, kind: Kind) -> list[Fold]:
    """The folds that fit, the one that holds without MERGEOP first."""
    if kind.element == "intsum":
        return ["sum"]
    if draft.aggregate and draft.container != "map":
        return [draft.fold]
    folds: list[Fold] = ["latest", "oldest"]
    if kind.element in ("int", "number", "date"):
        folds += ["max", "min"]
    if kind.element in ("int", "number") and draft.value.type == "int":
        folds.append("sum")
    return folds
