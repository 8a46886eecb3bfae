"""Campaign Monitor as a Source: the people of lists in all states, the activity of campaigns, webhooks.

Positions belong to (list, state) and to (campaign, report, list), so imports that overlap, or one
that is deleted and made again, read nothing twice, and a list that is chosen later gets its rows
of old campaigns. Each resource carries what a summary or the list's statistics tell of it, by which
the engine leaves alone what can't have changed (`revisits`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, cast, get_args

import msgspec

from listbridge.campaign_monitor import CampaignMonitor, gaps, repairs, revisits, zones
from listbridge.campaign_monitor.ahead import Lanes, in_order, looking
from listbridge.campaign_monitor.calls.subscribers import State
from listbridge.campaign_monitor.dated import (
    OVERLAP_MINUTES,
    Stretch,
    is_unfinished,
    read_backwards,
    read_dated,
    started_at,
)
from listbridge.campaign_monitor.errors import ApiError, NotVisible, PermissionMissing
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.gaps import Gap
from listbridge.campaign_monitor.lines import Lines, ReportLines, Row, StateLines
from listbridge.campaign_monitor.mailings import Mailing
from listbridge.campaign_monitor.memory import Memory
from listbridge.campaign_monitor.models import Campaign, ListStats, Page, Subscriber
from listbridge.campaign_monitor.paging import pages
from listbridge.campaign_monitor.reports import REPORTS, ReportName, ReportRow
from listbridge.campaign_monitor.suppression import SuppressionList
from listbridge.campaign_monitor.timezones import to_text, zone
from listbridge.campaign_monitor.visits import NOT_COMPLETE, Choice, Visits
from listbridge.campaign_monitor.webhooks import Registrar
from listbridge.errors import Skippable
from listbridge.imports.cursors import cursor_of, cursors
from listbridge.imports.protocol import Batch, Resource
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Unreadable

STATES: tuple[State, ...] = get_args(State)
ZONE_CHANGE_MINUTES = 27 * 60
"""How far before its position a run starts after the client's zone has changed: zones lie 26 hours apart."""

NO_LIST = "the client has no such list, or does not show it; it is taken up again when it is there"


