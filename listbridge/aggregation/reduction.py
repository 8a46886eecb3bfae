"""Reduce: from the events of a stream, as columns, to one partial for each person.

All of the work on events is done on columns of small numbers: a person and a value are packed into one
integer, so that counting, collecting and finding the latest are a sort or a group-by of integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import polars as pl

from listbridge.aggregation import values
from listbridge.aggregation.columns import Contribution
from listbridge.aggregation.evaluation import CODE, ENGINE, Batch, Coded, Gaps, Guards, Rows, coded
from listbridge.aggregation.operations import Fold, total
from listbridge.aggregation.partials import Partial
from listbridge.aggregation.programs import Program

_HIGH: Final = pl.UInt64
_SHIFT: Final = 1 << 32


@dataclass(frozen=True)
class Slot:
    """A contribution with the number of the field that it adds to."""

    number: int
    contribution: Contribution


@dataclass(frozen=True)
class States:
    """The states that one column adds, as columns: a row for each person, or for each person and value.

    `person` is sorted. `key` (for maps) and `value` are coded or plain; `times` holds when the event
    happened and when it was received, where that is kept.
    """

    slot: Slot
    person: pl.Series
    value: Coded | pl.Series
    key: Coded | None = None
    times: tuple[pl.Series, pl.Series] | None = None

    def listed(self) -> tuple[list[int], list[Any]]:
        """The people, each once, and the state of each, as `operations` describes states."""
        found = _plain(self.value)
        operation = self.slot.contribution.operation
        if operation.fold == "total":
            found = [total(numbers) for numbers in found]
        elif self.times is not None:
            times, received = (column.to_list() for column in self.times)
            found = [list(state) for state in zip(times, received, found, strict=True)]
        if self.key is not None:
            keys = _plain(self.key)
            people, edges = _runs(self.person)
            return people, [dict(zip(keys[a:b], found[a:b], strict=True)) for a, b in edges]
        if operation.fold == "union":
            people, edges = _runs(self.person)
            return people, [found[a:b] for a, b in edges]
        return self.person.to_list(), found


@dataclass(frozen=True)
class Reduced:
    """What a batch adds up to, still as columns. `newest` is each person's newest event time (epoch ms)."""

    stream: str
    people: pl.Series
    newest: pl.Series
    states: list[States]
    whole: list[tuple[Slot, dict[int, Any]]]
    gaps: list[Gaps]

    def skips(self, group: Callable[[str], int]) -> dict[int, dict[int, int]]:
        """How many events the columns of each field skipped (they applied and had nothing to add, or
        their guards can't be evaluated), by the group of the event's person and by the field's number.

        An event that two columns of a field skip counts twice."""
        if not self.gaps:
            return {}
        groups = pl.Series([group(key) for key in self.people.to_list()], dtype=pl.Int64)
        total: dict[int, dict[int, int]] = {}
        for gaps in self.gaps:
            for name, counts in gaps.counts(groups).items():
                held = total.setdefault(name, {})
                for number, count in counts.items():
                    held[number] = held.get(number, 0) + count
        return total

    def partials(self, program: Program) -> dict[str, Partial]:
        """One partial for each person, by key; whoever gets nothing is left out."""
        people = self.people.to_list()
        partials: list[Partial] = [{} for _ in people]
        self.add_to(program, partials)
        return {key: partial for key, partial in zip(people, partials, strict=True) if partial}

    def add_to(self, program: Program, targets: Sequence[Partial]) -> None:
        """Add to each person's partial (in the order of `people`), which is changed in place."""
        for slot, people, states in self._columns():
            number, absorb = slot.number, program.absorbs[slot.number]
            for person, state in zip(people, states, strict=True):
                target = targets[person]
                held = target.get(number)
                target[number] = state if held is None else absorb(held, state)

    def _columns(self) -> Iterator[tuple[Slot, list[int], list[Any]]]:
        for states in self.states:
            yield states.slot, *states.listed()
        for slot, found in self.whole:
            yield slot, list(found), list(found.values())


