"""What becomes of a person whose address changed, decided on how the list has both addresses: pure.

The list is asked at every attempt. The row under the old address gets the new one; where the list has the
new address already, that row is written and the old one loses our options. Whoever opted out under one of
their addresses stays out under the others: the row stays as it is, or is cleared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from listbridge.exports.decisions import is_later
from listbridge.exports.delivered import Delivered, Refused, places, went_to
from listbridge.exports.protocol import Found, Row
from listbridge.exports.terms import MINUTE_MS, NOT_IN_LIST, OF_THE_PERSON, OPTED_OUT, Mode, Person, Send

GONE = "deleted"
"""The code for whom the list has under no address any more: somebody took them out."""

OptOut = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Looked:
    """How the list has the other addresses of a person, and the new one if that was asked for.

    `lost`: those that have become somebody else's; `suppressed`: the new one is never sent to. `ours`: an
    attempt may have written our row to the new one. `unsure`: it is not certain at which of the others the
    person's row is, so that one without our options may be what another person left. `strange`: those of
    the others that only refused the person: what stands there was there before them, maybe another's row.
    `calls` were made to find out.
    """

    olds: Mapping[str, Found | None]
    new: Found | None = None
    new_asked: bool = False
    suppressed: bool = False
    ours: bool = False
    unsure: bool = False
    calls: int = 0
    strange: frozenset[str] = frozenset()
    lost: Mapping[str, Found | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for the person. `opted_in_at`: the opt-in that counts (epoch ms); `told`: an opt-out that
    the streams tell; `known`: the list certainly had them; `adds`: they may be added; `now`: the list's
    clock (epoch ms)."""

    opted_in_at: int | None = None
    told: OptOut | None = None
    known: bool = True
    adds: bool = True
    now: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """The new address has to be asked for as well."""