class CampaignMonitorSource:
    """One client of an account, with the lists that were chosen (none: all of the client's)."""

    def __init__(
        self,
        client: CampaignMonitor,
        choice: Choice,
        memory: Memory,
        suppression: SuppressionList,
        registrar: Registrar | None,
        store: Store,
        lanes: Lanes,
        ended: Callable[[], None],
    ) -> None:
        """`lanes` are those by which the client makes its calls; `ended` is told when the last was made."""
        self._client = client
        self._ended = ended
        self._lanes = lanes
        self._store = store
        self._choice = choice
        self._memory = memory
        self._registrar = registrar
        self._suppression = suppression
        self._account: Account | None = None
        self._visits: Visits | None = None
        self._aside: dict[str, str] = {}
        self.account = choice.client_id

    def prepare(self) -> list[str]:
        """Read the client's zone, the lists' names and the suppression list, register the webhooks.

        Raises `ZoneChanged` when the zone is another one than at the first run, until that is confirmed.
        """
        with ThreadPoolExecutor(1, "suppressed") as pool:
            suppression = pool.submit(self._suppression.refresh)
            account = self._load()
            zones.keep(self._store, account.client_id, account.zone.key)
            suppression.result()
        lists = ", ".join(account.lists.values())
        done = [f"client {account.client_name}, time zone {account.zone.key}, lists: {lists}"]
        if self._registrar:
            done += self._registrar.register(account, self._aside, self._choice.polls)
        return done

    def end(self) -> None:
        self._lanes.end()
        self._ended()

    def close(self) -> None:
        """Take the webhooks away."""
        if self._registrar:
            self._registrar.remove()

    def resources(self, positions: Mapping[str, str], began: int) -> Generator[Resource, None, None]:
        """The lists' states first, then the reports of what went to the lists, in the order of sending."""
        account, visits, many = self._load(), self._visiting(), self._choice.in_flight
        with looking(many) as pool:
            visits.begin(pool)
            for list_id, stats in in_order(pool, self._stats, account.lists, many):
                yield from self._states(list_id, stats, positions, began)
            for list_id, why in self._aside.items():
                yield Resource(f"list {list_id}", (), None, problem=why)
            yield from visits.resources(pool, positions, began)

    def _visiting(self) -> Visits:
        if self._visits is None:
            self._visits = Visits(self._client, self._choice, self._memory, self._load())
        return self._visits

    def read(self, resource: Resource) -> Iterator[Batch]:
        """Raises `Skippable` for what was deleted since it was listed, or is not shown to this credential."""
        try:
            yield from self._read(resource)
        except (NotVisible, PermissionMissing) as gone:
            raise Skippable(f"it is not there any more, or not for this credential: {gone}") from gone

    def _read(self, resource: Resource) -> Iterator[Batch]:
        kind, identifier, *rest = resource.cursors[0].split(":")
        if kind == "list":
            return self._read_people(identifier, rest[0], resource.position)
        lists = frozenset(name.rsplit(":", 1)[1] for name in resource.cursors)
        mailing = self._visiting().mailing(identifier)
        if not mailing.takes_date(_report_name(rest[0])):
            return self._read_recipients(mailing.campaign, lists, resource.position)
        return self._read_report(mailing, rest[0], lists, resource.position)

    def _load(self) -> Account:
        if self._account is None:
            with ThreadPoolExecutor(1, "lists") as pool:
                named = pool.submit(self._client.lists, self.account)
                details = self._client.client(self.account).basic_details
            lists = {each.list_id: each.name for each in named.result()}
            remember_lists(self._store, self.account, lists)
            missing = [each for each in self._choice.lists if each not in lists]
            if missing and len(missing) == len(self._choice.lists):
                known = ", ".join(f"{name} ({list_id})" for list_id, name in lists.items())
                raise NotVisible(f"the client has no list {', '.join(missing)}; it has {known}")
            self._aside = dict.fromkeys(missing, NO_LIST)
            chosen = {each: lists[each] for each in self._choice.lists or lists if each in lists}
            found = zone(details.time_zone)
            zones.check(self._store, details.client_id, found.key)
            self._account = Account(details.client_id, details.company_name, found, chosen)
        return self._account

    def _stats(self, list_id: str) -> tuple[str, ListStats | ApiError]:
        try:
            return list_id, self._client.list_stats(list_id)
        except (NotVisible, PermissionMissing) as gone:
            return list_id, gone

    def _states(
        self, list_id: str, stats: ListStats | ApiError, positions: Mapping[str, str], began: int
    ) -> Iterator[Resource]:
        """The list's states. Who left is always looked for; the active rest while the statistics stay.

        A gap that was found since the run `began` is made up for by this run.
        """
        account = self._load()
        name = account.lists[list_id]
        if isinstance(stats, ApiError):
            yield Resource(name, (), None, problem=f"the list is not shown to this credential: {stats}")
            return
        after = min(gaps.last_end(self._store, list_id), began) if self._registrar else 0
        for state in STATES:
            cursor = f"list:{list_id}:{state}"
            yield Resource(
                f"{name}: {state}",
                (cursor,),
                positions.get(cursor),
                kind=state,
                basis=_digest(stats, account) if state == "active" else "",
                rest_ms=revisits.DAY_MS,
                whole_after=after,
                rows=getattr(stats, _COUNT_OF[state], 0),
            )

    def _read_people(self, list_id: str, state: Any, position: str | None) -> Iterator[Batch]:
        account = self._load()

        def fetch(date: str | None, number: int) -> Page[Subscriber]:
            return self._client.subscribers(list_id, state, date=date, page=number)

        lines = StateLines(account, list_id)
        reading = self._reading(account, position)
        missed = self._missed(list_id, state)
        goes_on = is_unfinished(reading["position"])
        for stretch in read_backwards(fetch, lambda person: person.date, **reading):
            position = _in_zone(stretch.until, account)
            batch = _batch(position, stretch, lines)
            if missed is not None:
                # First: of a batch that is stored in part, these would not be found missing again.
                told = repairs.told_of(self._store, account, list_id, state, stretch.rows, missed)
                batch.events = [*told, *batch.events]
            yield batch
        if goes_on:  # who came during the break stands after the page with which the reading began
            yield from self._read_people(list_id, state, position)

    def _missed(self, list_id: str, state: str) -> Gap | None:
        """The time of which deliveries may be missing, if no reading has made up for them yet.

        By the system's clock, as its rows are.
        """
        if self._registrar is None:
            return None
        held = cursor_of(self._store, self.account, f"list:{list_id}:{state}")
        found = gaps.gaps_after(self._store, list_id, held.whole_from) if held.complete_from else []
        if not found:
            return None
        span, offset = repairs.span_of(found), self._client.clock_offset_ms or 0
        return Gap(span.since + offset, span.until + offset)

    def _read_report(
        self, mailing: Mailing, report: Any, lists: frozenset[str], position: str | None
    ) -> Iterator[Batch]:
        account, campaign = self._load(), mailing.campaign

        def fetch(date: str | None, number: int) -> Page[ReportRow]:
            if mailing.kind == "journey":
                (list_id,) = mailing.lists
                return self._client.journey_report(
                    campaign.campaign_id, report, list_id, date=date, page=number
                )
            return self._client.report(campaign.campaign_id, report, date=date, page=number)

        lines = self._report_lines(campaign, report, lists)
        known = self._reading(account, position)
        for stretch in read_dated(fetch, _date_of, reading=self._lanes.reading, **known):
            yield _batch(_in_zone(stretch.until, account), stretch, lines)

    def _report_lines(self, campaign: Campaign, report: str, lists: frozenset[str]) -> ReportLines:
        return ReportLines(self._load(), campaign, report, lists, with_places=self._choice.with_places)

    def _reading(self, account: Account, position: str | None) -> dict[str, Any]:
        """From where a dated resource is read, how far before that, and the minute of now there."""
        text, _, zone_name = (position or "").partition("@")
        same = zone_name == account.zone.key
        now = now_ms() + (self._client.clock_offset_ms or 0)
        return {
            "position": text if same else started_at(text),
            "latest": to_text(now, account.zone),
            "overlap_minutes": OVERLAP_MINUTES if same else ZONE_CHANGE_MINUTES,
        }

    def _read_recipients(
        self, campaign: Campaign, lists: frozenset[str], position: str | None
    ) -> Iterator[Batch]:
        """Recipients have no date: they are read by page, until all of them are there.

        The position is `page:total` or `done:total`. When the total changed on the way, the sending
        goes on and rows moved between the pages: -1 stands for it, and all are read again.
        """
        report: ReportName = "recipients"
        first, total = _page_and_total(position)

        def fetch(number: int) -> Page[ReportRow]:
            return self._client.report(campaign.campaign_id, report, page=number)

        lines, read = self._report_lines(campaign, report, lists), 0
        with self._lanes.reading(fetch) as ordered:
            for page in pages(ordered, first=first):
                read += 1
                total = page.total_number_of_records if total in (None, page.total_number_of_records) else -1
                at = f"{'done' if page.is_last else page.page_number + 1}:{total}"
                yield _batch(at, Stretch(page.results, at, page.unreadable), lines)
        if not read:  # there are fewer pages than there were
            yield Batch(NOT_COMPLETE)


