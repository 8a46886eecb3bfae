"""Events: what they hold, how they are identified, how they are written.

An event's identity is a hash of what makes it itself (its stable content), because nobody who
sends events gives them ids. `identity` lists that content; see the table in `docs/events.md`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from listbridge.streams.schemas import SCHEMAS, FieldType

MAX_TEXT = 16_384
DAY_MS = 86_400_000
_INT_LIMIT = 1 << 63
ID_BYTES = 12

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream about one person.

    `time` is epoch milliseconds; `identity` is what makes the event itself, in a fixed order;
    `values` are the fields of the stream's schema. `day` (days since 1 January 1970) is the event's
    day by the clock in which the identity has its time; None when that is UTC. It decides among which
    ids the event is looked for, so it may not follow the zone in which `time` was reckoned.
    """

    stream: str
    key: str
    time: int
    identity: tuple[object, ...]
    values: Mapping[str, Any]
    day: int | None = None

    @property
    def seen_day(self) -> int:
        """The day under which the event's id is kept."""
        return self.time // DAY_MS if self.day is None else self.day

    @property
    def id(self) -> bytes:
        """96 bits that are equal when, and only when, the identities are."""
        return event_id(self.stream, self.identity)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that came in and can't be an event: kept as it was, with the reason."""

    stream: str
    raw: bytes
    reason: str


@dataclass(slots=True)
class Counts:
    """What an append did."""

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0
    """Events of people who were erased after them: dropped."""
    rang: bool = field(default=False)
    """True when a fold must be asked for: work was made and no bell was rung for it yet."""

    def add(self, other: Counts) -> None:
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.quarantined += other.quarantined
        self.erased += other.erased
        self.rang = self.rang or other.rang


def event_id(stream: str, identity: Sequence[object]) -> bytes:
    """A 96-bit hash over the stream's name and the identity."""
    return hashlib.blake2b(_encode([stream, *identity]), digest_size=ID_BYTES).digest()


def encode(event: Event, received: int, identity: bytes | None = None) -> bytes:
    """One line of JSON: `_id`, `_time`, `_received`, the fields, and what the reader can't tell from them.

    `_key` is left out when it is the address, `_day` when it is the day of `_time`. A value that is not of
    the schema's type goes to `_bad`, as text, and reads as missing. `identity` is the event's id, if known.
    """
    schema = SCHEMAS[event.stream]
    body: dict[str, Any] = {"_id": (identity or event.id).hex(), "_time": event.time, "_received": received}
    bad: dict[str, str] = {}
    for name, value in event.values.items():
        if value is None or value == "":
            continue
        kind = schema.get(name)
        if kind == "string" and isinstance(value, str) and value.isascii() and len(value) <= MAX_TEXT:
            body[name] = value
        elif kind is not None and _fits(value, kind):
            body[name] = _stored(value, kind)
        else:
            bad[name] = repr(value)[:200]
    if body.get("email") != event.key:
        body["_key"] = event.key
    if bad:
        body["_bad"] = _entries(bad)
    if event.seen_day != event.time // DAY_MS:
        body["_day"] = event.seen_day
    return _encode(body)


class _Owner(msgspec.Struct, gc=False):
    id: Any = msgspec.field(name="_id", default=None)
    key: str | None = msgspec.field(name="_key", default=None)
    email: Any = None


_decode_owner = msgspec.json.Decoder(_Owner).decode


def owner(line: bytes) -> str | None:
    """The key of the person that a line is about; None when it can't be read."""
    try:
        held = _decode_owner(line)
    except msgspec.DecodeError:
        return None
    return held.key or (held.email if isinstance(held.email, str) else None)


def id_of(line: bytes) -> str | None:
    """The id that a line was written with; None when it can't be read."""
    try:
        held = _decode_owner(line).id
    except msgspec.DecodeError:
        return None
    return held if isinstance(held, str) else None


def _fits(value: object, kind: FieldType) -> bool:
    if kind == "string":
        return isinstance(value, str) and len(value) <= MAX_TEXT and _encodable(value)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and -_INT_LIMIT <= value < _INT_LIMIT
    if kind == "number":
        return (isinstance(value, float) and math.isfinite(value)) or _fits(value, "int")
    return isinstance(value, Mapping) and all(
        _fits(k, "string") and _fits(v, "string") for k, v in value.items()
    )


def _encodable(text: str) -> bool:
    """False for text with a lone surrogate, which has no UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stored(value: Any, kind: FieldType) -> Any:
    if kind == "map":
        return _entries(value)
    return float(value) if kind == "number" else value


def _entries(value: Mapping[str, str]) -> list[dict[str, str]]:
    """A map as a list of key and value, sorted, so that columns can hold it."""
    return [{"k": key, "v": value[key]} for key in sorted(value)]
