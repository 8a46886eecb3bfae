"""Evaluating the columns of a mapping over a batch of events: as few rows, and as few texts, as can be.

An expression that reads one text field is evaluated once for each distinct text. Values that are
compared, gathered or counted are small numbers (`Coded`) into their sorted distinct values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Final, cast

import polars as pl

from listbridge.aggregation import values
from listbridge.aggregation.programs import Program
from listbridge.aggregation.values import Value
from listbridge.streams.schemas import SCHEMAS

META: Final = ("_time", "_received")
CODE: Final = pl.UInt32
ENGINE: Final = "in-memory"
"""The default one keeps 16 bytes of each query for ever (Polars 2.1), which a worker that folds notices."""
_MANY: Final = 4096
"""From here on, it pays to look at how texts repeat."""


@dataclass(frozen=True)
class Coded:
    """A value for each row as a number: its place among the distinct values, null where there is none."""

    codes: pl.Series
    vocabulary: pl.Series
    """The distinct values and maybe more, in order, so that codes compare as the values do."""

    def filter(self, mask: pl.Series) -> Coded:
        return Coded(self.codes.filter(mask), self.vocabulary)

    def gather(self, places: pl.Series) -> Coded:
        return Coded(self.codes[places], self.vocabulary)


def coded(series: pl.Series) -> Coded:
    """Code any text, numbers or truth values."""
    if series.dtype == pl.String and len(series) >= _MANY:
        return _coded_in_runs(series) if _has_runs(series) else _coded_text(series)
    if series.dtype == pl.Int64 and (small := _coded_span(series)):
        return small
    vocabulary = series.unique().sort()
    if vocabulary.null_count():
        vocabulary = vocabulary.slice(1)
    if series.dtype == pl.String:
        return Coded(series.cast(pl.Enum(vocabulary)).to_physical().cast(CODE), vocabulary)
    if series.dtype == pl.Boolean:
        codes = series.cast(CODE) if len(vocabulary) == 2 else series.cast(CODE) * 0
        return Coded(codes, vocabulary)
    if not len(vocabulary):
        return Coded(pl.Series([None], dtype=CODE).new_from_index(0, len(series)), vocabulary)
    codes = vocabulary.search_sorted(series).cast(CODE)
    if series.null_count():
        codes = codes.zip_with(series.is_not_null(), pl.Series([None], dtype=CODE))
    return Coded(codes, vocabulary)


@dataclass(frozen=True)
class Gaps:
    """Events of `person`s to which columns applied and added nothing: in `missing` true where that is so, a
    column for each of the fields with these `numbers`; a field may have several."""

    person: pl.Series
    numbers: tuple[int, ...]
    missing: pl.DataFrame

    def counts(self, group: pl.Series) -> dict[int, dict[int, int]]:
        """Skipped events by the group of their person (by its place in `people`), and by field number."""
        counted = self.missing.with_columns(group[self.person].alias("group")).group_by("group").sum()
        totals: dict[int, dict[int, int]] = {}
        for row in counted.iter_rows(named=True):
            held = totals.setdefault(row.pop("group"), {})
            for number, count in zip(self.numbers, row.values(), strict=True):
                if count:
                    held[number] = held.get(number, 0) + count
        return totals


class Batch:
    """The events of one reduce. `person` holds for each its person's place in `people`, which is sorted."""

    def __init__(self, frame: pl.DataFrame, stream: str, program: Program) -> None:
        schema = SCHEMAS[stream]
        reads = program.reads[stream]
        self.people, self.person = _people(frame["_key"])
        self.events = frame.select(*META, *(values.field(name, schema[name]) for name in sorted(reads)))
        self._of_one_text = program.of_one_text[stream]
        self._distinct: dict[str, tuple[pl.Series, pl.DataFrame]] = {}
        self._tables: dict[str, pl.DataFrame] = {}
        self._coded: dict[int, Coded] = {}
        if "email" in reads and _same(frame["email"], frame["_key"]):
            self._distinct["email"] = self.person, self.people.alias("email").to_frame()

    def __len__(self) -> int:
        return self.events.height

    def distinct(self, name: str) -> tuple[pl.Series, pl.DataFrame]:
        """A text field's rows as places in a frame of its distinct values, null among them."""
        if name not in self._distinct:
            found = coded(self.events[name])
            places, table = found.codes, found.vocabulary
            if places.null_count():
                places = places.fill_null(len(table))
                table = table.clone().append(pl.Series([None], dtype=table.dtype))
            self._distinct[name] = places, pl.DataFrame([table.alias(name)])
        return self._distinct[name]

    def text_field(self, expr: pl.Expr) -> str | None:
        """The one text field that the expression reads, if that is all it reads."""
        found = self._of_one_text.get(id(expr))
        return found[0] if found else None

    def table(self, expr: pl.Expr, name: str) -> pl.Series:
        """The expression's value for each distinct value of its one field."""
        if name not in self._tables:
            # All of a field's expressions at once, so that what they have in common is done once.
            every = [
                each.alias(str(key)) for key, (field, each) in self._of_one_text.items() if field == name
            ]
            self._tables[name] = self.distinct(name)[1].lazy().with_columns(every).collect(engine=ENGINE)
        return self._tables[name][str(id(expr))]

    def coded_table(self, expr: pl.Expr, name: str) -> Coded:
        """What `table` has, coded."""
        if id(expr) not in self._coded:
            self._coded[id(expr)] = coded(self.table(expr, name))
        return self._coded[id(expr)]


