"""What to do about one person in one list: pure, decided anew at every attempt.

The order of the questions is the promise that an opt-out is never undone: who opted out is held
back here, whatever changed about them, unless a feed says otherwise and a later opt-in is known.
What counts as the opt-in is the feed's to say (see `opt_in`); that it must be later never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from listbridge.exports.brakes import NO_LIMITS, Limits
from listbridge.exports.delivered import Delivered, Refused, content, places
from listbridge.exports.protocol import FieldValue, Flags, Row, Way
from listbridge.exports.values import CLEARED, Unfit, consent, e164, filled, fitted, lookup
from listbridge.profiles.membership import Membership

MINUTE_MS = 60_000
MAX_VALUE = 250
"""Characters in a custom field's value (the API's documented limit)."""

UNKNOWN_OPTION = "unknown_option"
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


def decide(
    person: Person,
    spec: ListSpec,
    delivered: Delivered | None,
    refused: Refused | None,
    *,
    in_doubt: bool,
    raised: bool = False,
) -> Decision:
    """What this list should be told of this person now.

    `in_doubt` people are always sent, and so are those whose last row was refused, once there is
    something new to try: for both we don't know what the list holds. `raised`: they are in doubt because
    somebody else changed the row.
    """
    options = wanted_options(person, spec, delivered)
    if not _concerns(person, spec, options, delivered):
        return Skip("not in an audience")
    if spec.mode == "add_only" and _is_there(person, delivered, refused, in_doubt and not raised):
        return Skip(THERE)
    unsure = in_doubt or refused is not None
    row = build_row(person, spec, options, delivered, unsure=unsure, raised=raised)
    row = moving(row, person, spec, delivered, refused)
    person = replace(person, status=status_of(person))
    if delivered is not None and not unsure and delivered.holds(row, spec.field_key):
        return Skip("unchanged")
    tried = refused is not None and refused.row == content_of(row) and not in_doubt
    # Who was never in the list is refused by our copy of the suppression list: that costs no call.
    tried = tried and not (row.new and refused is not None and refused.code == "suppressed")
    if problem := _fault(row, spec):
        return Skip("refused before") if tried else Refuse(*problem, row)
    # The list's options may be others by now, and an address somebody else's or free.
    tried = tried and not (refused is not None and refused.code in (UNKNOWN_OPTION, DUPLICATE, ELSEWHERE))
    opted_in_at = opt_in(person, spec)
    if _left_family(person) and not is_later(opted_in_at, person.left_elsewhere):
        return _held_back_elsewhere(person, refused, row)
    out = _opted_out(person, refused)
    returns = out is not None and is_later(opted_in_at, out[1])
    if not returns:
        # Whoever moves is looked for under both addresses: the row at the old one is to be cleared.
        if _is_out(person) and not (row.moves and not tried):
            return _held_back(person, refused, row, stale=_waits_for_feed(person, spec))
        if tried and not _came_back(person, refused):
            return Skip("refused before")
    leaves = _leaves(person, spec, options, delivered, in_doubt=in_doubt)
    if row.moves:
        resubscribe = returns and not (in_doubt and not _was_answered(delivered, refused))
        restart = resubscribe and not in_doubt and _restart_autoresponders(person, spec)
        flags = Flags(resubscribe, restart_autoresponders=restart, way=Way.MOVE)
        return Send(row, flags, opted_in_at is not None, leaves, opted_in_at)
    if not options and unsure and not (delivered is not None and delivered.known):
        return ReadBack(row, leaves, Way.UPDATE if spec.mode == "update_only" else Way.IMPORT)
    # A repeat goes without the switches; what the list answers to it is decided about anew.
    resubscribe = returns and not (in_doubt and not _was_answered(delivered, refused))
    queue = not in_doubt and delivered is None and _queue_autoresponders(person, spec)
    restart = resubscribe and not in_doubt and _restart_autoresponders(person, spec)
    flags = Flags(resubscribe, queue, restart, WAYS[spec.mode])
    return Send(row, flags, opted_in_at is not None, leaves, opted_in_at)


def moving(
    row: Row, person: Person, spec: ListSpec, delivered: Delivered | None, refused: Refused | None
) -> Row:
    """The row, with the other addresses under which the list may have the person.

    Whoever is in no audience is not moved: the row is cleared where it is. In `add_only` nobody is.
    """
    went = delivered is not None and bool(delivered.address or delivered.earlier)
    if not (spec.by_address or went) or spec.mode == "add_only":
        return row
    if delivered is not None and not row.options and not delivered.earlier:
        return replace(row, email=delivered.address or person.key)
    wanted = row.email.lower()
    found = places(person.key, delivered, refused, OF_THE_PERSON)
    others = [each for each in found if each != wanted]
    if not others:
        return row
    cleared = tuple(label for label in spec.labels if label not in row.options)
    ours = tuple(each for each in others if each not in person.lost)
    lost = tuple(each for each in others if each in person.lost)
    return replace(row, moved_from=ours, formerly=lost, cleared=cleared)


def status_of(person: Person) -> tuple[str, int] | None:
    """The person's status in the list, all their addresses taken together.

    An opt-out under another address holds for this one too, unless this one became active in a later minute.
    """
    outs = [each for each in person.elsewhere.values() if each[0] in OF_THE_PERSON]
    if _is_out(person) and person.status is not None:
        outs.append(person.status)
    out = max(outs, key=lambda each: each[1], default=None)
    if out is None or _active_after(person, out[1]):
        return person.status
    return out


def opt_in(person: Person, spec: ListSpec, *, stale: bool = False) -> int | None:
    """The latest opt-in (epoch ms) that a running export goes by; None: nobody says that one counts.

    Exports whose opt-out feed is `stale` are looked at only when that is asked for.
    """
    feeds = (feed for feed in spec.feeds if feed.running and feed.stale == stale)
    return max((at for feed in feeds for at in _opt_ins(person, feed)), default=None)


def asks_again(code: str, refused: Refused | None, delivered: Delivered | None, *, in_doubt: bool) -> bool:
    """Is it news that the list refuses them as opted out, so that it is worth asking since when?

    After an attempt whose outcome was not clear, this is the clear answer.
    """
    if code not in OPTED_OUT:
        return False
    if refused is None or refused.code != code:
        return True
    return in_doubt and not _was_answered(delivered, refused)


def swallowed(person: Person, spec: ListSpec, delivered: Delivered | None, now: int) -> dict[str, int]:
    """Audiences that a person entered and left, or left and entered, with no row in between: slug -> when
    that came in (epoch ms). Exports on whose `on_exit` nothing happens show no exits, and so swallow none."""
    shown = {*delivered.options} if delivered is not None else set()
    found = {}
    for feed in spec.feeds:
        for slug in feed.audiences if feed.running and feed.on_exit != "nothing" else ():
            name = person.name_of(slug, feed) or slug
            inside = person.memberships.get(name)
            at = inside.received_at if inside else person.left.get(name, 0)
            if at <= max(delivered.at if delivered is not None else 0, now - SWALLOWED_FOR_MS):
                continue
            same = bool(shown & feed.labels(slug)) == (inside is not None)
            if same and at > feed.since(slug):
                found[slug] = at
    return found


def is_later(opted_in_at: int | None, opted_out_at: int) -> bool:
    """Is the opt-in in a later minute than the opt-out? In the same one the opt-out wins."""
    return opted_in_at is not None and _minute(opted_in_at) > _minute(opted_out_at)


def content_of(row: Row) -> str:
    """A fingerprint of everything in a row that could be a reason to refuse it."""
    contact = (row.consent, row.mobile, row.sms)
    more = f"\n{contact}" if any(contact) else ""
    return content(f"{row.email}\n{row.name}\n{row.values}{more}", row.options)


def wanted_options(person: Person, spec: ListSpec, delivered: Delivered | None) -> tuple[str, ...]:
    """The labels the list should hold: running feeds by membership; a paused feed's stay as they are.

    A membership that a feed does not count (see `Feed.existing_users`) neither sets nor clears a label,
    and a label of an audience that no event ever named for the person stays: others set it. So does one
    of a feed on whose `on_exit` nothing happens. The label of an audience that was taken out of a feed is
    as if everybody had left it.
    """
    held = {*delivered.options, *delivered.others} if delivered else set()
    wanted: set[str] = set()
    for feed in spec.feeds:
        if not feed.running or feed.on_exit == "nothing":
            wanted |= held & _retired(feed, spec)
        for slug, label in feed.audiences.items():
            before = held & feed.labels(slug) if held else held
            membership = person.membership(slug, feed)
            stays = feed.on_exit == "nothing" or not person.was_told_of(slug, feed)
            if not feed.running or (membership is None and stays):
                wanted |= before
            elif membership is not None and (before or _counts(feed, slug, membership)):
                wanted.add(label)
    return tuple(sorted(wanted))


def _retired(feed: Feed, spec: ListSpec) -> set[str]:
    """The labels of audiences that were taken out of a feed, and that no feed has now."""
    if not feed.retired:
        return set()
    now = {label for each in spec.feeds for slug in each.audiences for label in each.labels(slug)}
    return feed.retired.keys() - now


def _is_there(person: Person, delivered: Delivered | None, refused: Refused | None, retried: bool) -> bool:
    """Does the list have the person, as far as anybody told us? Not if it is an attempt of ours that may
    have failed."""
    told = refused is not None and refused.code == IN_LIST
    return told or person.status is not None or (delivered is not None and not retried)


def _leaves(
    person: Person, spec: ListSpec, options: tuple[str, ...], delivered: Delivered | None, *, in_doubt: bool
) -> bool:
    """Did the person leave the last audience of an export that unsubscribes whoever does?

    An attempt that may have failed is made again, unless they have subscribed in a later minute. Taking an
    audience out of an export unsubscribes nobody who was still in it.
    """
    running = [feed for feed in spec.feeds if feed.running]
    if options or delivered is None or any(person.is_inside(feed) for feed in running):
        return False
    if delivered.left:
        tried_at = max((at for at, _ in delivered.writes), default=delivered.at)
        return in_doubt and not _active_after(person, tried_at)
    held = {*delivered.options}
    return any(
        not held.isdisjoint(_labels_left(person, feed, spec))
        for feed in running
        if feed.on_exit == "unsubscribe"
    )


def _labels_left(person: Person, feed: Feed, spec: ListSpec) -> set[str]:
    """The labels of the audiences that a person who is in none of the feed's has left, those among them that
    were taken out afterwards."""
    told = (slug for slug in feed.audiences if person.was_told_of(slug, feed))
    labels = {label for slug in told for label in feed.labels(slug)}
    return labels | {label for label in _retired(feed, spec) if person.left_before(feed.retired[label])}


def _active_after(person: Person, at: int) -> bool:
    return person.status is not None and not _is_out(person) and _minute(person.status[1]) > _minute(at)


def _concerns(person: Person, spec: ListSpec, options: tuple[str, ...], delivered: Delivered | None) -> bool:
    """Is the person's row ours to write? What others wrote stays until an audience of ours says otherwise."""
    if delivered is None:
        return bool(options)
    if delivered.writes or options != delivered.options:
        return True
    return any(
        person.membership(slug, feed) is not None and label in options
        for feed in spec.feeds
        for slug, label in feed.audiences.items()
    )


