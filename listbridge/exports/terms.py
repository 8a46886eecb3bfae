"""The terms of a decision: what exports want of a list, what is known of a person, and what is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from listbridge.exports.brakes import NO_LIMITS, Limits
from listbridge.exports.protocol import Flags, Row, Way
from listbridge.profiles.membership import Membership

MINUTE_MS = 60_000
MAX_VALUE = 250
"""Characters in a custom field's value (the API's documented limit)."""

UNKNOWN_OPTION = "unknown_option"
UNREADABLE = "unreadable"
"""The person's profile is damaged: nothing was tried."""
IN_LIST = "in_list"
NOT_IN_LIST = "not_in_list"
THERE = "in the list already"
MOBILE = "mobile"
"""Under this name a mobile number is left out of a row."""
SHOWN_CHOICES = 10

OPTED_OUT = frozenset({"unsubscribed", "deleted", "bounced", "suppressed", "unconfirmed"})
"""Statuses in which a list does not take a person back without the resubscribe switch."""

OF_THE_PERSON = OPTED_OUT - {"bounced"}
"""Those of them that hold for a person's other addresses too: a dead mailbox is only one address's."""

ELSEWHERE = "unsubscribed_elsewhere"
"""Not sent because they unsubscribed from another list of the client, and an export says that this counts."""

DUPLICATE = "duplicate_address"
"""Refused because another person's row has the address."""

OPTED_IN_FIELD = "opted_in_at"
"""The profile field with the latest opt-in that came with audience events."""

SWALLOWED_FOR_MS = 86_400_000
"""How long after it came in a change of membership can be found to have been swallowed."""

BY_MODE = frozenset({IN_LIST, NOT_IN_LIST})
"""Refusals because of what the export's mode leaves alone: nothing is wrong with the row."""

COMES_BACK = OPTED_OUT | {NOT_IN_LIST}
"""Refusals that a later good status takes back."""

Resubscribe = Literal["never", "when_opted_in_later", "always"]
OnExit = Literal["update_field", "unsubscribe", "nothing"]
Mode = Literal["upsert", "update_only", "add_only"]
WhenNull = Literal["skip", "clear", "set_if_empty"]

WAYS: Mapping[Mode, Way] = {"upsert": Way.IMPORT, "update_only": Way.UPDATE, "add_only": Way.ADD}


@dataclass(frozen=True, slots=True)
class Retired:
    """An audience that was taken out of an export at `at` (epoch ms), by all its names."""

    names: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Feed:
    """One export into the list. `audiences` maps slugs to the labels that the list shows.

    `added` has since when an audience belongs to the export (epoch ms), where that is not the start;
    `names` and `former` the names and the labels that an audience had before; `retired` the audiences that
    were taken out, by their labels. `stale`: nothing was heard for too long of who opted out.
    `confirmed_at`: when a person confirmed how many would be brought back.
    """

    workflow_id: str
    running: bool
    started_at: int
    audiences: Mapping[str, str]
    existing_users: bool = False
    resubscribe: Resubscribe = "never"
    queue_autoresponders: bool = False
    queue_autoresponders_on_backfill: bool = False
    restart_autoresponders: bool = False
    on_exit: OnExit = "update_field"
    opted_in_field: str = OPTED_IN_FIELD
    stale: bool = False
    confirmed_at: int = 0
    added: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retired: Mapping[str, Retired] = field(default_factory=dict)
    limits: Limits = NO_LIMITS

    def since(self, slug: str) -> int:
        """When this audience began to count (epoch ms)."""
        return max(self.started_at, self.added.get(slug, 0))

    def counts(self, slug: str, membership: Membership) -> bool:
        """Is a person's membership one that this feed tells of? See `existing_users`."""
        return self.existing_users or membership.received_at >= self.since(slug)

    def labels(self, slug: str) -> set[str]:
        """The audience's label and those that it had before."""
        return {self.audiences[slug], *self.former.get(slug, ())}


@dataclass(frozen=True, slots=True)
class Contact:
    """What goes beside name and fields, from which profile fields: consents and the mobile number.

    `consent_field` and `sms_field` go before the constants `consent` and `sms`; a mobile number without
    a country's prefix is one of `mobile_region`.
    """

    consent_field: str | None = None
    consent: str | None = None
    mobile_field: str | None = None
    mobile_region: str | None = None
    sms_field: str | None = None
    sms: str | None = None


