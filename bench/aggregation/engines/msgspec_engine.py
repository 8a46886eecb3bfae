"""Hand-tuned Python: typed Structs of the needed fields only, slots, no garbage collection, few lookups."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from bench.aggregation.engines import READ
from bench.aggregation.engines.python_engine import clock, hashed_page

READ_BYTES: Final = 1 << 22


class Event(msgspec.Struct, gc=False):
    """The fields that the result needs; all others are skipped while decoding."""

    time: int = msgspec.field(name="_time")
    received: int = msgspec.field(name="_received")
    key: str | None = msgspec.field(name="_key", default=None)
    email: str | None = None
    event: str | None = None
    status: str | None = None
    origin: str | None = None
    city: str | None = None
    region: str | None = None
    cc: str | None = None
    campaign_id: str | None = None
    campaign_name: str | None = None
    client_id: str | None = None
    client_name: str | None = None
    list_id: str | None = None
    list_name: str | None = None
    url: str | None = None


class Person:
    """What one person's events add up to. `hours` counts opens by hour since 1970: three maps in one."""

    __slots__ = (
        "active",
        "campaign_ids",
        "campaign_names",
        "cc",
        "city",
        "client_ids",
        "client_names",
        "first_click",
        "first_open",
        "hours",
        "last_click",
        "last_open",
        "list_ids",
        "list_names",
        "region",
        "unsubscribed",
        "urls",
        "words",
    )

    def __init__(self) -> None:
        self.cc = self.city = self.region = _NOTHING
        self.first_open = self.first_click = _NEVER_YET
        self.last_open = self.last_click = self.active = self.unsubscribed = 0
        self.campaign_ids: set[str] = set()
        self.campaign_names: set[str] = set()
        self.client_ids: set[str] = set()
        self.client_names: set[str] = set()
        self.list_ids: set[str] = set()
        self.list_names: set[str] = set()
        self.urls: dict[str, int] = {}
        self.words: dict[str, int] = {}
        self.hours: dict[int, int] = {}

    def add(self, event: Event) -> None:
        at, word = event.time, event.event
        if word is not None:
            words = self.words
            words[word] = words.get(word, 0) + 1
        if (value := event.campaign_id) is not None:
            self.campaign_ids.add(value)
        if (value := event.campaign_name) is not None:
            self.campaign_names.add(value)
        if (value := event.client_id) is not None:
            self.client_ids.add(value)
        if (value := event.client_name) is not None:
            self.client_names.add(value)
        if (value := event.list_id) is not None:
            self.list_ids.add(value)
        if (value := event.list_name) is not None:
            self.list_names.add(value)
        if (value := event.cc) is not None and at >= self.cc[0]:
            self.cc = max(self.cc, (at, event.received, value))
        if (value := event.city) is not None and at >= self.city[0]:
            self.city = max(self.city, (at, event.received, value))
        if (value := event.region) is not None and at >= self.region[0]:
            self.region = max(self.region, (at, event.received, value))
        if (value := event.url) is not None:
            self.urls[value] = self.urls.get(value, 0) + (word in _CLICKED)
        if word == "sent":
            return
        if word == "open":
            hour = at // 3_600_000
            self.hours[hour] = self.hours.get(hour, 0) + 1
            if at < self.first_open:
                self.first_open = at
            if at > self.last_open:
                self.last_open = at
        elif word == "click":
            if at < self.first_click:
                self.first_click = at
            if at > self.last_click:
                self.last_click = at
        elif word == "deactivate":
            if event.status == "unsubscribe" and at > self.unsubscribed:
                self.unsubscribed = at
            return
        if word in _ACTIVE and at > self.active and event.origin != "self":
            self.active = at

    def fields(self, key: str) -> dict[str, Any]:
        """The output fields; those never set are None, 0 or empty."""
        words = self.words
        hourly: dict[str, int] = {}
        weekly: dict[str, int] = {}
        monthly: dict[str, int] = {}
        for hours, count in self.hours.items():
            hour, hour_of_week, month = clock(hours)
            hourly[hour] = hourly.get(hour, 0) + count
            weekly[hour_of_week] = weekly.get(hour_of_week, 0) + count
            monthly[month] = monthly.get(month, 0) + count
        hashed: dict[str, int] = {}
        for url, count in self.urls.items():
            if count and (name := hashed_page(url)):
                hashed[name] = hashed.get(name, 0) + count
        return {
            "email": key,
            "email_domain": key.partition("@")[2],
            "country_code": self.cc[2],
            "city": self.city[2],
            "region": self.region[2],
            "cm_clickct": words.get("click"),
            "cm_openct": words.get("open"),
            "cm_sendct": words.get("sent"),
            "cm_firstclick_ts": self.first_click if self.last_click else None,
            "cm_firstopen_ts": self.first_open if self.last_open else None,
            "cm_lastclick_ts": self.last_click,
            "cm_lastopen_ts": self.last_open,
            "cm_unsub_ts": self.unsubscribed,
            "last_active_ts": self.active,
            "channels": ["email"] if self.active else None,
            "cm_campaign_ids": self.campaign_ids,
            "cm_campaign_names": self.campaign_names,
            "cm_client_ids": self.client_ids,
            "cm_client_names": self.client_names,
            "cm_listids": self.list_ids,
            "cm_list_names": self.list_names,
            "cm_email_urls": list(self.urls),
            "cm_email_event": words,
            "hashedurls": hashed,
            "cm_hourlyopen": hourly,
            "cm_hourofweek": weekly,
            "cm_monthly": monthly,
        }


_NOTHING: Final[tuple[int, int, str]] = (0, 0, "")
_NEVER_YET: Final = 1 << 62
_ACTIVE: Final = frozenset(("open", "click", "subscribe"))
_CLICKED: Final = frozenset(("open", "click"))
_NAMES: Final = tuple(READ)
_decode_lines: Final = msgspec.json.Decoder(Event).decode_lines


def rows(path: Path) -> Iterator[Event]:
    """The rows of a Parquet file as events."""
    fields = {"_time": "time", "_received": "received", "_key": "key"}
    order = [name for name in ("_time", "_received", "_key", *_NAMES) if name in fields]
    others = [name for name in _NAMES if name not in fields]
    frame = pl.read_parquet(path, columns=list(READ)).select(*order[:3], pl.lit(None).alias("email"), *others)
    for row in frame.iter_rows():
        yield Event(*row)


def _from_columns(path: Path) -> dict[str, dict[str, Any]]:
    return _fold([rows(path)])


def _from_lines(path: Path) -> dict[str, dict[str, Any]]:
    return _fold(_pieces(path))


def _pieces(path: Path) -> Iterator[list[Event]]:
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            yield _decode_lines(piece + file.readline())


def _fold(pieces: Iterable[Iterable[Event]]) -> dict[str, dict[str, Any]]:
    gc.freeze()
    gc.disable()
    try:
        people: dict[str, Person] = {}
        find = people.get
        for piece in pieces:
            for event in piece:
                key = event.key or event.email or ""
                person = find(key)
                if person is None:
                    person = people[key] = Person()
                person.add(event)
        return {key: person.fields(key) for key, person in people.items()}
    finally:
        gc.enable()


def people(result: dict[str, dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    return result.items()


RUNS: Final = {"columns": _from_columns, "json": _from_lines}
