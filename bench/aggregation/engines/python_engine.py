"""Plain Python: `json`, dictionaries, and a loop that a colleague can read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from struct import pack
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import polars as pl
from siphash24 import siphash24

from bench.aggregation.engines import READ

SETS: Final = {
    "cm_campaign_ids": "campaign_id",
    "cm_campaign_names": "campaign_name",
    "cm_client_ids": "client_id",
    "cm_client_names": "client_name",
    "cm_listids": "list_id",
    "cm_list_names": "list_name",
    "cm_email_urls": "url",
}
LATEST: Final = {"country_code": "cc", "city": "city", "region": "region"}
COUNTED: Final = {"click": "cm_clickct", "open": "cm_openct", "sent": "cm_sendct"}

Person = dict[str, Any]


def _from_columns(path: Path) -> dict[str, Person]:
    return _fold(pl.read_parquet(path, columns=list(READ)).iter_rows(named=True))


def _from_lines(path: Path) -> dict[str, Person]:
    with path.open("rb") as file:
        return _fold(map(json.loads, file))


def _fold(events: Iterable[dict[str, Any]]) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for event in events:
        key = event.get("_key") or event["email"]
        person = people.get(key)
        if person is None:
            person = people[key] = _new(key)
        _add(person, event)
    return people


def _new(key: str) -> Person:
    maps = ("cm_email_event", "hashedurls", "cm_hourlyopen", "cm_hourofweek", "cm_monthly")
    return {
        "email": key,
        "email_domain": key.partition("@")[2],
        "latest": {},
        **{name: set() for name in SETS},
        **{name: Counter() for name in maps},
    }


def _add(person: Person, event: dict[str, Any]) -> None:
    word, at, received = event.get("event"), event["_time"], event["_received"]
    for name, source in LATEST.items():
        if value := event.get(source):
            news = (at, received, value)
            held = person["latest"].get(name)
            if held is None or news > held:
                person["latest"][name] = news
    for name, source in SETS.items():
        if value := event.get(source):
            person[name].add(value)
    if word:
        person["cm_email_event"][word] += 1
    if word in COUNTED:
        person[COUNTED[word]] = person.get(COUNTED[word], 0) + 1
    if word in ("open", "click", "subscribe") and event.get("origin") != "self":
        person["channels"] = ["email"]
        person["last_active_ts"] = max(at, person.get("last_active_ts", at))
    if word in ("open", "click"):
        person[f"cm_first{word}_ts"] = min(at, person.get(f"cm_first{word}_ts", at))
        person[f"cm_last{word}_ts"] = max(at, person.get(f"cm_last{word}_ts", at))
        if (url := event.get("url")) and (hashed := hashed_page(url)):
            person["hashedurls"][hashed] += 1
    if word == "open":
        hour, hour_of_week, month = clock(at // 3_600_000)
        person["cm_hourlyopen"][hour] += 1
        person["cm_hourofweek"][hour_of_week] += 1
        person["cm_monthly"][month] += 1
    if word == "deactivate" and event.get("status") == "unsubscribe":
        person["cm_unsub_ts"] = max(at, person.get("cm_unsub_ts", at))


@lru_cache(maxsize=100_000)
def clock(hours: int) -> tuple[str, str, str]:
    """Hour of the day, hour of the week from Sunday, and year and month, of a number of hours since 1970."""
    moment = datetime.fromtimestamp(hours * 3600, UTC)
    return str(moment.hour), str(moment.isoweekday() % 7 * 24 + moment.hour), moment.strftime("%y%m")


@lru_cache(maxsize=100_000)
def hashed_page(url: str) -> str | None:
    """SipHash-2-4, key (0, 1), of host and path, as a signed number in text; None where there is neither."""
    parts = urlsplit(url)
    opaque = parts.scheme and not parts.netloc and not parts.path.startswith("/")
    page = "" if opaque else parts.netloc.rpartition("@")[2] + unquote(parts.path)
    if not page:
        return None
    return str(
        int.from_bytes(siphash24(page.encode(), key=pack("<QQ", 0, 1)).digest(), "little", signed=True)
    )


def people(result: dict[str, Person]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, person in result.items():
        yield key, _shown(person)


def _shown(person: Person) -> dict[str, Any]:
    fields = {name: value for name, value in person.items() if name != "latest"}
    return fields | {name: value for name, (_, _, value) in person["latest"].items()}


RUNS: Final = {"columns": _from_columns, "json": _from_lines}
