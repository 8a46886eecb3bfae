"""What a start would do about one person: pure, by the decisions that the engine itself takes.

`decide` says what would be sent; here is added what the list would answer and hold afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil

from listbridge.exports.batches import asks_first, rows_at_once
from listbridge.exports.decisions import asks_again, decide, is_later
from listbridge.exports.delivered import Delivered, Refused, adopted, went_to
from listbridge.exports.moves import Hold, Looked, Rename, Write, for_place, route, terms_of
from listbridge.exports.protocol import SINGLE, Flags, Found, Listed, Row, Way
from listbridge.exports.terms import (
    IN_LIST,
    NOT_IN_LIST,
    OF_THE_PERSON,
    OPTED_OUT,
    WAYS,
    ListSpec,
    Person,
    ReadBack,
    Refuse,
    Send,
    Skip,
)

Held = tuple[str, Mapping[str, tuple[str, ...]]]
"""A name and the values by field key."""


class Effect(StrEnum):
    """What would become of a person in the list. `LEFT` are in no audience and not touched."""

    ADDED = "added"
    RETURNED = "returned"
    UPDATED = "updated"
    MOVED = "moved"
    UNCHANGED = "unchanged"
    UNSUBSCRIBED = "unsubscribed"
    REFUSED = "refused"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class ListRules:
    """How the list treats rows.

    `takes` says whether an address is acceptable, `stored` how a field of a kind keeps a value (None: not).
    `joins` and `emptied` are what is known beyond the documentation, see `Survey`.
    """

    honours_suppression: bool
    takes: Callable[[str], bool]
    stored: Callable[[str, str], str | None]
    adopting: bool = False
    joins: bool = False
    emptied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the store and the list know of a person: nothing was ever delivered where `delivered` is None,
    the list does not have them where `listed` is None."""

    delivered: Delivered | None
    refused: Refused | None
    in_doubt: bool
    listed: Listed | None
    suppressed: bool
    raised: bool = False
    """Somebody else changed the row, and so it is in doubt."""
    olds: Mapping[str, Listed] = field(default_factory=dict)
    """How the list has other addresses of the person."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a start would do about one person.

    `code` and `reason` say why somebody is refused, or what else is to be known. `sends` has the flags of
    each row that would be sent, `asks` counts single look-ups. `queued`: automations may start for them.
    """

    key: str
    address: str
    effect: Effect
    code: str = ""
    reason: str = ""
    before: Held | None = None
    after: Held | None = None
    sends: tuple[Flags, ...] = ()
    asks: int = 0
    new: bool = False

    @property
    def queued(self) -> bool:
        stored = self.effect in (Effect.ADDED, Effect.RETURNED)
        return stored and bool(self.sends) and self.sends[-1].queue_autoresponders


def plan(person: Person, spec: ListSpec, known: Known, rules: ListRules) -> Plan:
    """What would become of this person now."""
    delivered, listed = known.delivered, known.listed
    if delivered is None and rules.adopting and listed is not None:
        delivered = adopted(listed, spec.field_key, spec.labels, 0, spec.keeps)
    match decide(person, spec, delivered, known.refused, in_doubt=known.in_doubt, raised=known.raised):
        case Skip(reason):
            return _skipped(person, reason, spec, known)
        case Refuse(code, message, row):
            return _refused(person.key, row.email, code, message, listed)
        case ReadBack(row) if listed is None and rules.takes(row.email):
            return Plan(person.key, row.email, Effect.LEFT, reason="never stored", asks=1)
        case ReadBack(row, leaves, way):
            return _sent(person, Send(row, Flags(way=way), leaves=leaves), known, spec, rules, asks=1)
        case Send() as send if send.flags.way is Way.MOVE:
            return _moved(person, send, known, spec, rules)
        case Send() as send:
            return _sent(person, send, known, spec, rules)


def _skipped(person: Person, reason: str, spec: ListSpec, known: Known) -> Plan:
    address = known.listed.address if known.listed else person.key
    if reason == "unchanged":
        return _unchanged(person.key, address, spec, known)
    if known.refused is not None and reason == "refused before":
        return _refused(person.key, address, known.refused.code, known.refused.message, known.listed)
    held = _held(known.listed)
    return Plan(person.key, address, Effect.LEFT, reason=reason, before=held, after=held)