def reduce(frame: pl.DataFrame, program: Program, stream: str) -> dict[str, Partial]:
    """Reduce a batch of one stream's events to one partial for each person, by key.

    The frame has the stream's fields, `_key` (never null), and `_time` and `_received` in epoch
    milliseconds. The result does not depend on the order of rows. Whoever gets nothing is left out.
    """
    if frame.is_empty() or not program.contributions[stream]:
        return {}
    return reduce_columns(frame, program, stream).partials(program)


def reduce_columns(frame: pl.DataFrame, program: Program, stream: str) -> Reduced:
    """What `reduce` does, as far as columns go."""
    slots = [Slot(program.fields[name].number, each) for name, each in program.contributions[stream]]
    batch = Batch(frame, stream, program)
    guards = Guards(batch, dict(guard for slot in slots for guard in slot.contribution.guards))
    states: list[States] = []
    whole: list[tuple[Slot, dict[int, Any]]] = []
    gaps: list[Gaps] = []
    by_guards: dict[tuple[str, ...], list[Slot]] = {}
    for slot in slots:
        names = tuple(sorted({text for text, _ in slot.contribution.guards}))
        by_guards.setdefault(names, []).append(slot)
    for names, group in by_guards.items():
        rows = Rows(batch, guards.hold(names))
        if len(rows):
            states += _reduce(rows, [slot for slot in group if not slot.contribution.operation.whole])
            whole += [(slot, _whole(rows, slot)) for slot in group if slot.contribution.operation.whole]
        for found in (rows.gaps, guards.undecided(names, [slot.number for slot in group])):
            if found is not None:
                gaps.append(found)
    newest = pl.DataFrame([batch.person.alias("p"), batch.events["_time"]]).group_by("p").agg(pl.all().max())
    return Reduced(stream, batch.people, newest.sort("p")["_time"], states, whole, gaps)


def _reduce(rows: Rows, slots: Sequence[Slot]) -> Iterator[States]:
    single = [slot for slot in slots if _is_single(slot)]
    if single:
        yield from _single(rows, single)
    for slot in slots:
        operation = slot.contribution.operation
        if operation.fold == "union":
            yield _union(rows, slot)
        elif operation.mapped:
            yield _mapped(rows, slot)
        elif operation.timed:
            found = rows.coded(slot.contribution.value.expr)
            codes = rows.note(slot.number, found.codes)
            person, codes, times = _edges(rows.person, codes, rows.times, operation.fold)
            yield States(slot, person, Coded(codes, found.vocabulary), times=times)


def _is_single(slot: Slot) -> bool:
    operation = slot.contribution.operation
    return not operation.mapped and not operation.timed and operation.fold != "union"


def _single(rows: Rows, slots: Sequence[Slot]) -> Iterator[States]:
    """The states that are one number a person: one group-by for all of them."""
    columns: list[pl.Series] = [rows.person.alias("p")]
    aggregates: list[pl.Expr] = []
    for index, slot in enumerate(slots):
        column = pl.col(name := f"v{index}")
        columns.append(rows.note(slot.number, rows.series(slot.contribution.value.expr)).alias(name))
        match slot.contribution.operation.fold:
            case "sum":
                aggregates.append(column.count().alias(name))
            case "total":
                aggregates.append(column.drop_nulls())
            case "max":
                aggregates.append(column.max())
            case _:
                aggregates.append(column.min())
    folded = pl.DataFrame(columns).group_by("p").agg(aggregates).sort("p")
    for index, slot in enumerate(slots):
        person, states = _some(folded["p"], folded[f"v{index}"], slot.contribution.operation.fold)
        yield States(slot, person, states)


