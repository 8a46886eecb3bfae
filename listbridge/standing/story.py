"""One person's story in one list, told from what is held of them: pure.

The outcome is what a person asks first; the events are everything that led to it, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from listbridge.aggregation.kinds import rfc3339
from listbridge.exports.advice import advice
from listbridge.exports.decisions import is_later
from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.history import Happened
from listbridge.exports.terms import (
    IN_LIST,
    OPTED_IN_FIELD,
    OPTED_OUT,
    THERE,
    Decision,
    Feed,
    Person,
    Refuse,
    Send,
    Skip,
)

OutcomeWord = Literal[
    "delivered",
    "pending",
    "in doubt",
    "refused",
    "opted out",
    "not in the audience",
    "not counted",
    "unknown",
]

_HAPPENED = {
    "unanswered": "sent, and no answer came: nobody knew whether it was stored",
    "later": "sent, and the list would not take it yet",
    "absent": "the list does not have the person, so nothing was cleared",
    "taken back": "a trial was undone: what the list had before was put back",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a stream about the person: when it happened and was received (epoch ms), in words;
    `audience` names that of a transition, `entered` says which way."""

    at: int
    received: int
    words: str
    audience: str = ""
    entered: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """All that is held of a person and a list. Times are epoch ms.

    `feed` is the export's; `doubt` the time at which they are looked at again, `doubt_raised` whether
    somebody else's change made them due; `changed_at` is the time of a change that was not looked at yet
    (0: it is not known when); `decision` is what the engine would do now; `opted_in_at` the opt-in that the
    export goes by, if any; `told` the newest events.
    """

    feed: Feed
    person: Person
    delivered: Delivered | None
    refused: Refused | None
    doubt: int | None
    doubt_raised: bool
    changed_at: int | None
    decision: Decision
    suppressed: bool
    updated_at: int
    opted_in_at: int | None = None
    left: Mapping[str, int] = field(default_factory=dict)
    history: Sequence[Happened] = ()
    told: Sequence[Told] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story; `at` is epoch ms."""

    at: int
    what: str


@dataclass(frozen=True, slots=True)
class Story:
    """`since` is when the outcome came to be (epoch ms; None: not known), `todo` what a person can do."""

    outcome: OutcomeWord
    since: int | None
    why: str
    todo: str
    opt_out: str
    swallowed: int
    events: tuple[Event, ...]


def tell(known: Known) -> Story:
    """The outcome, why, and what led to it."""
    outcome, since, why, todo = _outcome(known)
    swallowed = _swallowed(known)
    lines = [*_audiences(known), *_told(known, swallowed), *_outcomes(known), *_opted_out(known)]
    ordered = dict.fromkeys(sorted(lines, key=lambda each: each.at))
    return Story(outcome, since, why, todo, _opt_out(known), len(swallowed), tuple(ordered))


Outcome = tuple[OutcomeWord, int | None, str, str]
"""The word, since when, why, and what to do."""


def _outcome(known: Known) -> Outcome:
    feed, person = known.feed, known.person
    mine = [slug for slug in feed.audiences if person.membership(slug, feed) is not None]
    return _unsettled(known) or _refused(known, mine) or _told_before(known) or _never_told(known, mine)


def _unsettled(known: Known) -> Outcome | None:
    if known.doubt is not None:
        since = known.delivered.at if known.delivered else None
        return "in doubt", since, _doubt_words(known), "nothing: it settles by itself"
    if known.changed_at is None or not isinstance(known.decision, Send):
        return None
    since = max(known.changed_at, known.feed.started_at) if known.changed_at else None
    if known.feed.running:
        return "pending", since, "a change was not delivered yet", ""
    todo = "resume the export, or make another one if it has ended"
    return "pending", since, "a change was not delivered yet; the export is not running", todo


def _refused(known: Known, mine: Sequence[str]) -> Outcome | None:
    refused, decision = known.refused, known.decision
    if refused is None and isinstance(decision, Refuse):
        since, why = decision.since or None, f"{decision.code}: {decision.message}"
        return "refused", since, why, advice(decision.code)
    if refused is None or (isinstance(decision, Skip) and known.delivered is None and not mine):
        return None
    return "refused", refused.at, f"{refused.code}: {refused.message}", advice(refused.code)


def _told_before(known: Known) -> Outcome | None:
    if known.delivered is None:
        return None
    if known.delivered.left:
        why = "unsubscribed, because they left the export's audiences"
        return "delivered", known.delivered.at, why, ""
    word, at = known.person.status or ("", 0)
    if word in OPTED_OUT:
        return "opted out", at, f"{word} in the list since it was told last", advice(word)
    labels = ", ".join(known.delivered.options) or "no audience"
    address = known.delivered.address
    under = f" (under {address})" if address else ""
    return "delivered", known.delivered.at, f"the list holds: {labels}{under}", ""


def _never_told(known: Known, mine: Sequence[str]) -> Outcome:
    if mine and known.decision == Skip(THERE):
        return "not counted", None, "in the list already, and the export only adds people", advice(IN_LIST)
    if mine and isinstance(known.decision, Skip):
        why = f"was in {', '.join(mine)} before the export started, and existing_users is off"
        return "not counted", None, why, "make the export with --existing-users"
    if mine:
        return "unknown", None, "the export has not looked at this person yet", ""
    was_refused = f"; refused before ({known.refused.code})" if known.refused else ""
    why = f"in no audience of the export{was_refused}"
    return "not in the audience", max(known.left.values(), default=None), why, ""


def _doubt_words(known: Known) -> str:
    again = f"looked at again at {rfc3339(known.doubt or 0)}"
    last = known.history[-1] if known.history else None
    if known.doubt_raised:
        return f"somebody else changed the row in the list; {again}"
    if known.delivered is not None and (last is None or last.at < known.delivered.at):
        if known.refused is not None:
            return f"asked to be tried again, or being sent just now; {again}"
        return f"being sent just now, or its sender was killed on the way; {again}"
    if last is not None and last.what in ("unanswered", "later"):
        code = f" ({last.code})" if last.code else ""
        return f"{_HAPPENED[last.what]}{code}; {again}"
    return f"asked to be tried again; {again}"


def _audiences(known: Known) -> Iterable[Event]:
    """When the person entered those of the export's audiences they are in, and left the others."""
    for slug, label in known.feed.audiences.items():
        shown = slug if slug == label else f"{slug} ({label})"
        held = known.person.membership(slug, known.feed)
        name = known.person.name_of(slug, known.feed) or slug
        if held is not None:
            yield Event(held.entered_at, f"entered audience {shown}")
        elif name in known.left:
            yield Event(known.left[name], f"left audience {shown}")


