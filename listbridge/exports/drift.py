"""How a person's row in a list differs from what should be there: pure, by the decisions of a delivery.

What is under way is no drift: who is in doubt, who is due a row or a refusal, and who was told something
since the page was read. Where `decide` has nothing to send, the row should hold what the list was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import msgspec

from listbridge.exports.decisions import decide, is_later
from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.protocol import FieldValue, Listed
from listbridge.exports.rows import address_of, wanted_options
from listbridge.exports.terms import OPTED_OUT, THERE, ListSpec, Person, ReadBack, Send, Skip

ACTIVE, DELETED, UNCONFIRMED = "active", "deleted", "unconfirmed"
NAME = "name"
"""Under this name a differing name is shown among the fields."""


class Kind(StrEnum):
    """What can be otherwise than it should be."""

    MISSING = "missing"
    """Told, and deleted in the list or in none of its states."""
    OPTED_OUT = "opted_out"
    """Told, and unsubscribed or bounced in the list without our knowing."""
    RETURNED = "returned"
    """Active in the list, and opted out as far as we know."""
    CHANGED = "changed"
    """An option of ours is gone, or a value or the name is another."""
    EXTRA = "extra"
    """An option of ours that the person should not have."""
    DUPLICATE = "duplicate"
    """Options of ours at an address that the person's row does not go to."""


TO_LEARN = frozenset({Kind.MISSING, Kind.OPTED_OUT, Kind.RETURNED})
"""Kinds that are news about people's states, which go into the streams as an import brings them."""


class Difference(NamedTuple):
    """What a field holds, and what it should."""

    held: tuple[str, ...]
    wanted: tuple[str, ...]


class Drift(msgspec.Struct, array_like=True, frozen=True):
    """One person's drift; `differences` are by field key. `repairable`: a delivery can put it right."""

    kind: Kind
    words: str
    differences: dict[str, Difference] = {}
    repairable: bool = False


class Told(NamedTuple):
    """What the store holds of a person's row: what the list was told, what it refused, is it in doubt."""

    delivered: Delivered | None
    refused: Refused | None
    in_doubt: bool


Stored = Callable[[str, str], str | None]
"""(kind of field, text) -> how the list keeps it; None where it doesn't."""


def drift_of(
    person: Person, spec: ListSpec, told: Told, listed: Listed, stored: Stored, *, read_at: int
) -> Drift | None:
    """What is otherwise in a row that was read at `read_at` (epoch ms), None when nothing is."""
    before = told.delivered
    if is_under_way(told, read_at):
        return None
    if listed.status != ACTIVE:
        return _of_inactive(person, told, listed)
    if (since := _thought_out_since(person, told.refused)) is not None:
        back = is_later(listed.since, since)
        return Drift(Kind.RETURNED, "active in the list, and opted out as far as we know") if back else None
    decision = decide(person, spec, before, told.refused, in_doubt=False)
    if not isinstance(decision, Skip):
        return None
    if address_of(person, spec).lower() != listed.address.lower():
        return _of_another_address(spec, listed)
    return _of_active(person, spec, told, listed, stored, whole=decision.reason in ("unchanged", THERE))


def of_stranger(spec: ListSpec, listed: Listed) -> Drift | None:
    """The drift of a row of whom the store holds nothing at all."""
    ours = _ours(spec, listed) if listed.status == ACTIVE else frozenset()
    if not ours:
        return None
    return Drift(Kind.EXTRA, "nobody here has this address", {spec.field_key: Difference(_sorted(ours), ())})


def of_absent(person: Person, spec: ListSpec, told: Told, read_at: int) -> Drift | None:
    """The drift of somebody whom the list has in none of its states. Who is due a move to another address is
    under way: a delivery looks them up."""
    before = told.delivered
    if is_under_way(told, read_at) or before is None or before.left or not _knows(told) or _is_out(person):
        return None
    if spec.by_address and address_of(person, spec).lower() != place_of(person.key, before):
        return None
    return Drift(Kind.MISSING, "in none of the list's states")


def place_of(key: str, delivered: Delivered) -> str:
    """The address that a person's row was last sent to."""
    return delivered.address or key


def is_under_way(told: Told, read_at: int) -> bool:
    """Can a page that was read then not yet show what the list was told?"""
    return told.in_doubt or (told.delivered is not None and told.delivered.at >= read_at)