_COUNT_OF: Mapping[State, str] = {
    "active": "total_active_subscribers",
    "unconfirmed": "",
    "unsubscribed": "total_unsubscribes",
    "bounced": "total_bounces",
    "deleted": "total_deleted",
}
"""State -> its number in a list's statistics, which don't count the unconfirmed."""


def _digest(stats: ListStats, account: Account) -> str:
    told = hashlib.blake2b(msgspec.json.encode(stats), digest_size=8).hexdigest()
    return f"{told}@{account.zone.key}"


def _report_name(text: str) -> ReportName:
    return next(name for name in REPORTS if name == text)


def opt_outs_read_at(store: Store, client_id: str, list_id: str) -> int:
    """As of when all of a list's states but active have been read (epoch ms; 0: never)."""
    held = cursors(store, client_id)
    names = [f"list:{list_id}:{state}" for state in STATES if state != "active"]
    return min(held[name].complete_from if name in held else 0 for name in names)


def remember_lists(store: Store, client_id: str, lists: Mapping[str, str]) -> None:
    """Keep which lists are a client's; one that it had stays."""
    for list_id, name in lists.items():
        store.client.hset(keys.client_lists(client_id), list_id, name)


def lists_of(store: Store, client_id: str) -> frozenset[str]:
    """The lists that a client is known to have."""
    held = cast(list[bytes], store.client.hkeys(keys.client_lists(client_id)))
    return frozenset(each.decode() for each in held)


def _page_and_total(position: str | None) -> tuple[int, int | None]:
    """The page to read next and the total that belongs to it, None when the reading starts."""
    page, _, total = (position or "").partition(":")
    return (int(page), int(total)) if page.isdigit() else (1, None)


def _in_zone(position: str, account: Account) -> str:
    """A position of a dated resource: its times mean something else when the client's zone changes."""
    return f"{position}@{account.zone.key}"


_date_of: Callable[[ReportRow], str] = attrgetter("date")
"""Of a row with a date: recipients are read by page."""


def _batch(position: str, stretch: Stretch[Row], lines: Lines[Row]) -> Batch:
    events, unreadable = lines.made(stretch.rows, now_ms())
    unreadable += [Unreadable(lines.stream, bad.raw, bad.reason) for bad in stretch.unreadable]
    count = len(stretch.rows) + len(stretch.unreadable)
    return Batch(position, events, unreadable, count, stretch.pages)
