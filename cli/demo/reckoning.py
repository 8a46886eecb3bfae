"""What the profiles and lists should hold, reckoned in plain Python from the simulator's own records.

Shares no code with what it checks: every event is looked at once, in simple loops. Where two events
of one minute leave open which is the latest, every value that could be is acceptable. The fields are
those of the mappings that the story changes to (`change`), over all events, earlier ones too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from struct import pack
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from siphash24 import siphash24

OPT_OUTS = ("unsubscribed", "deleted", "spam")
ACTIVE_WORDS = ("open", "click", "subscribe")
STATES = {"Unsubscribed": "unsubscribe", "Bounced": "bounce", "Deleted": "delete", "Spam": "spam"}


@dataclass
class Expected:
    """One person: exact fields, and fields for which several values would be right."""

    fields: dict[str, Any] = field(default_factory=dict)
    acceptable: dict[str, set[Any]] = field(default_factory=dict)
    updated_at: int = 0
    later: set[int] = field(default_factory=set)
    """Times (epoch ms) that would be right as `updated_at` too."""


Event = dict[str, Any]


def expected_profiles(records: dict[str, Any], audience_events: Iterable[Event]) -> dict[str, Expected]:
    """Key -> what the profile should hold."""
    told: dict[str, list[Event]] = defaultdict(list)
    for event in _activity(records):
        told[event["key"]].append(event)
    states: dict[str, list[Event]] = defaultdict(list)
    for event in _states(records):
        states[event["key"]].append(event)
    attributes: dict[str, list[Event]] = defaultdict(list)
    for event in audience_events:
        attributes[event["email"].lower()].append(event)
    return {
        key: _person(key, told[key], states[key], attributes[key])
        for key in told.keys() | states.keys() | attributes.keys()
    }


def expected_audiences(audience_events: Iterable[Event]) -> dict[str, set[str]]:
    """Key -> the audiences the person is in after all events, by the events' own times."""
    latest: dict[tuple[str, str], tuple[str, str]] = {}
    for event in audience_events:
        place = event["email"].lower(), event["audience"]
        latest[place] = max(latest.get(place, ("", "")), (event["timestamp"], event["event"]))
    inside: dict[str, set[str]] = defaultdict(set)
    for (key, audience), (_, what) in latest.items():
        if what == "enter":
            inside[key].add(audience)
    return inside


def _activity(records: dict[str, Any]) -> Iterator[Event]:
    """Every activity event once: report rows, and webhooks that are not the same opt-out told again."""
    names = {each["list_id"]: each["name"] for each in records["lists"]}
    clients = {each["client_id"]: each for each in records["clients"]}
    opt_outs: set[tuple[str, ...]] = set()
    for campaign in records["campaigns"]:
        client = clients[campaign["client_id"]]
        base = {
            "campaign_id": campaign["campaign_id"],
            "campaign_name": campaign["name"],
            "client_id": client["client_id"],
            "client_name": client["name"],
        }
        for report, rows in records["reports"][campaign["campaign_id"]].items():
            for row in rows:
                date = row.get("Date") or campaign["sent_date"]
                event = (
                    base
                    | _report_row(report, row)
                    | {
                        "key": row["EmailAddress"].lower(),
                        "time": _ms(date, client["time_zone"]),
                        "list_id": row["ListID"],
                        "list_name": names[row["ListID"]],
                    }
                )
                if event["event"] == "deactivate":
                    same = (event["list_id"], event["key"], event["status"], date[:16])
                    if same in opt_outs:
                        continue
                    opt_outs.add(same)
                yield event
    yield from _webhooks(records, names, clients, opt_outs)


def _report_row(report: str, row: Event) -> Event:
    match report:
        case "recipients":
            return {"event": "sent"}
        case "opens" | "clicks":
            return {
                "event": "open" if report == "opens" else "click",
                "url": row.get("URL"),
                "city": row["City"],
                "region": row["Region"],
                "cc": row["CountryCode"],
            }
        case "bounces":
            return {"event": "bounce", "status": row["BounceType"].lower()}
        case "unsubscribes":
            return {"event": "deactivate", "status": "unsubscribe"}
        case _:
            return {"event": "deactivate", "status": "spam"}