def build_row(
    person: Person,
    spec: ListSpec,
    options: tuple[str, ...],
    delivered: Delivered | None,
    *,
    unsure: bool,
    raised: bool = False,
) -> Row:
    """The row for these options.

    What we know the list holds is cleared by name; what we can't know (never sent, `unsure`, another
    field) means every label of ours. So the row is right whether the system replaces or appends values.
    """
    same = delivered is not None and delivered.field == spec.field_key
    known = delivered is not None and same and not unsure and delivered.writes and not delivered.others
    ours = delivered.options if delivered is not None and known else spec.labels
    others = delivered.others if delivered is not None and same else ()
    name = lookup(person.fields, spec.name_field) if spec.name_field else None
    values, dropped = _values(person, spec)
    for key in spec.keeps:
        _keep(key, values, delivered, again=unsure and not raised)
    mobile, contact = None, spec.contact
    if contact.mobile_field:
        found = e164(lookup(person.fields, contact.mobile_field), contact.mobile_region)
        if isinstance(found, Unfit):
            dropped[MOBILE] = found.words
        else:
            mobile = found
    return Row(
        key=person.key,
        email=address_of(person, spec),
        name=name if isinstance(name, str) else None,
        options=options,
        cleared=tuple(label for label in ours if label not in options),
        values=tuple(sorted(values.items())),
        other_options=tuple(each for each in others if each not in {*spec.labels, *options}),
        new=person.status is None and (delivered is None or (unsure and not delivered.known)),
        removed=_removed(spec, values, delivered),
        consent=_consent(person, contact.consent_field, contact.consent),
        mobile=mobile,
        sms=(_consent(person, contact.sms_field, contact.sms) or contact.sms) if mobile else None,
        dropped=tuple(sorted(dropped.items())),
    )


