"""Audience events: who enters and leaves which audience, from the API or from a snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, cast

import msgspec

from listbridge.identity import person_key
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import MAX_TEXT, Counts, Event, Unreadable
from listbridge.streams.log import append, quarantine
from listbridge.streams.schemas import AUDIENCE

MAX_EVENTS = 1000
MAX_AHEAD_MS = 5 * 60_000
SLUG_MAX = 100
SLUG_RULE = f"1 to {SLUG_MAX} printable characters without spaces around them"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def is_slug(text: str) -> bool:
    """Can this be an audience's name? See `SLUG_RULE`."""
    return 0 < len(text) <= SLUG_MAX and _is_printable(text)


@lru_cache(maxsize=4096)
def _is_printable(text: str) -> bool:
    return text == text.strip() and text.isprintable()


class AudienceEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Somebody enters or leaves an audience. Times are RFC 3339; `fields` are attributes of the person."""

    email: str
    audience: str
    event: Literal["enter", "exit"]
    timestamp: datetime
    fields: dict[str, str | int | float | bool | None] = {}
    opted_in_at: datetime | None = None


class AudienceEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/audiences/events`."""

    events: list[AudienceEvent]


class Fault(msgspec.Struct, frozen=True):
    """What is wrong in a body, and where (a JSON path)."""

    path: str
    message: str


def faults(body: AudienceEvents, now: int) -> list[Fault]:
    """What a shape can't say: counts, names, times. Empty when all is well."""
    found = []
    if len(body.events) > MAX_EVENTS:
        found.append(Fault("$.events", f"{len(body.events)} events; at most {MAX_EVENTS} a call"))
    latest = _EPOCH + (now + MAX_AHEAD_MS) * _MILLISECOND
    for index, event in enumerate(body.events):
        if not is_slug(event.audience):
            found.append(Fault(f"$.events[{index}].audience", SLUG_RULE))
        if wrong := _wrong_time(event.timestamp, latest):
            found.append(Fault(f"$.events[{index}].timestamp", wrong))
        if event.opted_in_at is not None and (wrong := _wrong_time(event.opted_in_at, latest)):
            found.append(Fault(f"$.events[{index}].opted_in_at", wrong))
        for name, value in event.fields.items():
            if len(name) > MAX_TEXT or len(value if isinstance(value, str) else as_text(value)) > MAX_TEXT:
                what = f"{name[:40]!r} or its value has more than {MAX_TEXT} characters"
                found.append(Fault(f"$.events[{index}].fields", what))
    return found


def _wrong_time(at: datetime, latest: datetime) -> str:
    """What is wrong with a time; empty when nothing is. `latest` is a whole millisecond."""
    if at.tzinfo is None:
        return "the offset from UTC is missing: write Z or +hh:mm"
    if at < _EPOCH:
        return "before 1970"
    if at >= latest + _MILLISECOND:
        return "more than five minutes in the future"
    return ""


def milliseconds(at: datetime) -> int:
    """Epoch milliseconds of an aware time, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def receive(store: Store, events: Iterable[AudienceEvent]) -> Counts:
    """Store events that have no faults; one without a readable address is set aside."""
    unreadable: list[Unreadable] = []
    counts = append(store, _readable(events, unreadable))
    counts.add(quarantine(store, unreadable))
    return counts


def _readable(events: Iterable[AudienceEvent], unreadable: list[Unreadable]) -> Iterator[Event]:
    """The events; what can't be one is added to `unreadable`."""
    for event in events:
        item = as_event(event)
        if isinstance(item, Event):
            yield item
        else:
            unreadable.append(item)


def as_event(event: AudienceEvent) -> Event | Unreadable:
    """Its identity is the audience, the person, the time, what happened and the attributes."""
    key = person_key(event.email)
    if key is None:
        return Unreadable(AUDIENCE, msgspec.json.encode(event), "the e-mail address is not readable")
    at = milliseconds(event.timestamp)
    attributes = {
        name: value if isinstance(value, str) else as_text(value)
        for name, value in event.fields.items()
        if value is not None
    }
    opted_in_at = milliseconds(event.opted_in_at) if event.opted_in_at else None
    return Event(
        AUDIENCE,
        key,
        at,
        (event.event, event.audience, key, at, sorted(attributes.items()), opted_in_at),
        {
            "email": event.email,
            "audience": event.audience,
            "event": event.event,
            "fields": attributes or None,
            "opted_in_at": opted_in_at,
        },
    )


def as_text(value: object) -> str:
    """How an attribute's value is kept."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def size_of(store: Store, slug: str) -> int:
    """How many are in an audience now, as far as the streams are folded."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.scard(part.audience(slug))
    return sum(pipe.execute())


def members(store: Store, slug: str) -> set[str]:
    """Who is in an audience now, as far as the streams are folded."""
    found: set[str] = set()
    for part in store.parts:
        found |= {key.decode() for key in cast(set[bytes], store.client.smembers(part.audience(slug)))}
    return found


def sizes(store: Store) -> dict[str, int]:
    """Every audience that anybody is in, with its size."""
    # SCAN may give a key twice.
    names = cast(set[bytes], set(store.client.scan_iter(match=keys.AUDIENCE_SETS, count=1000)))
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[keys.slug_of(name)] += store.client.scard(name)
    return dict(sorted(counts.items()))


def now() -> datetime:
    """This moment, to the millisecond that events hold."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)