def _coded_text(series: pl.Series) -> Coded:
    """Code many texts, hashing each once."""
    categories = series.cast(pl.Categorical(pl.Categories.random()))
    found = categories.dtype.categories.to_series()  # type: ignore[attr-defined]
    order = found.arg_sort()
    places = order.arg_sort().cast(CODE)
    return Coded(places[categories.to_physical()], found[order])


def _coded_span(series: pl.Series) -> Coded | None:
    """Whole numbers of a small span, such as hours, by their distance from the least: without hashing."""
    low, high = cast(int | None, series.min()), cast(int | None, series.max())
    if low is None or high is None or high - low >= _MANY:
        return None
    span = pl.int_range(0, high - low + 1, dtype=pl.Int64, eager=True)
    return Coded((series - low).cast(CODE), span + low)


def _has_runs(series: pl.Series) -> bool:
    """Do equal texts stand together, as those of a person do in events sorted by person?"""
    sample = series.head(_MANY)
    return sample.null_count() < _MANY // 2 and len(sample.rle()) < _MANY // 4


def _coded_in_runs(series: pl.Series) -> Coded:
    runs = series.rle()
    found = coded(runs.struct.field("value"))
    return found.gather(series.rle_id())


class Rows:
    """The events of a batch for which a guard holds; all of them without one."""

    def __init__(self, batch: Batch, mask: pl.Series | None = None) -> None:
        self._batch = batch
        self._mask = mask
        self._columns: dict[str, pl.Series] = {}
        self._places: dict[str, pl.Series] = {}
        self._gaps: list[tuple[int, pl.Series]] = []

    @cached_property
    def person(self) -> pl.Series:
        return self._kept(self._batch.person)

    def __len__(self) -> int:
        return len(self.person)

    def series(self, expr: pl.Expr) -> pl.Series:
        """The expression's value for each row."""
        name = self._batch.text_field(expr)
        if name is not None and expr.meta.is_column():
            return self._column(name)
        if name is not None:
            return self._batch.table(expr, name)[self._place(name)]
        roots = sorted(set(expr.meta.root_names()))
        if not roots:
            return evaluated(pl.DataFrame({"": [None]}), expr).new_from_index(0, len(self))
        return evaluated(pl.DataFrame([self._column(root) for root in roots]), expr)

    def coded(self, expr: pl.Expr) -> Coded:
        """The expression's value for each row, coded."""
        name = self._batch.text_field(expr)
        if name is None:
            return coded(self.series(expr))
        return self._batch.coded_table(expr, name).gather(self._place(name))

    def coded_text(self, value: Value) -> Coded:
        """The value as text for each row, coded."""
        if value.type == "string":
            return self.coded(value.expr)
        found = self.coded(value.expr)
        table = pl.DataFrame([found.vocabulary.alias("v")])
        texts = coded(evaluated(table, values.as_text(Value(pl.col("v"), value.type))))
        return texts.gather(found.codes)

    def note(self, number: int, column: pl.Series, *others: pl.Series) -> pl.Series:
        """Remember where a column of the field with this number has no value, because this or one of the
        others has none; answers the first."""
        gapped = [each.is_null() for each in (column, *others) if each.null_count()]
        if gapped:
            self._gaps.append((number, reduce(or_, gapped)))
        return column

    @property
    def gaps(self) -> Gaps | None:
        """Where the columns noted have no value, if anywhere."""
        if not self._gaps:
            return None
        columns = [missing.alias(str(place)) for place, (_, missing) in enumerate(self._gaps)]
        return Gaps(self.person, tuple(number for number, _ in self._gaps), pl.DataFrame(columns))

    @property
    def times(self) -> tuple[pl.Series, pl.Series]:
        """When the events happened and when they were received (epoch ms)."""
        return self._column("_time"), self._column("_received")

    def _column(self, name: str) -> pl.Series:
        if name not in self._columns:
            self._columns[name] = self._kept(self._batch.events[name])
        return self._columns[name]

    def _place(self, name: str) -> pl.Series:
        if name not in self._places:
            self._places[name] = self._kept(self._batch.distinct(name)[0])
        return self._places[name]

    def _kept(self, series: pl.Series) -> pl.Series:
        return series if self._mask is None else series.filter(self._mask)