def _knows(told: Told) -> bool:
    """Has the list certainly stored a row of this person?"""
    return told.delivered is not None and (told.delivered.known or told.refused is None)


def _of_inactive(person: Person, told: Told, listed: Listed) -> Drift | None:
    before, refused = told.delivered, told.refused
    if listed.status == UNCONFIRMED or before is None or before.left or _is_out(person):
        return None
    if refused is not None and refused.code in OPTED_OUT:
        return None
    kind = Kind.MISSING if listed.status == DELETED else Kind.OPTED_OUT
    return Drift(kind, f"{listed.status} in the list")


def _of_another_address(spec: ListSpec, listed: Listed) -> Drift | None:
    """The person's row goes to another address now; what they held under this one is an old duplicate."""
    if not (ours := _ours(spec, listed)):
        return None
    words = "the person's row goes to another address"
    return Drift(Kind.DUPLICATE, words, {spec.field_key: Difference(_sorted(ours), ())})


def _of_active(
    person: Person, spec: ListSpec, told: Told, listed: Listed, stored: Stored, *, whole: bool
) -> Drift | None:
    """`whole`: all of the row is ours to write; otherwise only what it should not hold counts."""
    before, ours = told.delivered, _ours(spec, listed)
    wanted = frozenset(before.options if before is not None else wanted_options(person, spec, None))
    differences: dict[str, Difference] = {}
    whole = whole and before is not None and not before.left
    if ours - wanted or (whole and wanted - ours):
        differences[spec.field_key] = Difference(_sorted(ours), _sorted(wanted))
    if whole and before is not None:
        differences |= dict(_other_fields(spec, before, listed, stored))
    if not differences:
        return None
    repairable = _can_repair(person, spec, told)
    if ours - wanted:
        words = f"holds {', '.join(_sorted(ours - wanted))}"
        if not repairable and not (before is not None and before.writes):
            words += "; set by others, nothing was ever sent to this person"
        return Drift(Kind.EXTRA, words, differences, repairable)
    return Drift(Kind.CHANGED, f"otherwise: {', '.join(sorted(differences))}", differences, repairable)


def _other_fields(
    spec: ListSpec, before: Delivered, listed: Listed, stored: Stored
) -> Iterator[tuple[str, Difference]]:
    """The name and the values that we write, where the list holds others. A field that keeps what it has
    belongs to whoever wrote it."""
    if spec.name_field and before.name is not None and _plain(before.name) != _plain(listed.name):
        yield NAME, Difference((listed.name,), (before.name,))
    written = {*(spec.fields or {}).values(), *spec.templates} - {*spec.keeps}
    for key in sorted(written & before.values.keys()):
        kept = (stored(spec.kinds.get(key, ""), text) for text in _texts(before.values[key]) if text)
        wanted = _sorted(each for each in kept if each)
        held = _sorted(listed.values.get(key, ()))
        if held != wanted:
            yield key, Difference(held, wanted)


def _can_repair(person: Person, spec: ListSpec, told: Told) -> bool:
    """Would a delivery send the row again, were it in doubt, and do no more than that?"""
    before = told.delivered
    if before is None or not before.writes or before.left or told.refused is not None:
        return False
    match decide(person, spec, before, None, in_doubt=True, raised=True):
        case Send(flags=flags, leaves=leaves):
            return not (leaves or flags.resubscribe)
        case ReadBack(leaves=leaves):
            return not leaves
        case _:
            return False


def _is_out(person: Person) -> bool:
    return person.status is not None and person.status[0] in OPTED_OUT


def _thought_out_since(person: Person, refused: Refused | None) -> int | None:
    """Since when the person is opted out as far as we know (epoch ms), None for who is not."""
    if person.status is not None:
        return person.status[1] if _is_out(person) else None
    if refused is not None and refused.code in OPTED_OUT - {"suppressed"}:
        return refused.since or refused.at
    return None


def _ours(spec: ListSpec, listed: Listed) -> frozenset[str]:
    return frozenset(listed.values.get(spec.field_key, ())) & frozenset(spec.labels)


def _texts(value: FieldValue) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _plain(name: str) -> str:
    return " ".join(name.split())


def _sorted(values: Iterator[str] | frozenset[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(values))
