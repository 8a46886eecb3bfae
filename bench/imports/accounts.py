"""The simulated accounts that are read: of a given size, and one whose rows change while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from bench.service import API_KEY
from simulator import readers, reports, timezones
from simulator.account import Account, Campaign, Client, Subscriber, SubscriberList
from simulator.clock import moment

LINKS: Final = tuple(f"https://news.example/offers/{number}?utm_source=mail" for number in range(12))
PER_MINUTE: Final = 40
"""Rows of a report that come in one minute."""


class Plan(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The size of an account. Each campaign's reports have so many rows; `lazy` ones are made when asked for.

    `zones` are labels: a client for each, all alike. `shifts`: how many late rows come into each long report
    while its pages are read. `age_days`: how long ago the first campaign was sent.
    """

    lists: int = 2
    people: int = 10_000
    campaigns: int = 10
    recipients: int = 8_000
    opens: int = 9_000
    clicks: int = 3_000
    bounces: int = 100
    seed: int = 1
    age_days: int = 100
    twins: float = 0.125
    shifts: int = 0
    lazy: bool = False
    zones: tuple[str, ...] = (timezones.DEFAULT,)

    @property
    def rows(self) -> int:
        """All rows of one client's reports and lists."""
        of_campaign = self.recipients + self.opens + self.clicks + self.bounces
        return self.lists * self.people + self.campaigns * of_campaign


def made(plan: Plan) -> Account:
    """The account of a plan: the same for the same plan and time."""
    account = Account(API_KEY, plan.seed)
    for number, label in enumerate(plan.zones):
        client = account.add_client(f"Bench {number}", label)
        lists = [_list(account, client, f"List {each}", plan) for each in range(plan.lists)]
        for each in range(plan.campaigns):
            _campaign(account, client, lists[each % len(lists)], each, plan)
    return account


def _list(account: Account, client: Client, title: str, plan: Plan) -> SubscriberList:
    target = account.add_list(client, title)
    start = account.clock.now() - timedelta(days=plan.age_days + 300)
    text = _minutes(start, client)
    for number in range(plan.people):
        email, at = f"p{number}@example.com", text(number * 43_200 // plan.people)
        target.subscribers[email] = Subscriber(email, f"Person {number}", "Active", at, at)
    return target


def _campaign(account: Account, client: Client, target: SubscriberList, number: int, plan: Plan) -> None:
    ago = timedelta(days=plan.age_days * (plan.campaigns - number) / plan.campaigns)
    sent = (account.clock.now() - ago).replace(second=0, microsecond=0)
    people = [person.email for person in target.subscribers.values()]
    kind: Any = _Lazy if plan.lazy else _eager
    making = _Making(people, target.list_id, _minutes(sent, client), Random(f"{plan.seed}:{number}"), plan)
    recipients = reports.Report([reports.Recipient(each, target.list_id) for each in people], "email")
    if plan.recipients < len(people):
        recipients = reports.Report(recipients.rows()[: plan.recipients], "email")
    made = {
        **reports.empty(),
        "recipients": recipients,
        "opens": kind(making.open, plan.opens),
        "clicks": kind(making.click, plan.clicks),
        "bounces": kind(making.bounce, plan.bounces),
    }
    campaign = Campaign(
        campaign_id=account.new_id(),
        client=client,
        name=f"Campaign {number}",
        subject="News",
        sent=sent,
        sent_date=moment(sent, client.zone).minute,
        tags=[],
        links=list(LINKS),
        lists=[target],
        segments=[],
        audience=[(email, target.list_id) for email in people[: plan.recipients]],
        reports=made,
    )
    client.campaigns[campaign.campaign_id] = campaign


def _minutes(start: datetime, client: Client) -> Any:
    """Minutes after `start` -> the API's text."""
    known: dict[int, str] = {}
    zone, first = client.zone, start.astimezone(UTC)

    def text(minutes: int) -> str:
        if minutes not in known:
            known[minutes] = moment(first + timedelta(minutes=minutes), zone).minute
        return known[minutes]

    return text


@dataclass
class _Making:
    """Makes the rows of one campaign, ascending by minute."""

    people: Sequence[str]
    list_id: str
    text: Any
    chance: Random
    plan: Plan

    def open(self, number: int) -> reports.Open:
        who = self.people[number * 7919 % len(self.people)]
        return readers.opening(self.chance, who, self.list_id, self.text(number // PER_MINUTE))

    def click(self, number: int) -> reports.Click:
        """One in eight is equal to the one before."""
        every = round(1 / self.plan.twins) if self.plan.twins else 0
        number -= 1 if every and number % every == 1 else 0
        who = self.people[number * 104_729 % len(self.people)]
        return readers.clicking(
            who, self.list_id, self.text(number // PER_MINUTE), LINKS[number % len(LINKS)]
        )

    def bounce(self, number: int) -> reports.Bounce:
        who = self.people[number * 31 % len(self.people)]
        return reports.Bounce(who, self.list_id, "Soft", self.text(number // PER_MINUTE), "Mailbox Full")


def _eager(make: Any, count: int) -> reports.Report:
    return reports.Report([make(number) for number in range(count)])


class _Rows(Sequence[Any]):
    """Rows that are made when they are asked for."""

    def __init__(self, make: Any, numbers: range) -> None:
        self._make, self._numbers = make, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return [self._make(number) for number in self._numbers[which]]
        return self._make(self._numbers[which])


class _Lazy(reports.Report):
    """A report of any length that takes no memory; nothing can be added to it."""

    def __init__(self, make: Any, count: int) -> None:
        super().__init__()
        self._made = _Rows(make, range(count))
        self._making, self._count = make, count

    def __len__(self) -> int:
        return self._count

    def rows(self, _order: str = "", since: str | None = None, *, inclusive: bool = True) -> Sequence[Any]:
        """By date only."""
        if since is None:
            return self._made
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            date = self._made[middle].Date
            low, high = (
                (middle + 1, high) if date < since or (date == since and not inclusive) else (low, middle)
            )
        return _Rows(self._making, range(low, self._count))

    def people(self) -> frozenset[str]:
        return frozenset()