def _values(person: Person, spec: ListSpec) -> tuple[dict[str, FieldValue], dict[str, str]]:
    """The values by field key, and why others are left out."""
    values: dict[str, FieldValue] = {}
    dropped: dict[str, str] = {}
    found: dict[str, Any] = {}
    for source, key in (spec.fields or {}).items():
        value = lookup(person.fields, source)
        found[key] = found.get(key) if value is None else value
    found |= {key: filled(template, person.fields) for key, template in spec.templates.items()}
    for key, value in found.items():
        fit = fitted(value, spec.kinds.get(key, ""), spec.choices.get(key))
        if isinstance(fit, Unfit):
            dropped[key] = fit.words
        elif fit is not None:
            values[key] = fit
        elif spec.when_null.get(key) == "clear":
            values[key] = CLEARED
    return values, dropped


def _keep(key: str, values: dict[str, FieldValue], delivered: Delivered | None, *, again: bool) -> None:
    """Leave the field alone if it holds something; our own row that may be lost is sent `again` as it was."""
    held = delivered.values.get(key) if delivered is not None else None
    if held and delivered is not None:
        values.pop(key, None)
        if again and delivered.writes:
            values[key] = held


def _removed(
    spec: ListSpec, values: Mapping[str, FieldValue], delivered: Delivered | None
) -> tuple[tuple[str, str], ...]:
    """The options of other fields of many options that the list was told before and that are gone."""
    if delivered is None:
        return ()
    gone = []
    for key, value in values.items():
        if spec.kinds.get(key) == "MultiSelectMany" and value != CLEARED:
            now = {value} if isinstance(value, str) else {*value}
            before = delivered.values.get(key, ())
            gone += [(key, each) for each in _texts(before) if each and each not in now]
    return tuple(sorted(gone))


