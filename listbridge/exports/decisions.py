"""What to do about one person in one list: pure, decided anew at every attempt.

The order of the questions is the promise that an opt-out is never undone: who opted out is held
back here, whatever changed about them, unless a feed says otherwise and a later opt-in is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from listbridge.exports.delivered import Delivered, Refused, content
from listbridge.exports.protocol import FieldValue, Flags, Row
from listbridge.profiles.membership import Membership

MINUTE_MS = 60_000
MAX_VALUE = 250
"""Characters in a custom field's value (the API's documented limit)."""

OPTED_OUT = frozenset({"unsubscribed", "deleted", "bounced", "suppressed", "unconfirmed"})
"""Statuses in which a list does not take a person back without the resubscribe switch."""

Resubscribe = Literal["never", "when_opted_in_later"]


@dataclass(frozen=True, slots=True)
class Feed:
    """One export into the list. `audiences` maps slugs to the labels that the list shows."""

    workflow_id: str
    running: bool
    started_at: int
    audiences: Mapping[str, str]
    existing_users: bool = False
    resubscribe: Resubscribe = "never"
    queue_autoresponders: bool = False
    queue_autoresponders_on_backfill: bool = False


@dataclass(frozen=True, slots=True)
class ListSpec:
    """All exports into one list, taken together. `fields` maps profile fields to the system's keys."""

    list_id: str
    feeds: tuple[Feed, ...]
    labels: tuple[str, ...]
    """Every label that we ever made an option for."""
    email_field: str = "email"
    name_field: str | None = None
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a person that matters to a list."""

    key: str
    fields: Mapping[str, Any]
    memberships: Mapping[str, Membership]
    status: tuple[str, int] | None = None
    """Their status in this list and its time (epoch ms), as the streams tell it."""
    opted_in_at: int | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to send: `reason` is "unchanged", "not in an audience" or "refused before"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not sent: the reason is ours."""

    code: str
    message: str
    row: Row


@dataclass(frozen=True, slots=True)
class ReadBack:
    """In no audience and in doubt: see whether the list has them, so that nobody is added to be cleared."""

    row: Row


@dataclass(frozen=True, slots=True)
class Send:
    row: Row
    flags: Flags


Decision = Skip | Refuse | ReadBack | Send


def decide(
    person: Person,
    spec: ListSpec,
    delivered: Delivered | None,
    refused: Refused | None,
    *,
    in_doubt: bool,
) -> Decision:
    """What this list should be told of this person now.

    `in_doubt` people are always sent (we don't know what the list holds), with all switches off.
    """
    options = wanted_options(person, spec, delivered)
    if not options and delivered is None and not in_doubt:
        return Skip("not in an audience")
    row = build_row(person, spec, options, delivered, in_doubt=in_doubt)
    if delivered is not None and not in_doubt and refused is None and delivered.holds(row):
        return Skip("unchanged")
    if problem := _fault(row):
        return Refuse("invalid", problem, row)
    resubscribe = False
    if out := _opted_out(person, refused):
        if not _may_resubscribe(person, spec, out, in_doubt=in_doubt):
            same = refused is not None and refused.code == out[0]
            return Skip("refused before") if same else Refuse(out[0], f"{out[0]} in this list", row)
        resubscribe = True
    elif refused is not None and not in_doubt and refused.row == content_of(row):
        return Skip("refused before")
    if in_doubt and not options:
        return ReadBack(row)
    return Send(row, Flags(resubscribe, _queue_autoresponders(person, spec, delivered, in_doubt=in_doubt)))


def content_of(row: Row) -> str:
    """A fingerprint of everything in a row that could be a reason to refuse it."""
    return content(f"{row.email}\n{row.name}\n{row.values}", row.options)


def wanted_options(person: Person, spec: ListSpec, delivered: Delivered | None) -> tuple[str, ...]:
    """The labels the list should hold: running feeds by membership; a paused feed's stay as they are."""
    held = set(delivered.options) if delivered else set()
    wanted: set[str] = set()
    for feed in spec.feeds:
        for slug, label in feed.audiences.items():
            if not feed.running:
                wanted |= held & {label}
            elif slug in person.memberships and _counts(feed, person.memberships[slug]):
                wanted.add(label)
    return tuple(sorted(wanted))


def build_row(
    person: Person, spec: ListSpec, options: tuple[str, ...], delivered: Delivered | None, *, in_doubt: bool
) -> Row:
    """The row for these options.

    What we know the list holds is cleared by name; what we can't know (never sent, in doubt) means
    every label of ours. So the row is right whether the system replaces or appends values.
    """
    known = delivered is not None and not in_doubt
    ours = delivered.options if delivered is not None and known else spec.labels
    address = lookup(person.fields, spec.email_field)
    name = lookup(person.fields, spec.name_field) if spec.name_field else None
    values: list[tuple[str, FieldValue]] = []
    for source, key in (spec.fields or {}).items():
        value = as_text(lookup(person.fields, source))
        if value is not None:
            values.append((key, value))
    return Row(
        key=person.key,
        email=address if isinstance(address, str) else person.key,
        name=name if isinstance(name, str) else None,
        options=options,
        cleared=tuple(label for label in ours if label not in options),
        values=tuple(sorted(values)),
    )


def lookup(fields: Mapping[str, Any], name: str) -> Any:
    """A profile field, or an attribute that came with the audience events."""
    return fields[name] if name in fields else fields.get("attributes", {}).get(name)


def as_text(value: Any) -> FieldValue | None:
    """A profile value as a list's field takes it: text, or several for a multi-option field."""
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return str(value)


def _counts(feed: Feed, membership: Membership) -> bool:
    return feed.existing_users or membership.received_at > feed.started_at


def _fault(row: Row) -> str | None:
    for key, value in row.values:
        longest = max((len(text) for text in ((value,) if isinstance(value, str) else value)), default=0)
        if longest > MAX_VALUE:
            return f"the value for {key} has {longest} characters; the limit is {MAX_VALUE}"
    return None


def _opted_out(person: Person, refused: Refused | None) -> tuple[str, int] | None:
    """The opt-out that holds: the list's status as the streams tell it, or its own refusal since."""
    if person.status and person.status[0] in OPTED_OUT:
        return person.status
    if refused is not None and refused.code in OPTED_OUT:
        newer = person.status is not None and person.status[1] >= _minute(refused.at)
        return None if newer else (refused.code, refused.at)
    return None


def _minute(at: int) -> int:
    return at - at % MINUTE_MS


def _may_resubscribe(person: Person, spec: ListSpec, out: tuple[str, int], *, in_doubt: bool) -> bool:
    """Only for a membership that is no backfill, with an opt-in in a later minute than the opt-out."""
    if in_doubt or person.opted_in_at is None or _minute(person.opted_in_at) <= _minute(out[1]):
        return False
    return any(
        feed.running and feed.resubscribe == "when_opted_in_later" and _entered_since_start(person, feed)
        for feed in spec.feeds
    )


def _entered_since_start(person: Person, feed: Feed) -> bool:
    return any(
        slug in person.memberships and person.memberships[slug].received_at > feed.started_at
        for slug in feed.audiences
    )


def _queue_autoresponders(
    person: Person, spec: ListSpec, delivered: Delivered | None, *, in_doubt: bool
) -> bool:
    """Only for someone the list is told of for the first time, never on a repeat."""
    if in_doubt or delivered is not None:
        return False
    return any(
        feed.running
        and feed.queue_autoresponders
        and (feed.queue_autoresponders_on_backfill or _entered_since_start(person, feed))
        for feed in spec.feeds
    )