def _unchanged(key: str, address: str, spec: ListSpec, known: Known) -> Plan:
    """As the list was last told. It can hold otherwise: then somebody changed it and nobody told us."""
    listed, told = known.listed, known.delivered
    before = _held(listed)
    if listed is None or listed.status != "active":
        state = listed.status if listed else "not there"
        reason = f"nothing new to send, and the person is {state} in the list"
        return Plan(key, address, Effect.UNCHANGED, "drift", reason, before, before)
    held = {*listed.values.get(spec.field_key, ())} & {*spec.labels}
    if told is not None and {*told.options} != held:
        reason = "the list holds other options than it was told"
        return Plan(key, address, Effect.UNCHANGED, "drift", reason, before, before)
    return Plan(key, address, Effect.UNCHANGED, before=before, after=before)


def _refused(key: str, address: str, code: str, message: str, listed: Listed | None) -> Plan:
    held = _held(listed)
    return Plan(key, address, Effect.REFUSED, code, message, held, held)


def _sent(person: Person, send: Send, known: Known, spec: ListSpec, rules: ListRules, asks: int = 0) -> Plan:
    """What the list would answer to a row, by its rules, and what would be done about that."""
    row, listed = send.row, known.listed
    code, message = _answer(row, known, rules, send.flags.way)
    news = asks_again(code, known.refused, known.delivered, in_doubt=known.in_doubt)
    asked = asks_first(send.flags) or (send.may_return and news)
    asks += asked
    flags = replace(send.flags, resubscribe=False, restart_autoresponders=False)
    # Who is new and suppressed is refused by our copy of the suppression list, without a row.
    travels = code != IN_LIST and (flags.way is Way.UPDATE or not (row.new and known.suppressed))
    out = listed is not None and listed.status in OPTED_OUT
    # Who is to be brought back is asked for first, and the switch goes with the only row.
    sends = (flags,) if travels and not (send.flags.resubscribe and (out or code in OPTED_OUT)) else ()
    if asked and code != IN_LIST and listed is not None and out:
        if is_later(send.opted_in_at, listed.since):
            # A second attempt has the other switches off.
            again = replace(send.flags, resubscribe=True)
            last = again if send.flags.resubscribe else Flags(True, way=flags.way)
            return _stored(person.key, row, (*sends, last), known, spec, rules, asks)
        code, message = listed.status, f"{listed.status} in this list"
    if not code:
        stored = _stored(person.key, row, sends, known, spec, rules, asks)
        return _unsubscribed(stored) if send.leaves else stored
    refused = _refused(person.key, row.email, code, message, listed)
    return replace(refused, sends=sends, asks=asks, new=row.new)


def _moved(person: Person, send: Send, known: Known, spec: ListSpec, rules: ListRules) -> Plan:
    """What would become of somebody whose address changed."""
    row, told = send.row, known.delivered
    if not rules.takes(row.email):
        return _refused(person.key, row.email, "invalid", "the API does not take this address", known.listed)
    stored = told is not None and (told.known or not (known.in_doubt or known.refused))
    known_there = stored or (known.refused is not None and known.refused.code in OF_THE_PERSON)
    olds = {each: _as_found(known.olds.get(each), spec) for each in row.moved_from}
    lost = {each: _as_found(known.olds.get(each), spec) for each in row.formerly}
    looked = Looked(
        olds,
        _as_found(known.listed, spec),
        new_asked=True,
        suppressed=known.suppressed,
        strange=frozenset(olds.keys() - {*went_to(person.key, told)}),
        lost=lost,
    )
    asks = len(olds) + len(lost) + (known.listed is not None)
    listed: Listed | None
    match route(row, looked, terms_of(person, send, spec.mode, known=known_there, now=0)):
        case Rename(old, clears, returns):
            listed, flags, reason = known.olds[old], Flags(returns, way=Way.MOVE), f"from {old}"
            written = for_place(row, olds[old])
        case Write(clears, returns):
            listed, flags = known.listed, Flags(returns, way=WAYS[spec.mode])
            written = for_place(row, looked.new)
            reason = f"from {', '.join(row.moved_from + row.formerly)}, where our options go"
        case Hold(code, message):
            return replace(_refused(person.key, row.email, code, message, known.listed), asks=asks)
        case _:
            return Plan(person.key, row.email, Effect.LEFT, reason="never stored", asks=asks)
    after, code, more = _written(written, listed, spec, rules)
    sends = (flags, *(Flags(way=Way.UPDATE) for _ in clears))
    effect, words = (Effect.RETURNED if returns else Effect.MOVED), f"{reason}; {more}" if more else reason
    plan = Plan(person.key, row.email, effect, code, words, _held(listed), after, sends, asks, new=True)
    return _unsubscribed(plan) if send.leaves else plan