def _texts(value: FieldValue) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _consent(person: Person, source: str | None, otherwise: str | None) -> str | None:
    return consent(lookup(person.fields, source), otherwise) if source else None


def address_of(person: Person, spec: ListSpec) -> str:
    """The address that a person's row goes to."""
    address = lookup(person.fields, spec.email_field)
    return address if isinstance(address, str) else person.key


def _counts(feed: Feed, slug: str, membership: Membership) -> bool:
    return feed.existing_users or membership.received_at >= feed.since(slug)


def _fault(row: Row, spec: ListSpec) -> tuple[str, str] | None:
    """The code and the words of what the list could not store."""
    for key, value in row.values:
        texts = _texts(value)
        longest = max((len(text) for text in texts), default=0)
        if longest > MAX_VALUE:
            return "invalid", f"the value for {key} has {longest} characters; the limit is {MAX_VALUE}"
        choices = spec.choices.get(key)
        if choices is not None and (strange := [text for text in texts if text and text not in choices]):
            known = ", ".join(map(repr, choices[:SHOWN_CHOICES])) or "none"
            more = ", ..." if len(choices) > SHOWN_CHOICES else ""
            return UNKNOWN_OPTION, f"{strange[0]!r} is not an option of {key}; it has {known}{more}"
    return None


def _is_out(person: Person) -> bool:
    return person.status is not None and person.status[0] in OPTED_OUT


