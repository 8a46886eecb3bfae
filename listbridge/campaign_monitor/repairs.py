"""What deliveries would have told of a gap, made from the rows of the lists' states.

An opt-out or a subscription that lies in the gap becomes the event that its webhook would have been, with
the same identity, so that a delivery that still comes doubles nothing. So does a row of ours that was written
in the gap. Names and custom fields carry no date: who has others than any row showed before, and than our own
last row's echo told, gets them as of just before the gap's end, so that a later word of a webhook stays the
latest, and so does an opt-out of that minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from listbridge.campaign_monitor.calls.subscribers import State
from listbridge.campaign_monitor.events import (
    DEACTIVATIONS,
    SELF,
    Account,
    custom_values,
    opt_out,
    status,
    status_event,
    subscription,
)
from listbridge.campaign_monitor.gaps import Gap
from listbridge.campaign_monitor.incoming import options_of
from listbridge.campaign_monitor.models import Subscriber
from listbridge.campaign_monitor.timezones import to_epoch_ms, to_text
from listbridge.exports.delivered import Delivered, content
from listbridge.exports.ledger import delivered_to
from listbridge.exports.setup import Setup, setup_of
from listbridge.identity import person_key
from listbridge.store.store import Store
from listbridge.streams.events import Event
from listbridge.streams.log import strangers
from listbridge.streams.tombstones import gone

MARGIN_MS = 10 * 60_000
"""A gap is taken to begin so much earlier: what was on its way when it began was lost too."""
MINUTE_MS = 60_000
ECHO_MS = 120_000
"""How far a row's minute may lie from our own write to be made by it."""

TOLD: dict[State, str] = {"unsubscribed": "Unsubscribed", "bounced": "Bounced", "deleted": "Deleted"}
"""State -> the State that a Deactivate webhook would have had."""


def span_of(gaps: Sequence[Gap]) -> Gap:
    """One gap that covers all."""
    return Gap(min(each.since for each in gaps), max(each.until for each in gaps))


def told_of(
    store: Store, account: Account, list_id: str, state: State, people: Iterable[Subscriber], gap: Gap
) -> list[Event]:
    """The events that stand for deliveries of the gap that are missing, of people in one state."""
    rows = [each for person in people if (each := _dated(person, account)) is not None]
    within = [each for each in rows if each[2] >= gap.since - MARGIN_MS]
    if state in TOLD:
        return [_left(account, list_id, TOLD[state], key, person) for key, person, _ in within]
    if state != "active":
        return []
    ours = _written_by_us(store, list_id, within)
    found = [_joined(account, list_id, key, person, own=key in ours) for key, person, _ in within]
    return found + _changed(store, account, list_id, rows, gap)


Dated = tuple[str, Subscriber, int]
"""A person's key, their row, and since when they are in that state (epoch ms)."""


def _dated(person: Subscriber, account: Account) -> Dated | None:
    key = person_key(person.email_address)
    try:
        return None if key is None else (key, person, to_epoch_ms(person.date, account.zone))
    except ValueError:
        return None  # the row itself is set aside


def _left(account: Account, list_id: str, state: str, key: str, person: Subscriber) -> Event:
    word, address = DEACTIVATIONS[state], person.email_address
    return opt_out(account, list_id, key, address=address, word=word, date=person.date, state=state)


def _joined(account: Account, list_id: str, key: str, person: Subscriber, *, own: bool) -> Event:
    return subscription(
        account,
        list_id,
        key,
        address=person.email_address,
        date=person.date,
        name=person.name,
        custom_fields=custom_values(person.custom_fields) or None,
        origin=SELF if own else None,
    )


def _written_by_us(store: Store, list_id: str, rows: Sequence[Dated]) -> set[str]:
    """Who came into the list, as far as can be told, by a row of ours: nobody was active then."""
    held = delivered_to(store, list_id, [key for key, _, _ in rows]) if rows else {}
    at = {key: moment for key, _, moment in rows}
    return {
        key
        for key, told in held.items()
        if any(abs(at[key] - written) <= ECHO_MS for written, _ in told.writes)
    }


def _changed(store: Store, account: Account, list_id: str, rows: Sequence[Dated], gap: Gap) -> list[Event]:
    """Names and fields as they are, of people whose row was never read like this, nor told as our own.

    Their events are of the gap's end, so nothing is told of who was erased: nobody knows of a change.
    """
    as_of = to_text(gap.until - MINUTE_MS, account.zone)
    before = to_epoch_ms(as_of, account.zone)
    made: dict[bytes, tuple[Event, Subscriber]] = {}
    for _, person, at in rows:
        row = status_event(account, list_id, person)
        if isinstance(row, Event) and at < before:
            made[row.id] = (row, person)
    fresh = strangers(store, [row for row, _ in made.values()])
    erased = gone(store, {row.key for row in fresh})
    people = {row.key: made[row.id][1] for row in fresh if row.key not in erased}
    echoes = _echoes(store, account, list_id, people)
    unheard = {
        event.id for event in strangers(store, [each for _, events in echoes.values() for each in events])
    }
    found: list[Event] = []
    for key, person in people.items():
        written, events = echoes.get(key, (0, []))
        if any(each.id not in unheard for each in events):
            continue
        lost = events and gap.since - MARGIN_MS <= written <= gap.until
        found.append(events[0] if lost else _as_of(account, list_id, key, person, as_of))
    return found


def _echoes(
    store: Store, account: Account, list_id: str, people: Mapping[str, Subscriber]
) -> dict[str, tuple[int, list[Event]]]:
    """Of whose row is as we wrote it last: when that was (epoch ms), and the states that its webhook may have
    told. A call takes its time, so the webhook may be of the minute after that in which it began."""
    setup = setup_of(store, list_id)
    held = delivered_to(store, list_id, [*people]) if setup is not None else {}
    found: dict[str, tuple[int, list[Event]]] = {}
    for key, told in held.items():
        person = people[key]
        if setup is None or not _is_as_written(person, setup, told):
            continue
        written = told.writes[-1][0]
        dates = [to_text(at, account.zone) for at in (written, written + MINUTE_MS)]
        found[key] = (
            written,
            [_as_of(account, list_id, key, person, date, origin=SELF) for date in dates],
        )
    return found


def _is_as_written(person: Subscriber, setup: Setup, told: Delivered) -> bool:
    if not told.writes:
        return False
    options = options_of(person.custom_fields, setup)
    return content(person.name if told.name is not None else None, options) == told.writes[-1][1]


def _as_of(
    account: Account, list_id: str, key: str, person: Subscriber, date: str, origin: str | None = None
) -> Event:
    return status(
        account,
        list_id,
        key,
        address=person.email_address,
        state=person.state,
        date=date,
        name=person.name,
        fields=custom_values(person.custom_fields),
        origin=origin,
    )