def _same(a: pl.Series, b: pl.Series) -> bool:
    """Are two columns of text equal? Mostly told by their first rows."""
    first = slice(0, _MANY)
    return a[first].equals(b[first], null_equal=True) and a.equals(b, null_equal=True)


class Guards:
    """The guards of a program's columns over a batch, each evaluated once."""

    def __init__(self, batch: Batch, guards: Mapping[str, pl.Expr]) -> None:
        self._everything = Rows(batch)
        self._guards = guards
        self._known: dict[str, pl.Series] = {}

    def hold(self, names: Sequence[str]) -> pl.Series | None:
        """Where all of the named ones are true; None for no name."""
        held: pl.Series | None = None
        for name in names:
            true = self._evaluated(name)
            if true.null_count():
                true = true.fill_null(False)
            held = true if held is None else held & true
        return held

    def undecided(self, names: Sequence[str], numbers: Sequence[int]) -> Gaps | None:
        """Where one of the named ones can't be evaluated and none is false: skips of the columns of the
        fields with these numbers."""
        if not any(self._evaluated(name).null_count() for name in names):
            return None
        person = self._everything.person
        unknown = pl.DataFrame([self._evaluated(name).alias(name) for name in names]).select(
            pl.all_horizontal(pl.all()).is_null()
        )
        people = person.filter(unknown.to_series())
        missing = pl.Series([True]).new_from_index(0, len(people))
        columns = [missing.alias(str(place)) for place in range(len(numbers))]
        return Gaps(people, tuple(numbers), pl.DataFrame(columns))

    def _evaluated(self, name: str) -> pl.Series:
        if name not in self._known:
            self._known[name] = self._everything.series(self._guards[name])
        return self._known[name]


def _people(keys: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The people, sorted, and the place of each row's person among them."""
    if keys.is_sorted():
        return keys.rle().struct.field("value"), keys.rle_id().cast(CODE).set_sorted()
    found = coded(keys)
    return found.vocabulary, found.codes


def evaluated(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """The expression over a frame's rows; a constant is repeated."""
    found = frame.select(expr.alias("_")).to_series()
    return found if len(found) == frame.height else found.new_from_index(0, frame.height)
