"""Rows lost and doubled, by the simulator's own records: equal rows, shifting pages, late rows, zones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from bench.imports import tap
from bench.imports.accounts import Plan
from bench.imports.speed import UNLIMITED
from bench.imports.tap import Tap
from bench.imports.world import World, world
from listbridge.campaign_monitor.timezones import zone_name
from listbridge.streams.log import tail

Facts = Counter[tuple[Any, ...]]
REPORTS: Final = {"opens": "open", "clicks": "click", "bounces": "bounce"}
STATES: Final = ("active", "unconfirmed", "unsubscribed", "bounced", "deleted")


@dataclass(frozen=True)
class Exact:
    """What one engine holds after some runs beside what the account holds."""

    engine: str
    after: str
    held: int
    stored: int
    lost: int
    doubled: int


@dataclass(frozen=True)
class Zones:
    """The same over clients that differ by their time zone only. `clients_wrong`: with any row wrong."""

    engine: str
    clients: int
    clients_wrong: int
    rows: int
    lost: int
    wrong_or_doubled: int


def run(plan: Plan, *, say: Callable[[str], None]) -> list[Exact]:
    """Each engine reads an account of its own, into which late rows come while it is read."""
    found = []
    with world(plan, **UNLIMITED) as here:
        workflow_id = here.create()
        for after in ("first run", "second run", "a run that reads from the beginning"):
            if after.startswith("a run"):
                here.grow_old()
            here.run(workflow_id)
            found.append(_exact("listbridge", after, ledger(here)[here.simulated.client_id], stored(here)))
            say(str(found[-1]))
    with world(plan, **UNLIMITED) as here:
        reader, rows = Tap(here.simulated, here.simulated.client_id), Facts()
        for after in ("first run", "second run", "third run"):
            rows += _of_tap(reader.run(), plan.zones[0])
            held = ledger(here)[here.simulated.client_id]
            found.append(_exact("tap, every record kept", after, held, rows))
            found.append(_exact("tap, by its keys", after, held, _by_key(rows)))
            say(f"{found[-2]} {found[-1]}")
    return found


def zones(labels: Sequence[str], *, say: Callable[[str], None]) -> list[Zones]:
    """A small client in each zone."""
    plan = Plan(
        lists=1, people=20, campaigns=1, recipients=20, opens=60, clicks=24, bounces=4, zones=tuple(labels)
    )
    ours, peer = Counter[str](), Counter[str]()
    with world(plan, **UNLIMITED) as here:
        clients = here.simulated.clients
        for client_id in clients:
            here.run(here.create(client_id))
        books, held = ledger(here), stored(here)
        for client_id in clients:
            _add(
                ours,
                books[client_id],
                Facts({fact: n for fact, n in held.items() if fact in books[client_id]}),
            )
        ours["wrong"] += (held - sum(books.values(), Facts())).total()
        say(f"listbridge: {dict(ours)}")
        catalog = None
        for client_id, label in zip(clients, labels, strict=True):
            reader = Tap(here.simulated, client_id, catalog)
            _add(peer, books[client_id], _of_tap(reader.run(), label))
            catalog = reader.catalog
        say(f"tap: {dict(peer)}")
    return [
        Zones(name, len(clients), each["clients"], each["rows"], each["lost"], each["wrong"])
        for name, each in (("listbridge", ours), ("tap", peer))
    ]


def _add(sums: Counter[str], held: Facts, found: Facts) -> None:
    lost, wrong = (held - found).total(), (found - held).total()
    sums.update(rows=held.total(), lost=lost, wrong=wrong, clients=int(bool(lost or wrong)))


def _exact(engine: str, after: str, held: Facts, found: Facts) -> Exact:
    lost, doubled = (held - found).total(), (found - held).total()
    return Exact(engine, after, held.total(), found.total(), lost, doubled)


def ledger(here: World) -> dict[str, Facts]:
    """What each client holds, from the simulator's records alone."""
    records = here.simulated.control("GET", "/records")
    zone = {each["client_id"]: ZoneInfo(each["time_zone"]) for each in records["clients"]}
    found = {client_id: Facts() for client_id in zone}
    for each in records["lists"]:
        for person in each["subscribers"]:
            at = _ms(person["date"], zone[each["client_id"]])
            found[each["client_id"]]["state", each["list_id"], person["email"], at, person["state"]] += 1
    for each in records["campaigns"]:
        client_id, campaign = each["client_id"], each["campaign_id"]
        reports = records["reports"][campaign]
        for row in reports["recipients"]:
            found[client_id]["sent", campaign, row["ListID"], row["EmailAddress"]] += 1
        for report, word in REPORTS.items():
            for row in reports[report]:
                at = _ms(row["Date"], zone[client_id])
                found[client_id][_activity(word, campaign, at, row)] += 1
    return found


def _activity(word: str, campaign: str, at: Any, row: dict[str, Any]) -> tuple[Any, ...]:
    who = (word, campaign, row["ListID"], row["EmailAddress"], at)
    return (*who, row.get("IPAddress", ""), row.get("URL", ""))


def stored(here: World) -> Facts:
    """What our streams hold."""
    return Counter(_told(msgspec.json.decode(line)) for line in _lines(here))


def _lines(here: World) -> Iterator[bytes]:
    for stream in ("cm_user", "cm_activity"):
        for _, line in tail(here.context.store, "stream", stream, 1_000_000_000):
            yield line


def _told(event: dict[str, Any]) -> tuple[Any, ...]:
    if "event" not in event:
        return ("state", event["list_id"], event["email"], event["_time"], event["state"])
    who = (event["event"], event["campaign_id"], event["list_id"], event["email"])
    if event["event"] == "sent":
        return who
    return (*who, event["_time"], event.get("ip") or "", event.get("url") or "")


def _of_tap(run: tap.Run, label: str) -> Facts:
    """The rows of one run of the tap; a row without a date has none.

    An hour that clocks repeat may be read either way: both count as the earlier.
    """
    found, zone = Facts(), ZoneInfo(zone_name(label))

    def _utc_ms(text: str | None) -> int | None:
        if not text:
            return None
        local = datetime.fromisoformat(text).astimezone(zone).replace(tzinfo=None, fold=0)
        return _ms(local.isoformat(" "), zone)

    for stream, row in tap.rows(run.output):
        kind = stream.partition("_")[2]
        if stream.startswith("list_"):
            state = kind.removesuffix("_subscribers").capitalize()
            found["state", row["ListID"], row["EmailAddress"], _utc_ms(row["Date"]), state] += 1
        elif kind == "recipients":
            found["sent", row["CampaignID"], row["ListID"], row["EmailAddress"]] += 1
        elif kind in REPORTS:
            found[_activity(REPORTS[kind], row["CampaignID"], _utc_ms(row["Date"]), row)] += 1
    return found


def _by_key(rows: Facts) -> Facts:
    """One row for each of the tap's own keys: a target that is told to replace equal keys keeps these."""
    kept: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for fact in rows:
        kept[fact[:5]] = fact
    return Counter(kept.values())


def _ms(text: str, zone: ZoneInfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000
