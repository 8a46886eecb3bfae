"""Partials: what events add up to for one person, how two add up, and how a user sees one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from listbridge.aggregation.operations import keep_greatest
from listbridge.aggregation.programs import FieldDefinition, Program

Partial = dict[int, Any]
"""State by `FieldDefinition.number`; the states are described in `operations`."""

_GREATEST: Final = Decimal(sys.float_info.max)


def merge(program: Program, a: Partial, b: Partial) -> Partial:
    """Add two partials of one person; neither is changed. Commutative and associative.

    States of ids that the program doesn't know are kept; of two such, the greater in a fixed order.
    """
    merged = dict(a)
    merge_into(program, merged, b)
    return merged


def merge_into(program: Program, target: Partial, other: Partial) -> None:
    """Add `other` to `target` in place. States are replaced, never changed, so `other` may be shared."""
    joins = program.joins
    for number, state in other.items():
        if number in target:
            join = joins.get(number, keep_greatest)
            target[number] = join(target[number], state)
        else:
            target[number] = state


def view(program: Program, partial: Partial) -> dict[str, Any]:
    """The partial as a user sees it: JSON values by field name, in the program's order.

    Dates are RFC 3339 in UTC with milliseconds, sets sorted lists, maps objects with sorted keys. Of a
    field with CAP as many values as it says: of a set of times and of `ts[]string` the newest, of another
    set the first in order; of a map the newest entries, or where it keeps no times the greatest. Fields
    without a state, and states of definitions that the program doesn't have, are left out.
    """
    return {
        name: _shown(definition, partial[definition.number])
        for name, definition in program.fields.items()
        if definition.number in partial
    }


class View(Mapping[str, Any]):
    """What `view` gives, without the fields `but`; each field is made when it is first asked for."""

    def __init__(self, program: Program, partial: Partial, but: frozenset[str] = frozenset()) -> None:
        self._program = program
        self._partial = partial
        self._but = but
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in self:
                raise KeyError(name)
            definition = self._program.fields[name]
            self._made[name] = _shown(definition, self._partial[definition.number])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        definition = self._program.fields.get(name) if isinstance(name, str) else None
        return definition is not None and definition.number in self._partial and name not in self._but

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._program.fields if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _shown(definition: FieldDefinition, state: Any) -> Any:
    operation, capacity = definition.operation, definition.capacity
    if definition.kind.container == "seen":
        return sorted(state, key=lambda value: (-state[value], value))[:capacity]
    if operation.mapped:
        kept = _newest_or_greatest(state, definition) if capacity else state
        return {key: _shown_one(definition, one) for key, one in sorted(kept.items())}
    if definition.kind.container == "scalar":
        return _shown_one(definition, state)
    value = state[2] if operation.timed else state
    if definition.kind.container == "map":
        return {key: definition.kind.shown(one) for key, one in value[:capacity]}
    if definition.kind.element == "date" and capacity:
        value = value[-capacity:]
    return [definition.kind.shown(one) for one in value[:capacity]]


def _newest_or_greatest(state: dict[str, Any], definition: FieldDefinition) -> dict[str, Any]:
    """The entries that CAP keeps: the newest where times are known, else the greatest; then by key."""

    def rank(key: str) -> Any:
        held = state[key]
        return held[:2] if definition.operation.timed else _value(definition, held)

    keys = sorted(sorted(state), key=rank, reverse=True)
    return {key: state[key] for key in keys[: definition.capacity]}


def _shown_one(definition: FieldDefinition, state: Any) -> Any:
    return definition.kind.shown(_value(definition, state))


def _value(definition: FieldDefinition, state: Any) -> Any:
    if definition.operation.timed:
        return state[2]
    if definition.operation.fold != "total":
        return state
    exact = Decimal(state)
    if definition.kind.element != "number":
        return int(exact)
    return float(min(_GREATEST, max(-_GREATEST, exact)))