def _opted_out(person: Person, refused: Refused | None) -> tuple[str, int] | None:
    """The opt-out that holds, and since when: by the streams, else by the list's own refusal since.

    A refusal does not say since when: 0 until the list has been asked.
    """
    if person.status is not None and _is_out(person):
        return person.status
    if refused is None or refused.code not in OPTED_OUT or _came_back(person, refused):
        return None
    return refused.code, refused.since


def _came_back(person: Person, refused: Refused | None) -> bool:
    """Do the streams tell a good status since the refusal for an opt-out?"""
    if refused is None or refused.code not in COMES_BACK or person.status is None or _is_out(person):
        return False
    return person.status[1] >= _minute(refused.since or refused.at)


def _was_answered(delivered: Delivered | None, refused: Refused | None) -> bool:
    """Has the list just said that they are opted out, with no row on its way that could change that?"""
    if refused is None or not refused.asked:
        return False
    return delivered is None or not delivered.returning


def _held_back(person: Person, refused: Refused | None, row: Row, *, stale: bool) -> Skip | Refuse:
    word, since = person.status or ("", 0)
    message = f"{word} in this list"
    if stale:
        message += (
            "; the later opt-in counts once it is known again who opted out: run an import of the list, "
            "with LISTBRIDGE_PUBLIC_URL set for its webhooks"
        )
    if refused is not None and (refused.code, refused.since) == (word, since):
        return Skip("refused before")
    return Refuse(word, message, row, since)


def _left_family(person: Person) -> bool:
    """Have they unsubscribed from another list, and not subscribed to this one in a later minute?"""
    return bool(person.left_elsewhere) and not _active_after(person, person.left_elsewhere)


def _held_back_elsewhere(person: Person, refused: Refused | None, row: Row) -> Skip | Refuse:
    since = person.left_elsewhere
    if refused is not None and (refused.code, refused.since) == (ELSEWHERE, since):
        return Skip("refused before")
    return Refuse(ELSEWHERE, "unsubscribed from another list of the client", row, since)


def _waits_for_feed(person: Person, spec: ListSpec) -> bool:
    """Would they be brought back, if the feed of opt-outs were not stale?"""
    return person.status is not None and is_later(opt_in(person, spec, stale=True), person.status[1])


def _minute(at: int) -> int:
    return at - at % MINUTE_MS


def _opt_ins(person: Person, feed: Feed) -> Iterator[int]:
    """The times that count as opt-ins: a stated one, or where an export takes everybody back, the entry
    into an audience and a person's confirmation for those who were in it. Never a mere backfill."""
    if feed.resubscribe == "when_opted_in_later" and _entered_since_start(person, feed):
        default = feed.opted_in_field == OPTED_IN_FIELD
        stated = person.opted_in_at if default else person.opt_ins.get(feed.opted_in_field)
        if stated is not None:
            yield stated
    if feed.resubscribe == "always":
        for slug in feed.audiences:
            if (membership := person.membership(slug, feed)) is not None:
                yield from _entries(feed, slug, membership)


def _entries(feed: Feed, slug: str, membership: Membership) -> Iterator[int]:
    if membership.received_at >= feed.since(slug):
        yield min(membership.entered_at, membership.received_at)
    confirmed = max(membership.received_at, feed.added.get(slug, 0)) <= feed.confirmed_at
    if confirmed and _counts(feed, slug, membership):
        yield feed.confirmed_at


def _entered_since_start(person: Person, feed: Feed) -> bool:
    found = ((slug, person.membership(slug, feed)) for slug in feed.audiences)
    return any(each is not None and each.received_at >= feed.since(slug) for slug, each in found)


def _queue_autoresponders(person: Person, spec: ListSpec) -> bool:
    """For an audience of an export that says so, and not for a backfill unless it says that too."""
    return any(
        feed.running
        and feed.queue_autoresponders
        and (
            _entered_since_start(person, feed)
            or (feed.queue_autoresponders_on_backfill and person.is_inside(feed))
        )
        for feed in spec.feeds
    )


def _restart_autoresponders(person: Person, spec: ListSpec) -> bool:
    """Does an export that brings the person back say that its automations start anew?"""
    return any(
        feed.running
        and feed.restart_autoresponders
        and feed.resubscribe != "never"
        and not feed.stale
        and _entered_since_start(person, feed)
        for feed in spec.feeds
    )