def _webhooks(
    records: dict[str, Any],
    names: dict[str, str],
    clients: dict[str, Any],
    opt_outs: set[tuple[str, ...]],
) -> Iterator[Event]:
    owners = {each["list_id"]: each["client_id"] for each in records["lists"]}
    seen: set[tuple[Any, ...]] = set()
    for told in records["webhook_events"]:
        sent, list_id = told["event"], told["list_id"]
        client = clients[owners[list_id]]
        key, minute = sent["EmailAddress"].lower(), sent["Date"][:16]
        event = {
            "key": key,
            "time": _ms(sent["Date"], client["time_zone"]),
            "event": sent["Type"].lower(),
            "list_id": list_id,
            "list_name": names[list_id],
            "client_id": client["client_id"],
            "client_name": client["name"],
            "own": told["cause"] == "api",
        }
        if sent["Type"] == "Deactivate":
            event["status"] = STATES[sent["State"]]
            same: tuple[Any, ...] = (list_id, key, event["status"], minute)
            if same in opt_outs:
                continue
            opt_outs.add(same)
        else:
            fields = tuple(sorted((item["Key"], item["Value"]) for item in sent["CustomFields"]))
            old = (sent.get("OldEmailAddress") or "").lower()
            same = (sent["Type"], list_id, key, old, minute, sent.get("State"), sent["Name"], fields)
            if same in seen:
                continue
            seen.add(same)
        yield event


def _states(records: dict[str, Any]) -> Iterator[Event]:
    """Everybody's state in every list as it is now, and what webhooks told of it on the way."""
    clients = {each["client_id"]: each for each in records["clients"]}
    owners = {each["list_id"]: (each["client_id"], each["name"]) for each in records["lists"]}
    for each in records["lists"]:
        client = clients[each["client_id"]]
        for person in each["subscribers"]:
            yield {
                "key": person["email"].lower(),
                "time": _ms(person["date"], client["time_zone"]) + _after(person["state"]),
                "name": person["name"],
                "list_id": each["list_id"],
                "list_name": each["name"],
                "client_id": client["client_id"],
                "client_name": client["name"],
                "final": person["state"].lower(),
            }
    for told in records["webhook_events"]:
        client_id, list_name = owners[told["list_id"]]
        at = _ms(told["event"]["Date"], clients[client_id]["time_zone"])
        yield {
            "key": told["event"]["EmailAddress"].lower(),
            "time": at + _after(told["event"].get("State", "Active")),
            "name": told["event"]["Name"],
            "list_id": told["list_id"],
            "list_name": list_name,
            "client_id": client_id,
            "client_name": clients[client_id]["name"],
        }


def _after(state: str) -> int:
    """An opt-out's status is a millisecond later than its minute, so that it is the latest of it."""
    return int(state.lower() in OPT_OUTS)


def _person(key: str, told: list[Event], states: list[Event], attributes: list[Event]) -> Expected:
    person = Expected({"email": key, "email_domain": key.partition("@")[2]})
    fields = person.fields
    _counts(fields, told)
    _times(fields, told)
    _sets(fields, told, states)
    for name, source in (("country_code", "cc"), ("city", "city"), ("region", "region")):
        _latest(person, name, [(event["time"], event.get(source)) for event in told])
    _latest(person, "cm_name", [(event["time"], event["name"]) for event in states])
    final = [event for event in states if "final" in event]
    _put(fields, "cm_list_ids_status", {event["list_id"]: event["final"] for event in final})
    _put(fields, "cm_list_names_status", {event["list_name"]: event["final"] for event in final})
    _put(fields, "attributes", _attributes(attributes))
    _put(fields, "audience_enters", sum(event["event"] == "enter" for event in attributes))
    moments = [event["time"] for event in (*told, *states)]
    person.updated_at = max([*moments, *(_instant(event["timestamp"]) for event in attributes)])
    return person