@dataclass(frozen=True, slots=True)
class Rename:
    """The row at `old` gets the new address; those at `clears` lose our options."""

    old: str
    clears: tuple[str, ...] = ()
    resubscribe: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """The row is written to the new address; those at `clears` lose our options."""

    clears: tuple[str, ...] = ()
    resubscribe: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Refused, with an opt-out under `address` and since when (epoch ms); rows at `clears` lose our options.

    `at_new`: nothing of ours is left but at the new address, where we may not write.
    """

    code: str
    message: str
    since: int
    address: str
    clears: tuple[str, ...] = ()
    at_new: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """The list has the person nowhere, and there is nothing to add."""


Route = Ask | Rename | Write | Hold | Nothing


def route(row: Row, looked: Looked, terms: Terms) -> Route:
    """What to do about a row with other addresses."""
    there = {address: found for address, found in looked.olds.items() if found is not None}
    theirs = {address: found for address, found in there.items() if address not in looked.strange}
    active = [address for address, found in theirs.items() if found.status not in OPTED_OUT]
    if not looked.new_asked and not active:
        return Ask()
    held = tuple(address for address, found in theirs.items() if _is_ours(found, row))
    out = _held_elsewhere(looked, terms)
    if out is not None and not is_later(terms.opted_in_at, out[1][1]):
        (code, since), address = out[1], out[0]
        wrote = looked.ours and looked.new is not None and looked.new.status not in OPTED_OUT
        clears = tuple(each for each in held if each in active) + ((row.email.lower(),) if wrote else ())
        return Hold(code, f"{code} in this list under {address}", since, address, clears)
    if (refusal := _out_at_new(looked, terms)) and not is_later(terms.opted_in_at, refusal[1]):
        code, since = refusal
        message = f"{code} in this list under the new address"
        return Hold(code, message, since, row.email.lower(), held, at_new=True)
    returns = out is not None or refusal is not None
    if looked.new is not None:
        return Write(held, resubscribe=looked.new.status in OPTED_OUT)
    movable = active or ([*theirs] if returns else [])
    movable = [each for each in movable if there[each].status != "bounced"]
    if looked.unsure:
        movable = _certain(movable, held, row, terms)
    if movable:
        others = tuple(each for each in held if each != movable[0])
        return Rename(movable[0], others, resubscribe=there[movable[0]].status in OPTED_OUT)
    if not row.options:
        return Nothing()
    if not terms.adds or (not returns and terms.known and _is_nowhere(looked)):
        return _gone(row, looked, terms, held)
    return Write(held)


def terms_of(person: Person, send: Send, mode: Mode, *, known: bool, now: int) -> Terms:
    """What holds for a person who moves; of the addresses that the list is asked for, its word counts."""
    asked = {*send.row.moved_from, *send.row.formerly, send.row.email.lower()}
    told = [
        each
        for address, each in person.elsewhere.items()
        if address not in asked and each[0] in OF_THE_PERSON
    ]
    latest = max(told, key=lambda each: each[1], default=None)
    return Terms(send.opted_in_at, latest, known=known, adds=mode != "update_only", now=now)


def cleared_row(row: Row, address: str, others: tuple[str, ...]) -> Row:
    """The row that takes our options out of what the list has at another address of the person."""
    labels = tuple(sorted({*row.options, *row.cleared}))
    kept = tuple(each for each in others if each not in labels)
    return Row(row.key, address, None, (), labels, other_options=kept, consent="Unchanged")


def vacating(
    row: Row,
    delivered: Delivered | None,
    refused: Refused | None,
    lost: Collection[str],
    labels: Iterable[str],
) -> Row | None:
    """What clears all that stands of a person who can't have the address of their row; None where nothing
    of it is theirs any more."""
    if delivered is None or delivered.vacated:
        return None
    here = places(row.key, delivered, refused, OF_THE_PERSON)
    ours = tuple(each for each in went_to(row.key, delivered) if each not in lost)
    if not ours:
        return None
    return Row(
        row.key,
        ours[0],
        None,
        (),
        tuple(labels),
        consent="Unchanged",
        moved_from=ours[1:],
        formerly=tuple(each for each in here if each not in ours),
    )


def for_place(row: Row, found: Found | None) -> Row:
    """The row, with what others keep in the field of the row that it is written to."""
    labels = {*row.options, *row.cleared}
    kept = tuple(sorted(each for each in found.options if each not in labels)) if found else ()
    return replace(row, other_options=kept, new=False)


def _certain(movable: list[str], held: tuple[str, ...], row: Row, terms: Terms) -> list[str]:
    """Those of the rows that are certainly the person's, the one that was confirmed last first.

    Who is in no audience holds no options of ours, and who may not be added has but the row that they had.
    """
    oldest_first = movable[::-1]
    certain = [each for each in oldest_first if each in held]
    return certain or ([] if row.options and terms.adds else oldest_first[:1])


def _is_ours(found: Found, row: Row) -> bool:
    return not {*found.options}.isdisjoint({*row.options, *row.cleared})


def _held_elsewhere(looked: Looked, terms: Terms) -> tuple[str, OptOut] | None:
    """The latest opt-out under another address that holds for the person, and the address."""
    outs = [
        (each, (found.status, found.since))
        for each, found in (*looked.olds.items(), *looked.lost.items())
        if found is not None and found.status in OF_THE_PERSON
    ]
    if terms.told is not None:
        outs.append(("another address", terms.told))
    latest = max(outs, key=lambda each: each[1][1], default=None)
    new = looked.new
    if latest is None or new is None or new.status in OPTED_OUT:
        return latest
    subscribed_since = _minute(new.since) > _minute(latest[1][1])
    return None if subscribed_since else latest


def _out_at_new(looked: Looked, terms: Terms) -> OptOut | None:
    if looked.new is not None and looked.new.status in OPTED_OUT:
        return looked.new.status, looked.new.since
    return ("suppressed", terms.now) if looked.suppressed and looked.new is None else None


def _is_nowhere(looked: Looked) -> bool:
    """Are all rows that went out for the person gone, none of them because the address is another's?

    Who was only refused has none; they are if what refused them is gone, too.
    """
    asked = looked.olds.keys() - looked.strange or looked.olds.keys()
    return not looked.lost and all(looked.olds[address] is None for address in asked)


def _gone(row: Row, looked: Looked, terms: Terms, held: tuple[str, ...]) -> Hold:
    asked = [each for each in row.moved_from if each not in looked.strange]
    for address in asked:
        if (found := looked.olds.get(address)) is not None:
            message = f"{found.status} in this list under {address}"
            return Hold(found.status, message, found.since, address, held)
    if not asked and not looked.lost and any(looked.olds.values()):
        return Hold(NOT_IN_LIST, "not in the list, which is only updated", terms.now, row.email.lower())
    old = (*asked, *row.moved_from, *row.formerly)[0]
    return Hold(GONE, f"the list has {old} no more: somebody took it out", terms.now, old)


def _minute(at: int) -> int:
    return at - at % MINUTE_MS
