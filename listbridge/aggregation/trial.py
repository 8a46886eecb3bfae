"""Try a mapping on one event: what each column makes of it, or why it adds nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping as Event
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from listbridge.aggregation import values
from listbridge.aggregation.columns import Contribution
from listbridge.aggregation.errors import nearest
from listbridge.aggregation.expressions import compile_condition
from listbridge.aggregation.frames import columns as frame_columns
from listbridge.aggregation.partials import view
from listbridge.aggregation.programs import compile_program
from listbridge.aggregation.reduction import reduce
from listbridge.aggregation.syntax import Expression, Mapping, canonical
from listbridge.streams.schemas import SCHEMAS, FieldType

KEY: Final = "someone"
_PYTHON: Final[dict[FieldType, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "map": (dict,),
}


class UnfitEventError(ValueError):
    """The event isn't one of the mapping's stream: correct the field that the message names."""


@dataclass(frozen=True)
class Outcome:
    """What a column made of the event: a value as a profile shows it, or None and the reason."""

    field: str
    value: Any
    skipped: str


def try_event(mapping: Mapping, event: Event[str, Any]) -> list[Outcome]:
    """Evaluate each column of a mapping for one event, given as JSON values by field.

    `_time` and `_received` may be given in epoch milliseconds; without them it is now. Raises
    MappingError for a wrong mapping and UnfitEventError for a field or value that its stream can't have.
    """
    program = compile_program([mapping])
    stream = mapping.stream.text
    frame = _frame(stream, event)
    partial = reduce(frame, program, stream).get(KEY, {})
    outcomes = []
    for name, contribution in program.contributions[stream]:
        number = program.fields[name].number
        reason = _reason(frame, contribution, mapping.where, stream)
        shown = view(program, {number: partial[number]}) if not reason and number in partial else {}
        outcomes.append(Outcome(name, shown.get(name), reason))
    return outcomes


def _reason(frame: pl.DataFrame, contribution: Contribution, where: Expression | None, stream: str) -> str:
    schema = SCHEMAS[stream]
    fields = [values.field(name, kind) for name, kind in schema.items()]
    events = frame.select("_time", *fields)
    for word, condition in (("WHERE", where), ("IF", contribution.column.condition)):
        if condition is not None:
            held = events.select(x=compile_condition(condition, schema))["x"].item(0)
            if held is not True:
                is_ = "can't be evaluated" if held is None else "is false"
                return f"{word} {canonical(condition)} {is_}"
    key = contribution.key
    added = events.select("_time", v=contribution.value.expr, k=pl.lit(True) if key is None else key.expr)
    if added["v"].null_count() or added["k"].null_count():
        missing = sorted(name for name in contribution.reads if events[name].null_count())
        because = f": {', '.join(missing)} missing" if missing else ""
        return f"{canonical(contribution.column.expression)} has no value{because}"
    return ""


def _frame(stream: str, event: Event[str, Any]) -> pl.DataFrame:
    now = time.time_ns() // 1_000_000
    row: dict[str, Any] = {"_key": KEY, "_time": now, "_received": now}
    schema: dict[str, FieldType] = {**SCHEMAS[stream], "_time": "int", "_received": "int"}
    for name, value in event.items():
        if name not in schema:
            raise UnfitEventError(f"{stream} has no field `{name}`; expected {nearest(name, schema)}")
        row[name] = row.get(name) if value is None else _cell(name, value, schema[name])
    return pl.DataFrame([row], schema=frame_columns(stream))


def _cell(name: str, value: Any, kind: FieldType) -> Any:
    fits = isinstance(value, _PYTHON[kind]) and (kind == "bool" or not isinstance(value, bool))
    if kind == "map":
        fits = fits and all(isinstance(one, str) for one in value.values())
    if kind == "int":
        fits = fits and -(2**63) <= value < 2**63
    if not fits:
        wanted = "an object of text" if kind == "map" else f"a value of type {kind}"
        raise UnfitEventError(f"`{name}` holds {value!r}; expected {wanted}")
    if kind == "map":
        return [{"k": key, "v": one} for key, one in value.items()]
    return float(value) if kind == "number" else value