@dataclass(frozen=True, slots=True)
class ListSpec:
    """All exports into one list, taken together. `fields` maps profile fields to the system's keys.

    `templates` are texts by key, `when_null` what happens where a profile has no value for a key, if not
    just nothing: the field is emptied, or (`set_if_empty`) a value is sent only while the field has none.
    """

    list_id: str
    feeds: tuple[Feed, ...]
    labels: tuple[str, ...]
    """Every label that we ever made an option for."""
    field_key: str = ""
    """The audience field's key in the list."""
    email_field: str = "email"
    name_field: str | None = None
    fields: Mapping[str, str] | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The options of those keys whose fields take nothing else."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The fields' types by key."""
    templates: Mapping[str, str] = field(default_factory=dict)
    when_null: Mapping[str, WhenNull] = field(default_factory=dict)
    contact: Contact = Contact()
    mode: Mode = "upsert"

    @property
    def by_address(self) -> bool:
        """May rows go to other addresses than people's keys, so that these change and are claimed?"""
        return self.email_field != "email"

    @property
    def keeps(self) -> tuple[str, ...]:
        """The keys of the fields whose values are left alone."""
        return keeps_of(self.when_null)


def keeps_of(when_null: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(key for key, policy in when_null.items() if policy == "set_if_empty"))


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a person that matters to a list."""

    key: str
    fields: Mapping[str, Any]
    memberships: Mapping[str, Membership]
    status: tuple[str, int] | None = None
    """Their status in this list and its time (epoch ms), as the streams tell it."""
    opted_in_at: int | None = None
    told: frozenset[str] | None = None
    """The audiences that an event ever named for them; None: all there are."""
    active_in: frozenset[str] = frozenset()
    """Other lists in which the streams show them active; read for plans only."""
    opt_ins: Mapping[str, int] = field(default_factory=dict)
    """Profile field -> the opt-in time that it holds (epoch ms), for fields other than `opted_in_at`."""
    left: Mapping[str, int] = field(default_factory=dict)
    """The audiences that they have left, and when that came in (epoch ms)."""
    elsewhere: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Their status and its time under other addresses of theirs than the row's."""
    lost: frozenset[str] = frozenset()
    """Addresses of theirs that have become somebody else's."""
    left_elsewhere: int = 0
    """When they unsubscribed from another list of the client, if that counts here (epoch ms; 0: not)."""
    others: tuple[str, ...] = ()
    """The other keys that are theirs; `key` is the newest."""
    relatives: tuple[str, ...] = ()
    """Keys of other people whom changes of address lead to: what changes who is who concerns them too."""
    who_is_who: str = ""
    """A fingerprint of it, as it is around them; empty where no address ever changed."""

    @property
    def newest(self) -> int:
        """When the newest change of membership came in that this is made of (epoch ms)."""
        entered = (each.received_at for each in self.memberships.values())
        return max([*entered, *self.left.values()], default=0)

    def name_of(self, slug: str, feed: Feed) -> str | None:
        """Under which of an audience's names the person was told of it, newest first."""
        told = self.memberships.keys() if self.told is None else self.told
        if slug in told or slug not in feed.names:
            return slug if slug in told else None
        return next((name for name in (slug, *feed.names.get(slug, ())) if name in told), None)

    def was_told_of(self, slug: str, feed: Feed) -> bool:
        return self.told is None or self.name_of(slug, feed) is not None

    def membership(self, slug: str, feed: Feed) -> Membership | None:
        """Their membership of a feed's audience, by the newest name that they were told of."""
        return self.memberships.get(self.name_of(slug, feed) or slug)

    def is_inside(self, feed: Feed) -> bool:
        """Are they in one of a feed's audiences?"""
        return any(self.membership(slug, feed) is not None for slug in feed.audiences)

    def left_before(self, retired: Retired) -> bool:
        """Had they left an audience when it was taken out?"""
        left = [self.left[name] for name in retired.names if name in self.left]
        return self.memberships.keys().isdisjoint(retired.names) and 0 < max(left, default=0) <= retired.at


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to send: `reason` is "unchanged", "not in an audience" or "refused before"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not sent: the reason is ours. `since` is when the person opted out (epoch ms), if that is it."""

    code: str
    message: str
    row: Row
    since: int = 0


@dataclass(frozen=True, slots=True)
class ReadBack:
    """In no audience, and perhaps never stored: see whether the list has them, so that nobody is added
    to be cleared. See `Send.leaves`."""

    row: Row
    leaves: bool = False
    way: Way = Way.IMPORT


@dataclass(frozen=True, slots=True)
class Send:
    """`may_return`: should the list refuse them as opted out, the opt-in of `opted_in_at` (epoch ms) counts
    against that, if it is the later one.
    `leaves`: once the row is stored, the person is unsubscribed.
    `vacates`: nothing is written; what stands of the person is cleared, and this is their refusal."""

    row: Row
    flags: Flags
    may_return: bool = False
    leaves: bool = False
    opted_in_at: int | None = field(default=None, compare=False)
    vacates: Refuse | None = None


Decision = Skip | Refuse | ReadBack | Send
