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

_STORED_TYPES: Final[dict[Element, Type]] = {"string": "string", "date": "int"}
"""What values become, whatever they were, when they are stored as an element."""

_UNION: Final = Operation("union")
_SEEN: Final = Operation("max", mapped=True)
_SUMS: Final = (Operation("sum"), Operation("total"))
_WHOLE: Final = {fold: (Operation(fold, whole=True),) for fold in ("latest", "oldest")}

MERGE_OPERATIONS: Final[dict[Container, dict[str, tuple[Operation, ...]]]] = {
    "scalar": {
        "latest": (Operation("latest"),),
        "oldest": (Operation("oldest"),),
        "max": (Operation("max"),),
        "min": (Operation("min"),),
        "sum": _SUMS,
        "count": (Operation("sum"),),
    },
    "set": {"merge": (_UNION,), "capped": (_UNION,), **_WHOLE},
    "seen": {"merge": (_SEEN,), "capped": (_SEEN,)},
    "map": {
        "merge": (Operation("latest", mapped=True),),
        "latestmap": (Operation("latest", mapped=True),),
        "oldestmap": (Operation("oldest", mapped=True),),
        "mapmax": (Operation("max", mapped=True),),
        "mapmin": (Operation("min", mapped=True),),
        "sum": (Operation("sum", mapped=True), Operation("total", mapped=True)),
        **_WHOLE,
    },
}
"""MERGEOP by what the kind contains, and the operations that it can mean."""


@dataclass(frozen=True)
class Contribution:
    """What a column adds to a profile field for each event of its stream.

    `value` is null where the event adds nothing, and it adds nothing unless every one of `guards` (WHERE
    and IF, each with its canonical text) is true. A mapped operation takes its key from `key`, or, where
    that is None, `value` is a list of {k, v}. `counts` is true when `value` is 1 wherever it isn't null.
    `text` is the canonical text of everything that decides what is added.
    """

    column: Column
    kind: Kind
    operation: Operation
    value: Value
    key: Value | None
    guards: tuple[tuple[str, pl.Expr], ...]
    counts: bool
    reads: frozenset[str]
    text: str

    @property
    def expressions(self) -> list[pl.Expr]:
        """Everything that is evaluated."""
        guards = [guard for _, guard in self.guards]
        return [self.value.expr, *([] if self.key is None else [self.key.expr]), *guards]

    @property
    def capacity(self) -> int | None:
        """How many values are shown (CAP), if not all."""
        return None if self.column.capacity is None else self.column.capacity.count


@dataclass(frozen=True)
class _Draft:
    """An expression's aggregate before KIND and MERGEOP are looked at; the first element is the default."""

    containers: tuple[Container, ...]
    elements: tuple[Element, ...]
    fold: Fold
    value: Value
    key: Value | None = None
    aggregate: bool = True


def compile_column(column: Column, where: Expression | None, schema: Schema) -> Contribution:
    """Check one column against the stream's schema.

    Raises MappingError for unknown names, a KIND or MERGEOP that doesn't fit, or misplaced functions.
    """
    draft = _draft(column, schema)
    kind = _kind(column, draft)
    operation = _operation(column, draft, kind)
    _check_capacity(column, kind)
    clauses = {"IF": column.condition, "WHERE": where}
    conditions = {word: condition for word, condition in clauses.items() if condition is not None}
    texts = [f"{word} {canonical(condition)}" for word, condition in conditions.items()]
    return Contribution(
        column=column,
        kind=kind,
        operation=operation,
        value=_stored(draft, kind, operation),
        key=draft.value if kind.container == "seen" else None if operation.whole else draft.key,
        guards=tuple(
            (canonical(condition), compile_condition(condition, schema)) for condition in conditions.values()
        ),
        counts=draft.fold == "sum",
        reads=frozenset().union(*map(fields_read, (column.expression, *conditions.values()))),
        text=" ".join([canonical(column.expression), *texts]),
    )


def _stored(draft: _Draft, kind: Kind, operation: Operation) -> Value:
    """The value as the operation takes it."""
    if kind.container == "seen":
        return Value(pl.when(draft.value.expr.is_not_null()).then(pl.col("_time")), "int")
    if draft.value.type == "map" and operation.whole:
        return Value(_filled(draft.value.expr), "map")
    if draft.value.type in ("map", "list"):
        return draft.value
    one = Value(fitted(draft.value, kind.element), _STORED_TYPES.get(kind.element, draft.value.type))
    if not operation.whole:
        return one
    if draft.key is None:
        return Value(pl.when(one.expr.is_not_null()).then(pl.concat_list(one.expr)), "list")
    entry = pl.concat_list(pl.struct(values.as_text(draft.key).alias("k"), one.expr.alias("v")))
    return Value(pl.when(draft.key.expr.is_not_null() & one.expr.is_not_null()).then(entry), "map")


