"""Reduce: from the events of a stream, as columns, to one partial for each person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import polars as pl

from listbridge.aggregation import values
from listbridge.aggregation.columns import Contribution
from listbridge.aggregation.operations import Fold, Operation, total
from listbridge.aggregation.partials import Partial, merge_into
from listbridge.aggregation.programs import Program
from listbridge.aggregation.values import Type
from listbridge.streams.schemas import SCHEMAS

META: Final = ("_person", "_time", "_received")


def reduce(frame: pl.DataFrame, program: Program, stream: str) -> dict[str, Partial]:
    """Reduce a batch of one stream's events to one partial for each person, by key.

    The frame has the stream's fields, `_key` (never null), and `_time` and `_received` in epoch
    milliseconds. The result does not depend on the order of rows. Whoever gets nothing is left out.
    """
    contributions = program.contributions[stream]
    if frame.is_empty() or not contributions:
        return {}
    people = frame["_key"].unique()
    evaluated = _evaluate(frame, people, [contribution for _, contribution in contributions], stream)
    slots = [_Slot(index, identifier, each) for index, (identifier, each) in enumerate(contributions)]
    first, *others = (_reduce_layer(evaluated, layer, len(people)) for layer in _layers(slots))
    for layer in others:
        for partial, other in zip(first, layer, strict=True):
            merge_into(program, partial, other)
    return {key: partial for key, partial in zip(people.to_list(), first, strict=True) if partial}


@dataclass(frozen=True)
class _Slot:
    """A contribution with its place among the evaluated columns: `v<index>` and, with a key, `k<index>`."""

    index: int
    id: str
    contribution: Contribution

    @property
    def value(self) -> str:
        return f"v{self.index}"

    @property
    def key(self) -> str | None:
        return None if self.contribution.key is None else f"k{self.index}"


def _evaluate(
    frame: pl.DataFrame, people: pl.Series, contributions: Sequence[Contribution], stream: str
) -> pl.DataFrame:
    """The contributions' values for each event; `_person` is the position of its key in `people`."""
    schema = SCHEMAS[stream]
    read = sorted(frozenset().union(*(contribution.reads for contribution in contributions)))
    person = pl.col("_key").cast(pl.Enum(people)).to_physical().alias("_person")
    events = frame.select(person, "_time", "_received", *(values.field(name, schema[name]) for name in read))
    value_columns = [each.value.alias(f"v{index}") for index, each in enumerate(contributions)]
    key_columns = [
        each.key.alias(f"k{index}") for index, each in enumerate(contributions) if each.key is not None
    ]
    return events.select(*META, *value_columns, *key_columns)


def _layers(slots: Sequence[_Slot]) -> list[list[_Slot]]:
    """Split so that in each layer every field has one column at most."""
    layers: list[list[_Slot]] = []
    for slot in slots:
        for layer in layers:
            if all(slot.id != other.id for other in layer):
                layer.append(slot)
                break
        else:
            layers.append([slot])
    return layers


def _reduce_layer(evaluated: pl.DataFrame, slots: Sequence[_Slot], people: int) -> list[Partial]:
    partials: list[Partial] = [{} for _ in range(people)]
    for slot in slots:
        if slot.contribution.operation.whole:
            _add_whole(partials, evaluated, slot)
    slots = [slot for slot in slots if not slot.contribution.operation.whole]
    wide = [slot for slot in slots if not _is_long(slot.contribution.operation)]
    if wide:
        _add_wide(partials, evaluated, wide)
    long = sorted((slot for slot in slots if _is_long(slot.contribution.operation)), key=_shape)
    for _, group in groupby(long, key=_shape):
        _add_long(partials, evaluated, list(group))
    return partials


def _is_long(operation: Operation) -> bool:
    return operation.mapped or operation.timed


def _shape(slot: _Slot) -> tuple[bool, Fold, Type]:
    operation = slot.contribution.operation
    return operation.mapped, operation.fold, slot.contribution.type


def _add_wide(partials: Sequence[Partial], evaluated: pl.DataFrame, slots: Sequence[_Slot]) -> None:
    """Add the states that are one number or one set a person."""
    folded = evaluated.group_by("_person").agg(_wide(slot) for slot in slots)
    owners = [partials[person] for person in folded["_person"].to_list()]
    for slot in slots:
        for partial, state in zip(owners, folded[slot.value].to_list(), strict=True):
            if state is not None and state != []:
                partial[slot.id] = total(state) if slot.contribution.operation.fold == "total" else state


