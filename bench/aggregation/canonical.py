"""One form for every engine's result, so that results can be compared and have a digest.

A field that was never set is absent, sets are sorted lists, maps objects with text keys in order, dates
RFC 3339: what `listbridge.aggregation.view` shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from listbridge.aggregation.kinds import rfc3339
from listbridge.profiles.links import FIELDS

Fields = dict[str, Any]

DATES: Final = ("cm_firstclick_ts", "cm_firstopen_ts", "cm_lastclick_ts", "cm_lastopen_ts", "last_active_ts")
_encode = msgspec.json.Encoder(order="deterministic").encode


def canonical(fields: Mapping[str, Any]) -> Fields:
    """The fields of one person; what is null, zero or empty was never set, and dates may be epoch ms.

    What tells who is who is left out.
    """
    shown = sorted({*fields} - FIELDS)
    return {name: _value(name, fields[name]) for name in shown if fields[name]}


def _value(name: str, value: Any) -> Any:
    if name in DATES and isinstance(value, int):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {key: value[key] for key in sorted(value)}
    if isinstance(value, list | set | frozenset):
        return sorted(value)
    return value


def digest(people: Iterable[tuple[str, Fields]]) -> str:
    """A hash of everybody's canonical fields, whatever their order."""
    lines = sorted(_encode([key, fields]) for key, fields in people)
    total = hashlib.blake2b(digest_size=16)
    for line in lines:
        total.update(line)
        total.update(b"\n")
    return total.hexdigest()