def _filled(entries: pl.Expr) -> pl.Expr:
    """The map without empty keys and values, missing when nothing is left."""
    key, value = (pl.element().struct.field(name) for name in "kv")
    kept = entries.list.eval(pl.element().filter((key != "") & (value != "")))
    return pl.when(kept.list.len() > 0).then(kept)


def _check_capacity(column: Column, kind: Kind) -> None:
    operation = column.merge_operation
    if column.capacity is None:
        if operation is not None and operation.text == "capped":
            raise error(operation.place, "MERGEOP capped without CAP", "CAP and how many values to show")
    elif kind.container == "scalar":
        raise error(column.capacity.place, f"CAP for KIND {kind.name}", "CAP with a set or a map")


def _draft(column: Column, schema: Schema) -> _Draft:
    expression = column.expression
    if isinstance(expression, Call) and expression.function in AGGREGATES:
        return _aggregate(expression, schema)
    value = compile_expression(expression, schema)
    if column.merge_operation is not None and column.merge_operation.text == "count":
        return _Draft(("scalar",), ("int", "number"), "sum", _one_if_present(value))
    if value.type == "map":
        return _Draft(("map",), ("string",), "latest", value, aggregate=False)
    if value.type == "list":
        return _Draft(("set", "seen"), ("string",), "union", value, aggregate=False)
    elements = tuple(element for element in FITTING[value.type] if element != "intsum")
    return _Draft(("scalar",), elements, "latest", value, aggregate=False)


def _aggregate(call: Call, schema: Schema) -> _Draft:
    check_arity(call, 2 if call.function == "map" else 1)
    arguments = [compile_expression(argument, schema) for argument in call.arguments]
    first = arguments[0]
    match call.function:
        case "count":
            return _Draft(("scalar",), ("int", "number"), "sum", _one_if_present(first))
        case "max" | "min":
            _require(call, 0, first, ("int", "number", "time"))
            elements = tuple(each for each in FITTING[first.type] if each not in ("string", "intsum"))
            return _Draft(("scalar",), elements, "max" if call.function == "max" else "min", first)
        case "set":
            _require(call, 0, first, ("string", "int", "bool", "time", "list"))
            return _set(first)
        case "valuect":
            _require(call, 0, first, ("string", "int", "bool"))
            return _Draft(("map",), ("intsum",), "sum", _one_if_present(first), first)
        case _:
            _require(call, 0, first, ("string", "int", "bool"))
            _require(call, 1, arguments[1], ("string", "int", "number", "bool", "time"))
            elements = FITTING[arguments[1].type]
            return _Draft(("map",), elements, "latest", arguments[1], first)


def _set(value: Value) -> _Draft:
    if value.type == "time":
        return _Draft(("set",), ("date",), "union", value)
    if value.type == "int":
        return _Draft(("set",), ("string", "date"), "union", value)
    text = value if value.type == "list" else Value(values.as_text(value), "string")
    return _Draft(("set", "seen"), ("string",), "union", text)


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
        if kind.container in draft.containers and kind.element in draft.elements
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


def _operation(column: Column, draft: _Draft, kind: Kind) -> Operation:
    allowed = _operations(draft, kind)
    if column.merge_operation is None:
        return allowed[0]
    word = column.merge_operation.text
    known = MERGE_OPERATIONS[kind.container]
    meant = [operation for operation in known.get(word, ()) if operation in allowed]
    if not meant:
        right = [each for each, several in known.items() if set(several) & set(allowed)]
        if kind.container == "scalar" and not draft.aggregate:
            right.append("count")
        found = f"MERGEOP {word} for {canonical(column.expression)} of KIND {kind.name}"
        raise error(column.merge_operation.place, found, "MERGEOP " + " or ".join(right))
    return meant[0]


def _operations(draft: _Draft, kind: Kind) -> list[Operation]:
    """The operations that fit, the one that holds without MERGEOP first."""
    mapped = kind.container == "map"
    if kind.container == "seen":
        return [_SEEN]
    if kind.container == "set":
        return [
            _UNION,
            *(each for several in _WHOLE.values() for each in several if kind.element == "string"),
        ]
    if kind.element == "intsum":
        return [Operation("sum" if draft.fold == "sum" else "total", mapped)]
    if draft.aggregate and not mapped:
        return [Operation(draft.fold)]
    operations = [Operation("latest", mapped), Operation("oldest", mapped)]
    if kind.element in ("int", "number", "date"):
        operations += [Operation("max", mapped), Operation("min", mapped)]
    if kind.element in ("int", "number") and draft.value.type in ("int", "number"):
        operations.append(Operation("total", mapped))
    if mapped:
        operations += [each for several in _WHOLE.values() for each in several]
    return operations