def _told(known: Known, swallowed: Sequence[Told]) -> Iterable[Event]:
    slugs = _slugs(known.feed)
    for each in known.told:
        if not each.audience:
            yield Event(each.at, each.words)
        elif each.audience in slugs:
            slug, label = slugs[each.audience], known.feed.audiences[slugs[each.audience]]
            shown = slug if slug == label else f"{slug} ({label})"
            gone = ", never sent: a later change came before the next delivery" if each in swallowed else ""
            yield Event(each.at, f"{'entered' if each.entered else 'left'} audience {shown}{gone}")


def _slugs(feed: Feed) -> dict[str, str]:
    """Every name that an audience of the export has or had -> its name now."""
    before = {name: slug for slug, names in feed.names.items() for name in names}
    return before | {slug: slug for slug in feed.audiences}


def _swallowed(known: Known) -> list[Told]:
    """Transitions that another of the same audience followed before a delivery could tell them."""
    if known.feed.on_exit == "nothing":
        return []
    sent = {each.at for each in known.history}
    if known.delivered is not None and known.delivered.writes:
        sent.add(known.delivered.at)
    found = []
    slugs = _slugs(known.feed)
    moves = [each for each in known.told if slugs.get(each.audience) in known.feed.audiences]
    for move, later in ((a, b) for i, a in enumerate(moves) for b in _next_of(moves[i + 1 :], a.audience)):
        if not any(move.received <= at < later.received for at in sent):
            found.append(move)
    return found


