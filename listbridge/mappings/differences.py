"""What is different between the fields of two programs."""

from __future__ import annotations

from typing import Any

import msgspec

from listbridge.aggregation import FieldDefinition, Program


class Difference(msgspec.Struct, frozen=True):
    """A field that is not the same: `change` is added, removed, anew or shown.

    A field is `anew` if its definition differs, so that its state starts from nothing; `shown` if only
    its description or CAP does. `changes` has what was and what is, by what differs.
    """

    field: str
    change: str
    changes: dict[str, list[Any]] = {}


def differences(a: Program, b: Program) -> list[Difference]:
    """The fields that are not the same in `a` and `b`, by name."""
    rows = []
    for name in sorted({*a.fields, *b.fields}):
        was, now = a.fields.get(name), b.fields.get(name)
        if was is None or now is None:
            rows.append(Difference(name, "removed" if now is None else "added"))
            continue
        before, after = described(was), described(now)
        changes = {what: [before[what], after[what]] for what in before if before[what] != after[what]}
        if was.id != now.id or changes:
            rows.append(Difference(name, "anew" if was.id != now.id else "shown", changes))
    return rows


def described(definition: FieldDefinition) -> dict[str, Any]:
    """`{"field", "kind", "operation", "cap", "streams", "description"}`."""
    return {
        "field": definition.name,
        "kind": definition.kind.name,
        "operation": definition.operation.name,
        "cap": definition.capacity,
        "streams": list(definition.streams),
        "description": definition.shortdesc,
    }