def _as_found(listed: Listed | None, spec: ListSpec) -> Found | None:
    if listed is None:
        return None
    return Found(listed.status, listed.since, listed.values.get(spec.field_key, ()))


def _unsubscribed(plan: Plan) -> Plan:
    """After a row that says so: a call of its own."""
    sends = (*plan.sends, Flags(way=Way.UNSUBSCRIBE))
    return replace(plan, effect=Effect.UNSUBSCRIBED, reason="left the last audience", sends=sends)


def _answer(row: Row, known: Known, rules: ListRules, way: Way) -> tuple[str, str]:
    """The code with which the list would refuse a row without the resubscribe switch, or nothing."""
    listed = known.listed
    if way is Way.UPDATE:
        return ("", "") if listed is not None else (NOT_IN_LIST, "not in the list, which is only updated")
    if way is Way.ADD and listed is not None:
        return IN_LIST, "in the list already, and this export only adds people"
    if row.new and known.suppressed:
        return "suppressed", "on the client's suppression list"
    if not rules.takes(row.email):
        return "invalid", "the API does not take this for an e-mail address"
    if known.suppressed and rules.honours_suppression and listed is not None:
        return "suppressed", "on the client's suppression list"
    if listed is not None and listed.status in OPTED_OUT:
        return listed.status, f"{listed.status} in this list"
    return "", ""


def _stored(
    key: str, row: Row, sends: tuple[Flags, ...], known: Known, spec: ListSpec, rules: ListRules, asks: int
) -> Plan:
    listed, before = known.listed, _held(known.listed)
    after, code, reason = _written(row, listed, spec, rules)
    if listed is None:
        effect = Effect.ADDED
    elif listed.status in OPTED_OUT and any(flags.resubscribe for flags in sends):
        effect = Effect.RETURNED
    elif after == before:
        effect, reason = Effect.UNCHANGED, reason or "sent again"
    else:
        effect = Effect.UPDATED
    return Plan(key, row.email, effect, code, reason, before, after, sends, asks, row.new)


def _written(row: Row, listed: Listed | None, spec: ListSpec, rules: ListRules) -> tuple[Held, str, str]:
    """What the list holds after a row, and the code and words of what is lost on the way.

    Sent options replace what the field held, unless it is known that they join it.
    """
    name, values = _held(listed) or ("", {})
    written, field = dict(values), spec.field_key
    dropped = [key for key, _ in row.dropped]
    for key, value in row.values:
        texts = [text for text in ((value,) if isinstance(value, str) else value) if text]
        kept = [each for text in texts if (each := rules.stored(spec.kinds.get(key, ""), text)) is not None]
        if kept:
            written[key] = tuple(sorted(kept))
        elif not texts:
            written.pop(key, None)
        if len(kept) < len(texts):
            dropped.append(key)
    held, sent = {*values.get(field, ())}, {*row.options, *row.other_options}
    staying = held - {*row.cleared}
    written[field] = tuple(sorted(sent | staying if rules.joins else sent or staying))
    lost = staying - {*written[field]}
    if not written[field]:
        del written[field]
    emptied = [written.pop(key) for key in _unnamed(row, spec, rules) if key in written]
    after = (name if row.name is None else row.name, written)
    if dropped:
        words = dict(row.dropped)
        said = "; ".join(f"{key}: {words.get(key, 'the API drops the value')}" for key in dropped)
        return after, "dropped", f"left out, the rest is stored: {said}"
    if lost:
        return after, "others_lost", f"options of others may go: {', '.join(sorted(lost))}"
    if emptied:
        gone = sorted(option for options in emptied for option in options)
        return after, "others_lost", f"fields that the row doesn't name are emptied: {', '.join(gone)}"
    return after, "", ""


def _unnamed(row: Row, spec: ListSpec, rules: ListRules) -> list[str]:
    """The keys of fields that the row empties by not naming them."""
    named = {spec.field_key, *(key for key, _ in row.values), *(key for key, _ in row.removed)}
    return [key for key in rules.emptied if key not in named]


def _held(listed: Listed | None) -> Held | None:
    if listed is None:
        return None
    return listed.name, {key: tuple(sorted(held)) for key, held in listed.values.items()}


def imports_needed(rows: Mapping[Flags, int], limit: int) -> int:
    """The calls that carry so many rows by flags; who is brought back travels in small calls."""
    return sum(
        count if flags.way in SINGLE else ceil(count / rows_at_once(flags, limit))
        for flags, count in rows.items()
    )