def _edges(
    group: pl.Series, codes: pl.Series, times: tuple[pl.Series, pl.Series], fold: Fold
) -> tuple[pl.Series, pl.Series, tuple[pl.Series, pl.Series]]:
    """Of each group the latest or oldest of (time, received, code): group, code and times, by group.

    Most events are ruled out by their time alone; only what is left is sorted.
    """
    time, received = times
    frame = pl.DataFrame([group.alias("g"), codes.alias("c"), time.alias("t"), received.alias("r")])
    events = frame.lazy().filter(pl.col("g").is_not_null() & pl.col("c").is_not_null())
    latest = fold == "latest"
    edge = pl.col("t").max() if latest else pl.col("t").min()
    found = events.filter(pl.col("t") == edge.over("g")).collect(engine=ENGINE)
    if found["g"].n_unique() < found.height:
        found = found.sort("g", "r", "c").unique("g", keep="last" if latest else "first", maintain_order=True)
    elif not found["g"].is_sorted():
        found = found.sort("g")
    return found["g"], found["c"], (found["t"], found["r"])


def _union(rows: Rows, slot: Slot) -> States:
    """The distinct values of each person, in order."""
    person, found = _listed(rows, slot)
    pairs = _present(_packed(person, found.codes).unique().sort())
    person, codes = _unpacked(pairs)
    return States(slot, person, Coded(codes, found.vocabulary))


def _mapped(rows: Rows, slot: Slot) -> States:
    """A value for each person and key: a group-by of the two as one number."""
    operation = slot.contribution.operation
    person, key, value, times = _entries(rows, slot)
    pairs = _packed(person, key.codes)
    if operation.fold == "sum":
        counted = _present(pairs.filter(value.is_not_null()).sort()).rle().struct.unnest()
        person, keys = _unpacked(counted["value"])
        return States(slot, person, counted["len"].cast(pl.Int64), key=Coded(keys, key.vocabulary))
    if operation.timed:
        found = coded(value)
        pairs, codes, times = _edges(pairs, found.codes, times, operation.fold)
        person, keys = _unpacked(pairs)
        return States(
            slot, person, Coded(codes, found.vocabulary), key=Coded(keys, key.vocabulary), times=times
        )
    frame = pl.DataFrame([pairs.alias("pk"), value.alias("v")]).drop_nulls()
    column = pl.col("v")
    aggregate = {"total": column, "max": column.max(), "min": column.min()}[operation.fold]
    folded = frame.group_by("pk").agg(aggregate).sort("pk")
    person, keys = _unpacked(folded["pk"])
    return States(slot, person, folded["v"], key=Coded(keys, key.vocabulary))


def _entries(rows: Rows, slot: Slot) -> tuple[pl.Series, Coded, pl.Series, tuple[pl.Series, pl.Series]]:
    """Person, key, value and times of every entry that the rows add to a map."""
    contribution = slot.contribution
    value = contribution.value
    if contribution.key is not None and contribution.key.type != "list":
        key = rows.coded_text(contribution.key)
        # What is counted under a key is there wherever the key is.
        found = key.codes if contribution.counts else rows.series(value.expr)
        rows.note(slot.number, key.codes, found)
        return rows.person, key, found, rows.times
    lists = rows.series(value.expr if contribution.key is None else contribution.key.expr)
    place, entries = _exploded(lists)
    time, received = rows.times
    person, times = rows.person[place], (time[place], received[place])
    if contribution.key is not None:
        rows.note(slot.number, lists)
        return person, coded(entries), rows.series(value.expr)[place], times
    fields = entries.struct.unnest()
    texts = fields.select(values.field("k", "string"), values.field("v", "string"))
    rows.note(slot.number, _adding(lists, place, texts))
    return person, coded(texts["k"]), texts["v"], times


