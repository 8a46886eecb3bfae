"""What to do about one person in one list: pure, decided anew at every attempt.

The order of the questions is the promise that an opt-out is never undone: who opted out is held
back here, whatever changed about them, unless a feed says otherwise and a later opt-in is known.
What counts as the opt-in is the feed's to say (see `opt_in`); that it must be later never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.protocol import Flags, Row, Way
from listbridge.exports.rows import (
    address_of,
    build_row,
    content_of,
    fault_of,
    moving,
    retired_labels,
    wanted_options,
)
from listbridge.exports.terms import (
    COMES_BACK,
    DUPLICATE,
    ELSEWHERE,
    IN_LIST,
    MINUTE_MS,
    OF_THE_PERSON,
    OPTED_IN_FIELD,
    OPTED_OUT,
    SWALLOWED_FOR_MS,
    THERE,
    UNKNOWN_OPTION,
    UNREADABLE,
    WAYS,
    Decision,
    Feed,
    ListSpec,
    Person,
    ReadBack,
    Refuse,
    Send,
    Skip,
)
from listbridge.profiles.membership import Membership


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
    person = replace(person, status=_status_at(row, person, spec))
    if delivered is not None and not unsure and delivered.holds(row, spec.field_key):
        return Skip("unchanged")
    tried = refused is not None and refused.row == content_of(row) and not in_doubt
    tried = tried and not (refused is not None and refused.code == UNREADABLE)
    # Who was never in the list is refused by our copy of the suppression list: that costs no call.
    tried = tried and not (row.new and refused is not None and refused.code == "suppressed")
    if problem := fault_of(row, spec):
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


def _status_at(row: Row, person: Person, spec: ListSpec) -> tuple[str, int] | None:
    """The status that counts for a row: a row that is cleared where it is has that address's."""
    here = row.email.lower()
    if row.options or here == address_of(person, spec).lower():
        return status_of(person)
    return person.elsewhere.get(here)


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
    return labels | {label for label in retired_labels(feed, spec) if person.left_before(feed.retired[label])}


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
    if confirmed and feed.counts(slug, membership):
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
