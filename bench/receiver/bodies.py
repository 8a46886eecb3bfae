"""Bodies as they are posted to the two doors, each event about another person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

LIST: Final = "96c0bbdaa54760c8d9e62a2b7ffa2e13"
AUDIENCES: Final = ("beach-lovers", "city-breakers", "frequent-flyers", "win-back")
PEOPLE: Final = 10_000_000

Events = Callable[[Iterator[int], int, datetime], bytes]
"""The events' numbers, how many events, and when. `people` is after how many numbers a person comes again."""


def delivery(
    numbers: Iterator[int], events: int, at: datetime, *, people: int = PEOPLE, list_id: str = LIST
) -> bytes:
    """As Campaign Monitor posts it: of ten events six updates, three subscriptions, one opt-out.

    `at` is in the client's zone, which is UTC here.
    """
    date = at.strftime("%Y-%m-%d %H:%M:%S")
    rows = ",".join(_told(number, date, people) for number in islice(numbers, events))
    return f'{{"ListID":"{list_id}","Events":[{rows}]}}'.encode()


def _told(number: int, date: str, people: int) -> str:
    email, kind = f"reader.{number % people:07d}@example.com", number % 10
    head = (
        f'{{"CustomFields":[{{"Key":"Town","Value":"Town {number % 997}"}},'
        f'{{"Key":"Tier","Value":"gold"}}],"Date":"{date}","EmailAddress":"{email}",'
        f'"Name":"Reader Number {number}",'
    )
    if kind < 6:
        return f'{head}"OldEmailAddress":"{email}","State":"Active","Type":"Update"}}'
    if kind < 9:
        return f'{head}"SignupIPAddress":"198.51.100.{number % 250}","Type":"Subscribe"}}'
    return f'{head}"State":"Unsubscribed","Type":"Deactivate"}}'


def audience_events(numbers: Iterator[int], events: int, at: datetime, *, people: int = PEOPLE) -> bytes:
    """As `POST /v1/audiences/events` takes it: three attributes each; people enter and leave in turn."""
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rows = ",".join(_entry(number, stamp, people) for number in islice(numbers, events))
    return f'{{"events":[{rows}]}}'.encode()


def _entry(number: int, stamp: str, people: int) -> str:
    word = "exit" if number // people % 2 else "enter"
    return (
        f'{{"email":"reader.{number % people:07d}@example.com","audience":"{AUDIENCES[number % people % 4]}",'
        f'"event":"{word}","timestamp":"{stamp}.{number % 1000:03d}Z","fields":{{'
        f'"name":"Reader Number {number}","town":"Town {number % 997}","tier":"gold"}}}}'
    )