def _counts(fields: Event, told: list[Event]) -> None:
    words = Counter(event["event"] for event in told)
    _put(fields, "cm_email_event", dict(words))
    for name, word in (("cm_clickct", "click"), ("cm_openct", "open"), ("cm_sendct", "sent")):
        _put(fields, name, words[word])
    opens = [_utc(event["time"]) for event in told if event["event"] == "open"]
    _put(fields, "cm_hourlyopen", Counter(str(at.hour) for at in opens))
    _put(fields, "cm_hourofweek", Counter(str(at.isoweekday() % 7 * 24 + at.hour) for at in opens))
    seen = [_utc(event["time"]) for event in told if event["event"] in ("open", "click")]
    _put(fields, "cm_monthly", Counter(f"{at:%y%m}" for at in seen))
    clicked = Counter(event["campaign_id"] for event in told if event["event"] == "click")
    _put(fields, "cm_campaign_clicks", clicked)
    pages = Counter(_hashed(event["url"]) for event in told if event.get("url"))
    _put(fields, "hashedurls", pages)


def _times(fields: Event, told: list[Event]) -> None:
    for word in ("open", "click"):
        times = [event["time"] for event in told if event["event"] == word]
        if times:
            fields[f"cm_first{word}_ts"] = _rfc3339(min(times))
            fields[f"cm_last{word}_ts"] = _rfc3339(max(times))
    active = [e["time"] for e in told if e["event"] in ACTIVE_WORDS and not e.get("own")]
    if active:
        fields["last_active_ts"] = _rfc3339(max(active))
        fields["channels"] = ["email"]
    left = [e["time"] for e in told if e["event"] == "deactivate" and e["status"] == "unsubscribe"]
    if left:
        fields["cm_unsub_ts"] = max(left)


def _sets(fields: Event, told: list[Event], states: list[Event]) -> None:
    for name, source, events in (
        ("cm_campaign_ids", "campaign_id", told),
        ("cm_campaign_names", "campaign_name", told),
        ("cm_listids", "list_id", told),
        ("cm_list_names", "list_name", told),
        ("cm_email_urls", "url", told),
        ("cm_client_ids", "client_id", [*told, *states]),
        ("cm_client_names", "client_name", [*told, *states]),
    ):
        _put(fields, name, sorted({event[source] for event in events if event.get(source)}))


def _latest(person: Expected, name: str, values: list[tuple[int, Any]]) -> None:
    """The value of the newest event that has one; several events of that minute leave it open."""
    present = [(at, value) for at, value in values if value]
    if present:
        newest = max(at for at, _ in present)
        person.acceptable[name] = {value for at, value in present if at == newest}


def _attributes(events: list[Event]) -> Event:
    latest: dict[str, tuple[str, str]] = {}
    for event in events:
        for name, value in event.get("fields", {}).items():
            latest[name] = max(latest.get(name, ("", "")), (event["timestamp"], value))
    return {name: value for name, (_, value) in latest.items()}


def _put(fields: Event, name: str, value: Any) -> None:
    """Set what is not empty: a field that was never set is absent."""
    if value:
        fields[name] = dict(value) if isinstance(value, Counter) else value


@lru_cache(maxsize=100_000)
def _ms(text: str, zone: str) -> int:
    naive = datetime.strptime(text, "%Y-%m-%d %H:%M:%S" if len(text) > 16 else "%Y-%m-%d %H:%M")
    return round(naive.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def _instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _utc(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _rfc3339(at: int) -> str:
    return f"{_utc(at):%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"


@lru_cache(maxsize=10_000)
def _hashed(url: str) -> str:
    """SipHash-2-4, key (0, 1), of host and path, as a signed number."""
    parts = urlsplit(url)
    digest = siphash24((parts.netloc + unquote(parts.path)).encode(), key=pack("<QQ", 0, 1)).digest()
    return str(int.from_bytes(digest, "little", signed=True))
