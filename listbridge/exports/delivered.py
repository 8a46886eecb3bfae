"""What a list was last told of each person, and what it refused: the records of a delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from listbridge.exports.protocol import FieldValue, Listed, Row

RECENT_WRITES = 4
INSISTING_MS = 600_000
"""The time in which one row is written `RECENT_WRITES` times at most because others change it."""


class Delivered(msgspec.Struct, array_like=True, frozen=True):
    """The row a list was last told, and our last few writes, by which their echoes are recognised.

    `at` is epoch ms by our clock; `writes` are (epoch ms by the system's clock, content), newest last.
    `known`: an earlier row was certainly stored, so the list has the person. `field` is the key of the
    field that holds the options, `others` what it holds beside ours. `tries` are the attempts at this row
    before this one. An entry without `writes` was read from the list. `dropped` are the values that were
    left out, by field key, and why; `left`: the row is followed by unsubscribing the person. `returning`:
    a row with the resubscribe switch was on its way, and nothing is known of its outcome.
    `address` is where the row went to (lower case; empty: to the person's key), `earlier` the other
    addresses at which the list may still have the person while a move is in doubt. `vacated`: the list has
    told that our options stand at none of them any more, so that others may have them.
    """

    at: int
    name: str | None
    options: tuple[str, ...]
    values: dict[str, str | tuple[str, ...]]
    writes: tuple[tuple[int, str], ...] = ()
    known: bool = False
    field: str = ""
    tries: int = 0
    others: tuple[str, ...] = ()
    consent: str = ""
    mobile: str = ""
    sms: str = ""
    dropped: tuple[tuple[str, str], ...] = ()
    left: bool = False
    returning: bool = False
    address: str = ""
    earlier: tuple[str, ...] = ()
    vacated: bool = False

    def holds(self, row: Row, field: str) -> bool:
        """Does the list already hold all that this row would write?"""
        return (
            (self.field, self.options) == (field, row.options)
            and not row.moves
            and (self.address or row.key) == row.email.lower()
            and row.name in (None, self.name)
            and (row.consent or self.consent, row.mobile or self.mobile, row.sms or self.sms)
            == (self.consent, self.mobile, self.sms)
            and row.dropped == self.dropped
            and all(_as_set(self.values.get(key, ())) == _as_set(value) for key, value in row.values)
        )

    def rests_until(self, row: Row) -> int:
        """When to insist again (by the system's clock) on a row that does not last; 0 for at once.

        A list that can't hold the row (an option was removed by hand, say) tells of another row after
        each of our writes, without end.
        """
        again = [at for at, written in self.writes if written == content(row.name, row.options)]
        return again[0] + INSISTING_MS if len(again) == RECENT_WRITES else 0


class Refused(msgspec.Struct, array_like=True, frozen=True):
    """Why a row was not stored; `row` is the content that was refused.

    `at` is epoch ms by the system's clock; `since` is when the person opted out, 0 where it is not
    known or not the reason. `asked`: the list said so to a row without the resubscribe switch, and whether
    a later opt-in counts is to be decided now. `address` is where that was said (lower case; empty: the
    person's key).
    """

    at: int
    code: str
    message: str
    row: str
    since: int = 0
    asked: bool = False
    address: str = ""


def content(name: str | None, options: tuple[str, ...]) -> str:
    """A short fingerprint of what a webhook about this row would show."""
    text = msgspec.json.encode([name or "", sorted(options)])
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def _as_set(value: FieldValue) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def delivered(
    row: Row,
    field: str,
    before: Delivered | None,
    at: int,
    system_at: int,
    *,
    known: bool,
    tries: int = 0,
    kept: Mapping[str, FieldValue] = MappingProxyType({}),
    left: bool = False,
    returning: bool = False,
) -> Delivered:
    """The record of writing `row` now; `kept` are values that the list holds as long as no row says
    otherwise."""
    writes = (*(before.writes if before else ()), (system_at, content(row.name, row.options)))
    went = went_to(row.key, before)
    address = row.email.lower()
    return Delivered(
        at=at,
        name=row.name,
        options=row.options,
        values={**kept, **dict(row.values)},
        writes=writes[-RECENT_WRITES:],
        known=known,
        field=field,
        tries=tries,
        others=row.other_options,
        consent=row.consent or (before.consent if before else ""),
        mobile=row.mobile or (before.mobile if before else ""),
        sms=row.sms or (before.sms if before else ""),
        dropped=row.dropped,
        left=left,
        returning=returning,
        address="" if address == row.key else address,
        earlier=tuple(each for each in row.moved_from + row.formerly if each in went),
    )


def went_to(key: str, delivered: Delivered | None) -> tuple[str, ...]:
    """The addresses at which the list may have a row that went there for the person."""
    return places(key, delivered, None, ())


def places(
    key: str, delivered: Delivered | None, refused: Refused | None, codes: Collection[str]
) -> tuple[str, ...]:
    """The addresses at which the list may have a person: where rows went to, and where it refused them with
    one of the `codes`."""
    found = [] if delivered is None else [delivered.address or key, *delivered.earlier]
    if refused is not None and refused.code in codes:
        found.append(refused.address or key)
    return tuple(dict.fromkeys(found))


def stands_at(address: str, key: str, delivered: Delivered | None) -> bool:
    """May options of ours stand at the address because of this person?"""
    if delivered is None or delivered.vacated:
        return False
    return address in went_to(key, delivered)


def is_cleared(delivered: Delivered | None, *, in_doubt: bool) -> bool:
    """Does nothing of ours stand anywhere for the person, as the list has certainly told?"""
    if delivered is None or delivered.vacated:
        return True
    return not (in_doubt or delivered.options or delivered.earlier)


def adopted(
    listed: Listed, field: str, labels: Collection[str], at: int, keeps: Collection[str] = ()
) -> Delivered | None:
    """The record of a row that others wrote; None when it holds nothing in the field, nor in one of those
    whose values are to be left alone (`keeps`, keys)."""
    held = listed.values.get(field, ())
    if listed.status != "active" or not (held or any(listed.values.get(key) for key in keeps)):
        return None
    return Delivered(
        at,
        listed.name,
        tuple(sorted(each for each in held if each in labels)),
        values_of(listed, field),
        known=True,
        field=field,
        others=tuple(sorted(each for each in held if each not in labels)),
    )


def values_of(listed: Listed, field: str) -> dict[str, FieldValue]:
    """What the row holds in other fields than the audiences'."""
    return {
        key: value[0] if len(value) == 1 else value for key, value in listed.values.items() if key != field
    }


def answered(before: Delivered | None, packed: bytes) -> bytes:
    """The packed record once the list has answered: no row with the resubscribe switch is on its way."""
    if before is None or not before.returning:
        return packed
    return pack(msgspec.structs.replace(before, returning=False))


pack = msgspec.msgpack.Encoder().encode
unpack_delivered = msgspec.msgpack.Decoder(Delivered).decode
unpack_refused = msgspec.msgpack.Decoder(Refused).decode
