"""Partials: what events add up to for one person, how two add up, and how a user sees one."""

from __future__ import annotations

from typing import Any

from listbridge.aggregation.operations import keep_greatest
from listbridge.aggregation.programs import FieldDefinition, Program

Partial = dict[str, Any]
"""State by `FieldDefinition.id`; the states are described in `operations`."""


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
    for identifier, state in other.items():
        if identifier in target:
            join = joins.get(identifier, keep_greatest)
            target[identifier] = join(target[identifier], state)
        else:
            target[identifier] = state


def view(program: Program, partial: Partial) -> dict[str, Any]:
    """The partial as a user sees it: JSON values by field name, in the program's order.

    Dates are RFC 3339 in UTC with milliseconds, sets sorted lists, maps objects with sorted keys. Fields
    without a state, and states of definitions that the program doesn't have, are left out.
    """
    return {
        name: _shown(definition, partial[definition.id])
        for name, definition in program.fields.items()
        if definition.id in partial
    }


def _shown(definition: FieldDefinition, state: Any) -> Any:
    if not definition.operation.mapped:
        return _shown_one(definition, state)
    return {key: _shown_one(definition, one) for key, one in sorted(state.items())}


def _shown_one(definition: FieldDefinition, state: Any) -> Any:
    value = state[2] if definition.operation.timed else state
    return definition.kind.shown(value)