def _adding(lists: pl.Series, place: pl.Series, entries: pl.DataFrame) -> pl.Series:
    """Null for each map that adds nothing, because none of its `entries` (each of the map at `place`) is
    whole."""
    if not any(column.null_count() for column in entries):
        return lists
    whole = place.filter(entries.select(pl.all_horizontal(pl.all().is_not_null())).to_series())
    held = pl.DataFrame([lists.alias("held")]).with_row_index("place")
    return held.select(pl.when(pl.col("place").is_in(whole.implode())).then(True)).to_series()


def _listed(rows: Rows, slot: Slot) -> tuple[pl.Series, Coded]:
    """Person and value, a row for each value, coded."""
    value = slot.contribution.value
    if value.type != "list":
        found = rows.coded(value.expr)
        rows.note(slot.number, found.codes)
        return rows.person, found
    place, entries = _exploded(rows.note(slot.number, rows.series(value.expr)))
    return rows.person[place], coded(entries)


def _exploded(lists: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The elements of all lists, and for each the place of its list."""
    frame = pl.DataFrame([lists.alias("entry")]).with_row_index("place")
    found = frame.filter(pl.col("entry").list.len() > 0).explode("entry").drop_nulls("entry")
    return found["place"], found["entry"]


def _whole(rows: Rows, slot: Slot) -> dict[int, Any]:
    """The list or map of one event a person: the greatest or least of those at its times."""
    greatest = slot.contribution.operation.fold == "latest"
    time, received = rows.times
    held = rows.note(slot.number, rows.series(slot.contribution.value.expr))
    columns = [rows.person.alias("p"), time.alias("t"), received.alias("r"), held.alias("v")]
    events = pl.DataFrame(columns).lazy().drop_nulls("v")
    for name in "tr":
        edge = pl.col(name).max() if greatest else pl.col(name).min()
        events = events.filter(pl.col(name) == edge.over("p"))
    states: dict[int, Any] = {}
    for person, at, received_at, value in events.collect(engine=ENGINE).iter_rows():
        state = [at, received_at, _in_order(value)]
        other = states.setdefault(person, state)
        states[person] = max(other, state) if greatest else min(other, state)
    return states


def _in_order(held: list[Any]) -> list[Any]:
    """The list sorted, or the map (a list of {k, v}) as sorted [key, value] pairs, the last of a key."""
    if isinstance(held[0], dict):
        return [list(pair) for pair in sorted({entry["k"]: entry["v"] for entry in held}.items())]
    return sorted(set(held))


def _some(person: pl.Series, states: pl.Series, fold: Fold) -> tuple[pl.Series, pl.Series]:
    """The people to whom something was added, with what it is."""
    match fold:
        case "sum":
            some = states > 0
        case "total":
            some = states.list.len() > 0
        case _:
            if not states.null_count():
                return person, states
            some = states.is_not_null()
    return person.filter(some), states.filter(some)


def _packed(high: pl.Series, low: pl.Series) -> pl.Series:
    """Two codes as one number that sorts as the pair does; null where the second is."""
    return high.cast(_HIGH) * _SHIFT + low.cast(_HIGH)


def _present(ordered: pl.Series) -> pl.Series:
    """A sorted column without the nulls, which come first."""
    return ordered.slice(ordered.null_count())


def _unpacked(packed: pl.Series) -> tuple[pl.Series, pl.Series]:
    return (packed // _SHIFT).cast(CODE), (packed % _SHIFT).cast(CODE)


def _plain(column: Coded | pl.Series) -> list[Any]:
    if isinstance(column, pl.Series):
        return column.to_list()
    # One object for each distinct value, not one for each row.
    values_ = column.vocabulary.to_list()
    return [values_[code] for code in column.codes.to_list()]


def _runs(person: pl.Series) -> tuple[list[int], Iterable[tuple[int, int]]]:
    """The people of a sorted column, and where the rows of each start and end."""
    runs = person.rle().struct.unnest()
    ends = list(accumulate(runs["len"].to_list()))
    return runs["value"].to_list(), zip([0, *ends], ends, strict=False)
