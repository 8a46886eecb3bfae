"""From mappings to the program that folds events into profiles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final

import polars as pl

from listbridge.aggregation.columns import Contribution, compile_column
from listbridge.aggregation.errors import nearest
from listbridge.aggregation.expressions import error
from listbridge.aggregation.kinds import Kind
from listbridge.aggregation.operations import Join, Operation
from listbridge.aggregation.probing import probe
from listbridge.aggregation.syntax import Mapping
from listbridge.streams.schemas import SCHEMAS

TABLE: Final = "user"
"""The one table that a mapping can go INTO."""


@dataclass(frozen=True)
class FieldDefinition:
    """What a profile field is, over all streams that feed it.

    `id` is the field's name and a fingerprint of everything that decides what its state means, so that a
    changed definition starts anew. `number` stands for it in partials and in packed profiles.
    """

    id: str
    number: int
    name: str
    kind: Kind
    operation: Operation
    shortdesc: str
    longdesc: str
    streams: tuple[str, ...]
    capacity: int | None = None


@dataclass(frozen=True)
class Program:
    """Checked mappings, ready to `reduce`, `merge` and `view`.

    `fields` holds the definitions by field name; `contributions` by stream what each of its columns
    adds, with the field's name. `version` is that of the mappings that are active in a store, 0 for a
    program that is no store's.
    """

    fields: MappingProxyType[str, FieldDefinition]
    contributions: MappingProxyType[str, tuple[tuple[str, Contribution], ...]]
    version: int = 0

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the program reads, sorted."""
        return tuple(self.contributions)

    @cached_property
    def joins(self) -> dict[int, Join]:
        """How two states are joined, by definition number."""
        return {definition.number: definition.operation.join() for definition in self.fields.values()}

    @cached_property
    def absorbs(self) -> dict[int, Join]:
        """How a state is added to one that may be changed, by definition number."""
        return {definition.number: definition.operation.absorb() for definition in self.fields.values()}

    @cached_property
    def reads(self) -> dict[str, frozenset[str]]:
        """The fields of each stream that its columns read."""
        return {
            stream: frozenset().union(*(contribution.reads for _, contribution in contributions))
            for stream, contributions in self.contributions.items()
        }

    @cached_property
    def of_one_text(self) -> dict[str, dict[int, tuple[str, pl.Expr]]]:
        """By stream the expressions that read one text field and nothing else, with it, by their id()."""
        found: dict[str, dict[int, tuple[str, pl.Expr]]] = {}
        for stream, contributions in self.contributions.items():
            held = found.setdefault(stream, {})
            for expr in (expr for _, each in contributions for expr in each.expressions):
                roots = set(expr.meta.root_names())
                if len(roots) == 1 and SCHEMAS[stream].get(name := roots.pop()) == "string":
                    held[id(expr)] = name, expr
        return found

    @cached_property
    def numbers(self) -> frozenset[int]:
        """The numbers of all definitions."""
        return frozenset(definition.number for definition in self.fields.values())

    def numbered(self, numbers: dict[str, int], version: int) -> Program:
        """The program as that of a version of the mappings, which gives the numbers by definition id."""
        fields = {
            name: replace(definition, number=numbers[definition.id])
            for name, definition in self.fields.items()
        }
        return replace(self, fields=MappingProxyType(fields), version=version)


def compile_program(mappings: Sequence[Mapping]) -> Program:
    """Check mappings and put them together; columns of one name are one field across all of them.

    A column that stands in two mappings of a stream word for word counts once; otherwise each adds.
    Raises MappingError for an unknown stream, table, field, function or kind, for a BY that names no
    column, for an ALIAS used twice, for a field whose columns disagree in kind or operation, and for a column
    that fails when it is tried.
    """
    _check_aliases(mappings)
    columns: dict[str, dict[str, list[Contribution]]] = {}
    for mapping in mappings:
        for contribution in _contributions(mapping):
            by_stream = columns.setdefault(contribution.column.name.text, {})
            others = by_stream.setdefault(mapping.stream.text, [])
            if contribution.text not in {other.text for other in others}:
                others.append(contribution)
    fields = {
        name: _definition(name, number, by_stream)
        for number, (name, by_stream) in enumerate(columns.items(), start=1)
    }
    streams = sorted({mapping.stream.text for mapping in mappings})
    contributions = {stream: tuple(_of_stream(stream, columns)) for stream in streams}
    for stream, several in contributions.items():
        probe(stream, [contribution for _, contribution in several])
    return Program(MappingProxyType(fields), MappingProxyType(contributions))


def _check_aliases(mappings: Iterable[Mapping]) -> None:
    first: dict[str, Mapping] = {}
    for mapping in mappings:
        other = first.setdefault(mapping.alias, mapping)
        if other is not mapping:
            found = f"ALIAS {mapping.alias}, which {other.source} has already"
            raise error(mapping.name.place, found, "an ALIAS of its own")


def _contributions(mapping: Mapping) -> list[Contribution]:
    if mapping.stream.text not in SCHEMAS:
        found = f"an unknown stream `{mapping.stream.text}`"
        raise error(mapping.stream.place, found, nearest(mapping.stream.text, SCHEMAS))
    if mapping.table.text.lower() != TABLE:
        raise error(mapping.table.place, f"an unknown table `{mapping.table.text}`", f"`{TABLE}`")
    names = {column.name.text: column for column in mapping.columns}
    for identity in mapping.by:
        if identity.text not in names:
            found = f"BY {identity.text}, which no column is named"
            raise error(identity.place, found, nearest(identity.text, names))
        if (operation := names[identity.text].merge_operation) is not None:
            raise error(operation.place, f"MERGEOP on {identity.text}, which BY names", "no MERGEOP")
    schema = SCHEMAS[mapping.stream.text]
    return [compile_column(column, mapping.where, schema) for column in mapping.columns]


def _definition(name: str, number: int, by_stream: dict[str, list[Contribution]]) -> FieldDefinition:
    everyone = [contribution for contributions in by_stream.values() for contribution in contributions]
    first, *others = everyone
    for other in others:
        _check_agreement(name, first, other)
    texts = [f"{stream}: {each.text}" for stream, several in by_stream.items() for each in several]
    what = "\n".join([first.operation.name, first.kind.name, *sorted(texts)])
    return FieldDefinition(
        id=f"{name}:{hashlib.sha256(what.encode()).hexdigest()[:8]}",
        number=number,
        name=name,
        kind=first.kind,
        operation=first.operation,
        shortdesc=next((each.column.shortdesc for each in everyone if each.column.shortdesc), ""),
        longdesc=next((each.column.longdesc for each in everyone if each.column.longdesc), ""),
        streams=tuple(sorted(by_stream)),
        capacity=first.capacity,
    )


def _check_agreement(name: str, first: Contribution, other: Contribution) -> None:
    place = first.column.name.place
    there = f"as in {place.source}, line {place.line}"
    for what, ours, theirs in (
        ("KIND", other.kind.name, first.kind.name),
        ("operation", other.operation.name, first.operation.name),
        ("values of type", other.value.type, first.value.type),
        ("CAP", other.capacity, first.capacity),
    ):
        if ours != theirs:
            found = f"`{name}` with {what} {ours}"
            raise error(other.column.name.place, found, f"{what} {theirs} {there}")


def _of_stream(
    stream: str,
    columns: dict[str, dict[str, list[Contribution]]],
) -> Iterable[tuple[str, Contribution]]:
    for name, by_stream in columns.items():
        for contribution in by_stream.get(stream, ()):
            yield name, contribution
