"""Journeys: automated e-mails to whoever joins a list, and what people did with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from simulator import readers
from simulator.account import Account, Client, Subscriber, SubscriberList
from simulator.clock import moment
from simulator.people import ip_of
from simulator.reports import Click, Open, Report

JOURNEY_REPORTS = ("recipients", "opens", "clicks", "bounces", "unsubscribes")
_EMAILS = (("Welcome", timedelta(minutes=5)), ("What to pack", timedelta(days=7)))
_LINK = "https://meridian.example/welcome/{number}"


class Recipient(msgspec.Struct, frozen=True, gc=False, rename={"Date": "SentDate"}):
    """Whom the e-mail was sent to, and when."""

    EmailAddress: str
    Date: str


class Opened(msgspec.Struct, frozen=True, gc=False):
    """One opening; no row of a journey names a list."""

    EmailAddress: str
    Date: str
    IPAddress: str
    Latitude: float
    Longitude: float
    City: str
    Region: str
    CountryCode: str
    CountryName: str


class Clicked(msgspec.Struct, frozen=True, gc=False):
    """One click on a link."""

    EmailAddress: str
    Date: str
    URL: str
    IPAddress: str
    Latitude: float
    Longitude: float
    City: str
    Region: str
    CountryCode: str
    CountryName: str


class Bounced(msgspec.Struct, frozen=True, gc=False):
    """One bounce."""

    EmailAddress: str
    BounceType: str
    Date: str
    Reason: str


class Left(msgspec.Struct, frozen=True, gc=False):
    """One use of the unsubscribe link."""

    EmailAddress: str
    Date: str
    IPAddress: str


@dataclass(slots=True)
class Email:
    """An automated e-mail."""

    email_id: str
    name: str
    reports: dict[str, Report] = field(
        default_factory=lambda: {name: Report(main_order="date") for name in JOURNEY_REPORTS}
    )

    def figures(self) -> dict[str, Any]:
        """As a journey's summary shows it."""
        reports = self.reports
        return {
            "EmailID": self.email_id,
            "Name": self.name,
            "Bounced": len(reports["bounces"]),
            "Clicked": len(reports["clicks"].people()),
            "Opened": len(reports["opens"]),
            "Sent": len(reports["recipients"]),
            "UniqueOpened": len(reports["opens"].people()),
            "Unsubscribed": len(reports["unsubscribes"]),
        }


@dataclass(slots=True)
class Journey:
    """Started by whoever joins its list."""

    journey_id: str
    client: Client
    owner: SubscriberList
    name: str
    emails: list[Email]
    status: str = "Active"
    trigger: str = "On Subscription"


def start_journeys(account: Account, client: Client, count: int, since: datetime, chance: Random) -> None:
    """Make journeys on the client's lists in turn, for all who joined after `since`."""
    lists = list(client.lists.values())
    now = account.clock.now()
    for number in range(count):
        owner = lists[number % len(lists)]
        emails = [Email(account.new_id(), name) for name, _ in _EMAILS]
        journey = Journey(account.new_id(), client, owner, f"{owner.title} welcome {number + 1}", emails)
        client.journeys[journey.journey_id] = journey
        oldest = moment(since, client.zone).minute
        for person in owner.subscribers.values():
            if person.joined >= oldest:
                joined = datetime.fromisoformat(person.joined).replace(tzinfo=client.zone)
                _accompany(journey, person, joined, now, chance)


def _accompany(journey: Journey, person: Subscriber, joined: datetime, now: datetime, chance: Random) -> None:
    for email, (_, later) in zip(journey.emails, _EMAILS, strict=True):
        if (at := joined + later) >= now:
            return
        sent = moment(at, journey.client.zone).minute
        email.reports["recipients"].add(Recipient(person.email, sent))
        if chance.random() < 0.03:
            email.reports["bounces"].add(Bounced(person.email, "Soft", sent, "Soft Bounce - Mailbox Full"))
            continue
        while chance.random() < 0.5:
            _read(journey, email, person.email, at + (now - at) * chance.random() ** 4, chance)
        if chance.random() < 0.02:
            left = moment(at + (now - at) * chance.random(), journey.client.zone).minute
            email.reports["unsubscribes"].add(Left(person.email, left, ip_of(person.email)))


def _read(journey: Journey, email: Email, address: str, at: datetime, chance: Random) -> int:
    """An opening, and now and then a click or two equal ones; -> rows written."""
    date = moment(at, journey.client.zone).minute
    email.reports["opens"].add(_without_list(Opened, readers.opening(chance, address, "", date)))
    if chance.random() > 0.3:
        return 1
    url = _LINK.format(number=chance.randrange(3))
    clicks = 2 if chance.random() < 0.125 else 1
    for _ in range(clicks):
        email.reports["clicks"].add(_without_list(Clicked, readers.clicking(address, "", date, url)))
    return 1 + clicks


def _without_list(kind: type[Any], row: Open | Click) -> Any:
    values = msgspec.structs.asdict(row)
    del values["ListID"]
    return kind(**values)


def produce(account: Account, rows: int, seed: int = 1) -> int:
    """Let people read automated e-mails now, until at least `rows` rows are there; -> how many there are."""
    chance = Random(f"journeys:{seed}")
    journeys = [each for client in account.clients.values() for each in client.journeys.values()]
    emails = [
        (journey, email)
        for journey in journeys
        for email in journey.emails
        if len(email.reports["recipients"])
    ]
    written = 0
    while emails and written < rows:
        journey, email = chance.choice(emails)
        reader = chance.choice(email.reports["recipients"].rows())
        at = account.clock.now() - timedelta(minutes=5 * chance.random())
        written += _read(journey, email, reader.EmailAddress, at, chance)
    return written