def _add_whole(partials: Sequence[Partial], evaluated: pl.DataFrame, slot: _Slot) -> None:
    """Add the states that are the list or map of one event: the greatest or least of those at its times."""
    greatest = slot.contribution.operation.fold == "latest"
    value, when = pl.col(slot.value), pl.struct("_time", "_received")
    rows = evaluated.select(*META, value.alias("_v")).drop_nulls("_v")
    edge = (when.sort(descending=greatest).first()).over("_person")
    for person, time, received, held in rows.filter(when == edge).rows():
        state = [time, received, _in_order(held)]
        other = partials[person].setdefault(slot.id, state)
        partials[person][slot.id] = max(other, state) if greatest else min(other, state)


def _in_order(held: list[Any]) -> list[Any]:
    """The list sorted, or the map (a list of {k, v}) as sorted [key, value] pairs, the last of a key."""
    if isinstance(held[0], dict):
        return [list(pair) for pair in sorted({entry["k"]: entry["v"] for entry in held}.items())]
    return sorted(set(held))


def _wide(slot: _Slot) -> pl.Expr:
    column = pl.col(slot.value)
    match slot.contribution.operation.fold:
        case "union":
            values_ = column.explode() if slot.contribution.type == "list" else column
            return values_.drop_nulls().unique().sort()
        case "sum":
            return pl.when(column.count() > 0).then(column.sum()).alias(slot.value)
        case "total":
            return column.drop_nulls()
        case "max":
            return column.max()
        case _:
            return column.min()


def _add_long(partials: Sequence[Partial], evaluated: pl.DataFrame, slots: Sequence[_Slot]) -> None:
    """Add the states of columns of one shape that keep times or keys: a row for each value, then folded."""
    operation = slots[0].contribution.operation
    by = ["_person", "_slot", *(["_k"] if operation.mapped else [])]
    folded = _fold(pl.concat([_rows(evaluated, slot) for slot in slots]), by, operation.fold)
    ids = {slot.index: slot.id for slot in slots}
    places = zip(folded["_person"].to_list(), folded["_slot"].to_list(), strict=True)
    states = _states(folded, operation)
    if operation.mapped:
        for (person, slot), key, state in zip(places, folded["_k"].to_list(), states, strict=True):
            partials[person].setdefault(ids[slot], {})[key] = state
    else:
        for (person, slot), state in zip(places, states, strict=True):
            partials[person][ids[slot]] = state


def _states(folded: pl.DataFrame, operation: Operation) -> list[Any]:
    found = folded["_v"].to_list()
    if operation.fold == "total":
        return [total(numbers) for numbers in found]
    if not operation.timed:
        return found
    times = folded["_time"].to_list(), folded["_received"].to_list()
    return [[time, received, value] for time, received, value in zip(*times, found, strict=True)]


def _rows(evaluated: pl.DataFrame, slot: _Slot) -> pl.DataFrame:
    """`_key, _time, _received, _slot, (_k,) _v`, without the events that add nothing."""
    mark = pl.lit(slot.index, dtype=pl.Int64).alias("_slot")
    value = pl.col(slot.value)
    if not slot.contribution.operation.mapped:
        return evaluated.select(*META, mark, value.alias("_v")).drop_nulls("_v")
    if slot.key is not None:
        pairs = evaluated.select(*META, mark, pl.col(slot.key).alias("_k"), value.alias("_v"))
        if pairs.schema["_k"] == pl.List:
            pairs = pairs.drop_nulls("_k").explode("_k")
        return pairs.drop_nulls(["_k", "_v"])
    entries = evaluated.select(*META, mark, value.alias("_entry")).drop_nulls("_entry").explode("_entry")
    entry = pl.col("_entry").struct
    pairs = entries.select(*META, "_slot", entry.field("k").alias("_k"), entry.field("v").alias("_v"))
    return pairs.filter((pl.col("_k") != "") & (pl.col("_v") != ""))


def _fold(rows: pl.DataFrame, by: Iterable[str], fold: Fold) -> pl.DataFrame:
    if fold in ("latest", "oldest"):
        ordered = rows.sort("_time", "_received", "_v")
        return ordered.unique(list(by), keep="last" if fold == "latest" else "first")
    column = pl.col("_v")
    return rows.group_by(by).agg(
        {"sum": column.sum(), "total": column, "max": column.max(), "min": column.min()}[fold]
    )
