"""The people of the benchmark and their audience events: the same ones for the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

from listbridge.audiences import MAX_EVENTS, AudienceEvent
from listbridge.campaign_monitor.models import Consent

AUDIENCES: Final = ("beach-lovers", "city-breakers", "frequent-flyers", "win-back")
MAPPED: Final = {"town": "Town", "tier": "Tier"}
FIELD: Final = "Lytics Audiences"
CONSENT: Final[Consent] = "Unchanged"
_TOWNS: Final = ("Sydney", "Melbourne", "Brisbane", "Perth", "Hobart", "Adelaide", "Darwin")
_TIERS: Final = ("gold", "silver", "bronze")

T = TypeVar("T")


NOW: Final = timedelta()


def address(number: int) -> str:
    return f"reader.{number:07d}@example.com"


def name(number: int) -> str:
    return f"Reader Number {number}"


def audience(number: int) -> str:
    return AUDIENCES[number % len(AUDIENCES)]


def entry(number: int, at: datetime, *, slug: str = "", change: int = 0) -> AudienceEvent:
    """Person `number` enters an audience; `change` makes their town another one."""
    return AudienceEvent(
        email=address(number),
        audience=slug or audience(number),
        event="enter",
        timestamp=at,
        fields={
            "name": name(number),
            "town": f"{_TOWNS[number % len(_TOWNS)]} {change}",
            "tier": _TIERS[number % len(_TIERS)],
        },
    )


def entries(numbers: Iterable[int], *, change: int = 0, ago: timedelta = NOW) -> Iterator[AudienceEvent]:
    """Everybody enters, a millisecond after one another."""
    start = datetime.now(UTC) - ago
    for step, number in enumerate(numbers):
        yield entry(number, start + timedelta(milliseconds=step % 1000), change=change)


def as_json(event: AudienceEvent) -> dict[str, Any]:
    """As `POST /v1/audiences/events` takes it."""
    return {
        "email": event.email,
        "audience": event.audience,
        "event": event.event,
        "timestamp": event.timestamp.isoformat(timespec="milliseconds"),
        "fields": event.fields,
    }


def official_row(number: int, key: str, change: int = 0) -> dict[str, Any]:
    """The row that our delivery makes of a person, as a user of the official client writes it.

    `key` is the audience field's. What is not set is cleared, as ours does.
    """
    slug = audience(number)
    cleared = [each for each in AUDIENCES if each != slug]
    return {
        "EmailAddress": address(number),
        "Name": name(number),
        "CustomFields": [
            {"Key": key, "Value": slug},
            *({"Key": key, "Value": each, "Clear": True} for each in cleared),
            {"Key": "[Tier]", "Value": _TIERS[number % len(_TIERS)]},
            {"Key": "[Town]", "Value": f"{_TOWNS[number % len(_TOWNS)]} {change}"},
        ],
        "ConsentToTrack": CONSENT,
    }


def pages(items: Iterable[T], size: int = MAX_EVENTS) -> Iterator[list[T]]:
    """In the given order, `size` at once."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
