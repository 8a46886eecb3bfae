"""Decoding a page of 1,000 rows: from the answer's bytes to Structs, and on to events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from bench.imports.accounts import Plan, made
from listbridge.campaign_monitor.answers import Answer, decode_page
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.lines import Lines, ReportLines, StateLines
from listbridge.campaign_monitor.models import Campaign, Subscriber
from listbridge.campaign_monitor.reports import REPORTS
from simulator.paging import PageRequest, envelope
from simulator.rows import subscriber_row

ROWS = 1000
AGAIN = 200


@dataclass(frozen=True)
class Decoded:
    """Milliseconds of a page of 1,000 rows, medians; `events_ms` is what follows: ids and lines of JSON."""

    page: str
    kib: float
    decode_ms: float
    events_ms: float


def run(*, say: Callable[[str], None]) -> list[Decoded]:
    """A page of each large report, and of a list's people."""
    account = made(Plan(lists=1, people=ROWS, campaigns=1, recipients=ROWS, opens=ROWS, clicks=ROWS))
    client = next(iter(account.clients.values()))
    target, campaign = next(iter(client.lists.values())), next(iter(client.campaigns.values()))
    told = Account(
        client.client_id, client.name, ZoneInfo("Australia/Sydney"), {target.list_id: target.title}
    )
    sent = Campaign(campaign.campaign_id, campaign.name, campaign.sent_date)
    found = []
    for name in ("recipients", "opens", "clicks"):
        rows = campaign.reports[name].rows()

        lines = ReportLines(told, sent, name, {target.list_id}, with_places=True)
        found.append(_measured(name, rows, REPORTS[name].row, lines))  # type: ignore[index]
        say(str(found[-1]))
    people = [subscriber_row(account, target, person) for person in target.subscribers.values()]
    found.append(_measured("active", people, Subscriber, StateLines(told, target.list_id)))
    return found


def _measured(name: str, rows: Any, kind: Any, lines: Lines[Any]) -> Decoded:
    body = msgspec.json.encode(envelope(rows, ROWS, PageRequest(1, ROWS, "date", False)))
    answer = Answer("GET /page", 200, {}, body)
    page = decode_page(answer, kind)
    if len(page.results) != ROWS:
        raise RuntimeError(f"{len(page.results)} rows of {name} were read instead of {ROWS}")

    def written() -> None:
        lines.made(page.results, 0)

    return Decoded(name, len(body) / 1024, _ms(lambda: decode_page(answer, kind)), _ms(written))


def _ms(work: Callable[[], Any]) -> float:
    taken = []
    for _ in range(AGAIN):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken) * 1000
