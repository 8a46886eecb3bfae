"""Events: what they hold, how they are identified, how they are written.

An event's identity is a hash of what makes it itself (its stable content), because nobody who
sends events gives them ids. `identity` lists that content; see the table in `docs/events.md`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from listbridge.streams.schemas import SCHEMAS, FieldType, Schema

MAX_TEXT = 16_384
DAY_MS = 86_400_000
ID_BYTES = 12
_INT_LIMIT = 1 << 63

_encode = msgspec.json.Encoder().encode
_hash = hashlib.blake2b


class Event(msgspec.Struct, frozen=True, gc=False):
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
        return _hash(_encode((self.stream, *self.identity)), digest_size=ID_BYTES).digest()


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
    return _hash(_encode((stream, *identity)), digest_size=ID_BYTES).digest()


def encode(event: Event, received: int, identity: bytes | None = None) -> bytes:
    """One line of JSON: `_id`, `_time`, `_received`, the fields, and what the reader can't tell from them.

    `_key` is left out when it is the address, `_day` when it is the day of `_time`. A value that is not of
    the schema's type goes to `_bad`, as text, and reads as missing. `identity` is the event's id, if known.
    """
    held = identity or event.id
    try:
        return _encode(_checked(event, received, held))
    except (msgspec.ValidationError, UnicodeEncodeError):
        return _encode(_sorted_out(event, received, held))


def _checked(event: Event, received: int, identity: bytes) -> Any:
    """An event all of whose values are of their types. Raises `msgspec.ValidationError`."""
    kind, values = _LINES[event.stream], event.values
    if "" in values.values():
        values = {name: value for name, value in values.items() if value != ""}
    line: Any = msgspec.convert(values, kind.type)
    line._id, line._time, line._received = identity.hex(), event.time, received
    for name in kind.maps:
        if (value := getattr(line, name)) is not None:
            setattr(line, name, _entries(value))
    for name in kind.numbers:
        if (value := getattr(line, name)) is not None:
            if not math.isfinite(value):
                raise msgspec.ValidationError(f"{name} is {value}")
            setattr(line, name, float(value))
    if line.email != event.key:
        line._key = event.key
    if event.day is not None and event.day != event.time // DAY_MS:
        line._day = event.day
    return line


def _sorted_out(event: Event, received: int, identity: bytes) -> dict[str, Any]:
    """An event some of whose values are not of their types."""
    schema = SCHEMAS[event.stream]
    body: dict[str, Any] = {"_id": identity.hex(), "_time": event.time, "_received": received}
    bad: dict[str, str] = {}
    for name, value in event.values.items():
        if value is None or value == "":
            continue
        kind = schema.get(name)
        if kind is not None and _fits(value, kind):
            body[name] = _stored(value, kind)
        else:
            bad[name] = repr(value)[:200]
    if body.get("email") != event.key:
        body["_key"] = event.key
    if bad:
        body["_bad"] = _entries(bad)
    if event.seen_day != event.time // DAY_MS:
        body["_day"] = event.seen_day
    return body


@dataclass(frozen=True, slots=True)
class _Line:
    """A stream's line as a Struct that checks the types, and the fields that need more than that."""

    type: type[msgspec.Struct]
    maps: tuple[str, ...]
    numbers: tuple[str, ...]


_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_TYPES: Mapping[FieldType, Any] = {
    "string": _Text,
    "int": Annotated[int, msgspec.Meta(ge=-_INT_LIMIT, le=_INT_LIMIT - 1)],
    "number": float | Annotated[int, msgspec.Meta(ge=-_INT_LIMIT, le=_INT_LIMIT - 1)],
    "bool": bool,
    "map": dict[_Text, _Text],
}


def _line_of(stream: str, schema: Schema) -> _Line:
    # No value may have the name of what is ours: the type of these lets nothing but None pass.
    before: list[tuple[str, Any, Any]] = [(name, None, None) for name in ("_id", "_time", "_received")]
    values: list[tuple[str, Any, Any]] = [(name, _TYPES[kind] | None, None) for name, kind in schema.items()]
    after: list[tuple[str, Any, Any]] = [("_key", None, None), ("_day", None, None)]
    made = msgspec.defstruct(
        stream, [*before, *values, *after], omit_defaults=True, forbid_unknown_fields=True, gc=False
    )
    maps = tuple(name for name, kind in schema.items() if kind == "map")
    return _Line(made, maps, tuple(name for name, kind in schema.items() if kind == "number"))


class _Owner(msgspec.Struct, gc=False):
    id: Any = msgspec.field(name="_id", default=None)
    key: str | None = msgspec.field(name="_key", default=None)
    time: Any = msgspec.field(name="_time", default=None)
    email: Any = None


_decode_owner = msgspec.json.Decoder(_Owner).decode


def owner(line: bytes) -> str | None:
    """The key of the person that a line is about; None when it can't be read."""
    try:
        held = _decode_owner(line)
    except msgspec.DecodeError:
        return None
    return held.key or (held.email if isinstance(held.email, str) else None)


def time_of(line: bytes) -> int:
    """When it happened (epoch ms); 0 when it can't be read."""
    try:
        held = _decode_owner(line)
    except msgspec.DecodeError:
        return 0
    return held.time if isinstance(held.time, int) else 0


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


_LINES = {stream: _line_of(stream, schema) for stream, schema in SCHEMAS.items()}