def _next_of(moves: Sequence[Told], audience: str) -> list[Told]:
    return [each for each in moves if each.audience == audience][:1]


def _outcomes(known: Known) -> Iterable[Event]:
    """Each outcome that is kept, and the present state where the history has not come to that."""
    for each in known.history:
        yield Event(each.at, _words(each))
    if known.history:
        return
    if known.delivered is not None and known.doubt is None:
        labels = ", ".join(known.delivered.options) or "no audience"
        verb = "delivered" if known.delivered.writes else "found in the list"
        yield Event(known.delivered.at, f"{verb}: {labels}")
    if known.refused is not None:
        yield Event(known.refused.at, f"refused: {known.refused.code}: {known.refused.message}")


def _words(entry: Happened) -> str:
    if entry.what == "refused":
        return f"refused: {entry.code}"
    again = ", sent again" if entry.tried_again else ""
    switches = [
        word
        for word, on in (("resubscribed", entry.resubscribe), ("autoresponders", entry.queue_autoresponders))
        if on
    ]
    shown = f" ({', '.join(switches)})" if switches else ""
    if entry.what != "stored":
        return f"{_HAPPENED[entry.what]}{f' ({entry.code})' if entry.code else ''}{again}"
    more = f" and {entry.more} more" if entry.more else ""
    if entry.moved_from:
        shown = f"{shown}, moved from {entry.moved_from}"
    return f"delivered: {', '.join(entry.options) or 'no audience'}{more}{shown}{again}"


def _opted_out(known: Known) -> Iterable[Event]:
    if known.refused is not None and known.refused.code in OPTED_OUT and known.refused.since:
        yield Event(known.refused.since, f"{known.refused.code} in the list, as the list itself says")


def _opt_out(known: Known) -> str:
    """The opt-out that is known, by what, and why it stands; empty for none."""
    person, refused = known.person, known.refused
    known_by = []
    if person.status is not None and person.status[0] in OPTED_OUT:
        known_by.append(f"{person.status[0]} since {rfc3339(person.status[1])}, by webhook or import")
    if refused is not None and refused.code in OPTED_OUT - {"suppressed"}:
        known_by.append(f"{refused.code}, by the list's answer of {rfc3339(refused.at)}")
    if known.suppressed:
        known_by.append("on the client's suppression list")
    return f"{'; '.join(known_by)}. {_why_it_stands(known)}" if known_by else ""


def _why_it_stands(known: Known) -> str:
    person, feed = known.person, known.feed
    if isinstance(known.decision, Send) and known.decision.flags.resubscribe:
        return "A later opt-in is known, so the next delivery resubscribes them."
    if feed.resubscribe == "never":
        return "Not resubscribed: the export's resubscribe is never."
    if known.opted_in_at is None:
        if feed.resubscribe == "when_opted_in_later" and _stated_opt_in(person, feed) is None:
            return "Not resubscribed: no opt-in of theirs is known."
        return (
            "Not resubscribed: they entered no audience since the export started, and a backfill never does."
        )
    since = person.status[1] if person.status else (known.refused.since if known.refused else 0)
    if not since or not is_later(known.opted_in_at, since):
        return (
            f"Not resubscribed: their opt-in ({rfc3339(known.opted_in_at)}) is not in a later minute than "
            f"the opt-out ({rfc3339(since) if since else 'at an unknown time'})."
        )
    if feed.stale:
        return "Not resubscribed for now: nothing was heard for too long of who opted out; run an import."
    return "A later opt-in is known, and is decided about once the list has answered to a plain row."


def _stated_opt_in(person: Person, feed: Feed) -> int | None:
    if feed.opted_in_field == OPTED_IN_FIELD:
        return person.opted_in_at
    return person.opt_ins.get(feed.opted_in_field)


def shown(story: Story) -> dict[str, Any]:
    """As users see it."""
    return {
        "outcome": story.outcome,
        "since": rfc3339(story.since) if story.since else None,
        "why": story.why,
        "todo": story.todo or None,
        "opt_out": story.opt_out or None,
        "changes_swallowed": story.swallowed,
        "events": [{"at": rfc3339(each.at), "what": each.what} for each in story.events],
    }
