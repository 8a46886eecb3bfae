"""Visits to what was sent: which campaigns and automated e-mails there are, and what each report of them has.

A visit costs a call for the summary. By its counts the engine leaves alone what can't have changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from listbridge.campaign_monitor import CampaignMonitor, revisits
from listbridge.campaign_monitor.ahead import in_order
from listbridge.campaign_monitor.errors import NotVisible, PermissionMissing
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.mailings import Counted, Mailing, automated, counts_of
from listbridge.campaign_monitor.memory import Memory
from listbridge.campaign_monitor.models import Campaign, NamedJourney, Page
from listbridge.campaign_monitor.paging import pages
from listbridge.campaign_monitor.reports import REPORTS, ReportName
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.imports.protocol import Resource
from listbridge.store.store import now_ms

NOT_COMPLETE = "done:-1"
"""The position in recipients whose number changed while they were read."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is read of a client; no `lists` means all.

    `since` is a day (`YYYY-MM-DD`, in the client's zone): campaigns that were sent before are left out.
    `keeps_updated`: older mailings are visited rarely. `with_places`: events keep IP address and coordinates.
    `in_flight`: how many summaries are asked for at a time.
    """

    client_id: str
    lists: tuple[str, ...] = ()
    keeps_updated: bool = False
    reports: tuple[ReportName, ...] = tuple(REPORTS)
    since: str = ""
    newest_first: bool = False
    with_places: bool = True
    in_flight: int = 4
    polls: str = "when it runs"
    """How often lists are read, in words."""


class Visits:
    """The mailings of one client that went to the chosen lists."""

    def __init__(self, client: CampaignMonitor, choice: Choice, memory: Memory, account: Account) -> None:
        self._client = client
        self._choice = choice
        self._memory = memory
        self._account = account
        self._mailings: dict[str, Mailing] = {}

    def mailing(self, identifier: str) -> Mailing:
        """One that was visited."""
        return self._mailings[identifier]

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Ask for what there is."""
        self._page = pool.submit(self._campaign_page, 1)
        self._named = pool.submit(self._journeys)

    def resources(
        self, pool: ThreadPoolExecutor, positions: Mapping[str, str], began: int
    ) -> Iterator[Resource]:
        """The reports of campaigns, then those of automated e-mails; what is gone comes with its problem.

        After `begin`.
        """
        for found in self._visited(pool, began):
            if isinstance(found, Mailing):
                yield from self._reports(found, positions, began)
            else:
                yield found

    def _visited(self, pool: ThreadPoolExecutor, began: int) -> Iterator[Mailing | Resource]:
        many = self._choice.in_flight
        asked = (self._asked(pool, campaign, began) for campaign in self._campaigns())
        yield from filter(None, in_order(pool, lambda visit: visit(), asked, many))
        try:
            journeys = self._named.result()
        except (NotVisible, PermissionMissing) as refused:
            yield _gone("journeys", f"they are not shown to this credential: {refused}")
            return
        for emails in in_order(pool, self._visit_journey, journeys, many):
            yield from emails

    def _campaigns(self) -> Iterator[Campaign]:
        """In the order of sending, or against it; each once, though pages may shift."""
        seen: set[str] = set()
        for page in pages(lambda number: self._page.result() if number == 1 else self._campaign_page(number)):
            for campaign in page.results:
                sent_on = campaign.sent_date[: len("2010-12-14")]
                if campaign.campaign_id not in seen and sent_on >= self._choice.since:
                    seen.add(campaign.campaign_id)
                    yield campaign

    def _campaign_page(self, number: int) -> Page[Campaign]:
        since = self._choice.since
        return self._client.campaigns(
            self._account.client_id,
            page=number,
            sent_from=revisits.day_before(since) if since else None,
            order_direction="desc" if self._choice.newest_first else "asc",
        )

    def _asked(
        self, pool: ThreadPoolExecutor, campaign: Campaign, began: int
    ) -> Callable[[], Mailing | Resource | None]:
        """What visits the campaign. Where all lists are read, its counts are asked for at once."""
        sent_at = _moment(campaign.sent_date, self._account, began)
        counts = partial(self._counts, campaign.campaign_id, sent_at, began)
        soon = counts if self._choice.lists else pool.submit(counts).result
        return partial(self._visit, campaign, sent_at, soon)

    def _visit(
        self, campaign: Campaign, sent_at: int, counts: Callable[[], Counted]
    ) -> Mailing | Resource | None:
        """The campaign with its counts; None when it went to none of the lists, a resource if it is gone."""
        campaign_id = campaign.campaign_id
        try:
            sent_to = self._memory.lists(
                campaign_id, lambda: self._client.campaign_lists_and_segments(campaign_id).list_ids
            )
            lists = sent_to & self._account.lists.keys()
            if not lists:
                return None
            counted = counts()
        except (NotVisible, PermissionMissing) as gone:
            return _gone(campaign.name, f"the campaign is gone, or not for this credential: {gone}")
        made = Mailing("campaign", campaign, tuple(sorted(lists)), sent_at, counted)
        self._mailings[campaign_id] = made
        return made

    def _counts(self, campaign_id: str, sent_at: int, began: int) -> Counted:
        good_since = self._good_since(began, revisits.visit_ms(began - sent_at))
        return self._memory.counts(f"campaign:{campaign_id}", good_since, lambda: self._counted(campaign_id))

    def _counted(self, campaign_id: str) -> Counted:
        at = now_ms()
        return Counted(at, dict(counts_of(self._client.campaign_summary(campaign_id))))

    def _good_since(self, began: int, visit_ms: int) -> int:
        """Since when counts must have been read: since the run began, or for the old once in a while."""
        since = began - visit_ms if self._choice.keeps_updated else began
        return max(since, min(self._memory.asked_again_at(), began))

    def _journeys(self) -> list[NamedJourney]:
        found = {each.journey_id: each for each in self._client.journeys(self._account.client_id)}
        return [each for each in found.values() if each.list_id in self._account.lists]

    def _visit_journey(self, journey: NamedJourney) -> list[Mailing | Resource]:
        """The journey's e-mails with their counts."""
        at = now_ms()
        try:
            summary = self._client.journey_summary(journey.journey_id)
        except (NotVisible, PermissionMissing) as gone:
            return [_gone(journey.name, f"the journey is gone, or not for this credential: {gone}")]
        made = [automated(summary, email, journey.list_id, at) for email in summary.emails]
        self._mailings |= {each.campaign.campaign_id: each for each in made}
        return [*made]

    def _reports(self, mailing: Mailing, positions: Mapping[str, str], began: int) -> Iterator[Resource]:
        """A resource per report and per position, so that lists at the same position are read together."""
        for report in mailing.reports:
            if report not in self._choice.reports:
                continue
            groups: dict[str | None, list[str]] = defaultdict(list)
            for list_id in mailing.lists:
                cursor = mailing.cursor(report, list_id)
                groups[positions.get(cursor)].append(cursor)
            for position, names in groups.items():
                yield self._report(mailing, report, tuple(names), position, began)

    def _report(
        self, mailing: Mailing, report: ReportName, names: tuple[str, ...], position: str | None, began: int
    ) -> Resource:
        counts = mailing.counted.counts
        basis = revisits.basis(report, counts, self._account.zone.key)
        rest = revisits.rest_ms(began - mailing.sent_at)
        whole_after = revisits.whole_after(mailing.sent_at, began, names[0])
        if mailing.kind == "journey":
            rest, whole_after = revisits.JOURNEY_REST_MS, revisits.journey_whole_after(began, names[0])
        elif not mailing.takes_date(report):
            # Always read from the beginning, and complete when there are as many as were sent to.
            basis = "" if position == NOT_COMPLETE else basis
            is_complete = position == f"done:{mailing.campaign.total_recipients}"
            rest, whole_after = (revisits.FOR_EVER_MS if is_complete else revisits.LONGEST_REST_MS), 0
        return Resource(
            f"{mailing.name}: {report}",
            names,
            position,
            kind=report,
            basis=basis,
            rest_ms=rest,
            whole_after=whole_after,
            takes_date=mailing.takes_date(report),
            rows=revisits.rows_counted(report, counts),
        )


def _gone(name: str, problem: str) -> Resource:
    return Resource(name, (), None, problem=problem)


def _moment(text: str, account: Account, unknown: int) -> int:
    """A time of the API, epoch ms, or `unknown` when it can't be read."""
    try:
        return to_epoch_ms(text, account.zone)
    except ValueError:
        return unknown
