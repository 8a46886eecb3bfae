"""What is on its way to a list: planned rows, the calls they travel in, and what follows a call. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as struct_replace

from listbridge.exports.decisions import asks_again
from listbridge.exports.delivered import Delivered, places
from listbridge.exports.history import What, happened, to_remember
from listbridge.exports.ledger import Candidate, Record
from listbridge.exports.moves import (
    Hold,
    Route,
    cleared_row,
)
from listbridge.exports.protocol import (
    SINGLE,
    Flags,
    Found,
    Outcome,
    OutcomeKind,
    Row,
    Way,
)
from listbridge.exports.terms import (
    IN_LIST,
    NOT_IN_LIST,
    OF_THE_PERSON,
    Person,
    Send,
)
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import now_ms

FIRST_REST_MS = 60_000
LONGEST_REST_MS = 3_600_000
RETURNING_AT_ONCE = 50
"""People who are asked for and then sent in one call: few, because the time in between is the time in
which an opt-out could still be overlooked."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A row on its way; `due` is its score in the retry set, `told` what was written down before.

    `begun`: a call was made, and another follows: that of `step`, and then `steps`. `ends` is the record that
    is due then, if not that of a stored row. `asks_new`: a move must ask for the new address as well.
    `checks`: all is written, and the addresses that were cleared are looked at once more.
    """

    part: PartitionKeys
    candidate: Candidate
    person: Person
    send: Send
    due: int
    begun: bool = False
    told: Delivered | None = None
    step: Row | None = None
    steps: tuple[tuple[Row, Way], ...] = ()
    ends: Record | None = None
    asks_new: bool = False
    checks: bool = False

    @property
    def row(self) -> Row:
        """What the next call sends."""
        return self.step or self.send.row

    @property
    def moves(self) -> bool:
        """Does the person's row come from other addresses?"""
        return self.told is not None and bool(self.told.earlier)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one call; `asked`: the list has just been asked for each person's state."""

    items: Sequence[Planned]
    flags: Flags
    asked: bool = False

    @property
    def asks(self) -> bool:
        """Must the list be asked first?"""
        return asks_first(self.flags) and not self.asked

    def halves(self) -> list[Batch]:
        half = len(self.items) // 2
        return [replace(self, items=self.items[:half]), replace(self, items=self.items[half:])]


def must_ask_new(item: Planned) -> bool:
    """Must a move ask for the new address: an attempt may have written it, or it is known to be there?"""
    before = item.candidate.delivered
    unsure = item.candidate.doubt is not None or (before is not None and bool(before.earlier))
    return item.asks_new or unsure or item.person.status is not None


def calls_of(batch: Batch) -> int:
    """The calls that a batch is; those of a look at people who move are counted when it has ended."""
    if not batch.asks:
        return 1
    return 1 if batch.flags.way is Way.MOVE else len(batch.items)


def call_for(item: Planned, row: Row, flags: Flags, steps: tuple[tuple[Row, Way], ...]) -> Batch:
    send = replace(item.send, row=row, flags=flags)
    return Batch([replace(item, send=send, steps=steps)], flags, asked=True)


def clearings(
    row: Row, addresses: Iterable[str], found: Mapping[str, Found | None]
) -> tuple[tuple[Row, Way], ...]:
    return tuple(
        (cleared_row(row, address, held.options), Way.UPDATE)
        for address in addresses
        if (held := found[address]) is not None
    )


def is_of_the_person(chosen: Route) -> bool:
    """Is somebody held back by what they did themselves, and not for the address that they are to leave?"""
    return isinstance(chosen, Hold) and chosen.code in OF_THE_PERSON - {"suppressed"}


def as_vacated(before: Delivered) -> Delivered:
    """The record of somebody of whom nothing stands any more; who they were in the list is still known."""
    return struct_replace(before, options=(), known=True, earlier=(), returning=False, vacated=True)


def vacation(row: Row, found: Mapping[str, Found | None]) -> tuple[tuple[Row, Way], ...]:
    """The calls that clear what stands of a person: at addresses that are theirs, where our options are."""
    labels = {*row.options, *row.cleared}
    theirs = {each: held for each, held in found.items() if each not in row.formerly and held is not None}
    return clearings(
        row, [each for each, held in theirs.items() if not labels.isdisjoint(held.options)], found
    )


def stepping(item: Planned, steps: tuple[tuple[Row, Way], ...]) -> Batch:
    """The next of the calls that follow."""
    (row, way), *rest = steps
    return Batch([replace(item, begun=True, step=row, steps=tuple(rest))], Flags(way=way))


def steps_of(item: Planned) -> tuple[tuple[Row, Way], ...]:
    """The calls that follow once this one is stored."""
    leaves = item.send.leaves and not item.begun and item.ends is None
    return (*item.steps, (item.send.row, Way.UNSUBSCRIBE)) if leaves else item.steps


def as_of_step(item: Planned, outcome: Outcome | None) -> Outcome | None:
    """The outcome of a call, for the person: where nobody is, nothing is left to be cleared."""
    if item.step is None or outcome is None or outcome.code != NOT_IN_LIST:
        return outcome
    return Outcome(item.candidate.key, OutcomeKind.STORED)


def must_check(item: Planned) -> bool:
    """Was an address cleared last that somebody moves away from? They may have opted out there since the look
    before, and nobody would hear of it there any more."""
    cleared = item.step is not None and item.step.email != item.send.row.email
    return cleared and not item.checks and item.ends is None and bool(item.send.row.options)


def checking(item: Planned) -> Batch:
    """The look at the addresses that were cleared."""
    return looking_again(replace(item, step=None, checks=True), Flags(way=Way.MOVE))


def looking_again(item: Planned, flags: Flags) -> Batch:
    """The look at all addresses of somebody who moves, again."""
    row = item.send.row
    known = places(item.candidate.key, item.told, item.candidate.refused, OF_THE_PERSON)
    here = (row.email.lower(), *row.formerly)
    row = replace(row, moved_from=tuple(each for each in known if each not in here))
    return Batch([replace(item, send=replace(item.send, row=row), steps=(), asks_new=True)], flags)


def is_overtaken(item: Planned, outcome: Outcome) -> bool:
    """Is a move refused because the list has the addresses otherwise than it told just before?"""
    moves = item.step is None and item.send.flags.way is Way.MOVE
    return moves and outcome.code in (IN_LIST, NOT_IN_LIST)


def is_halfway(item: Planned, outcome: Outcome) -> bool:
    """Does a refusal leave it open what the list holds: a move overtaken again, or a row not yet cleared?"""
    if outcome.kind is not OutcomeKind.REFUSED:
        return False
    clears = item.step is not None and (item.ends is not None or item.step.email != item.send.row.email)
    return clears or is_overtaken(item, outcome)


def entry_of(item: Planned, what: What, code: str = "") -> tuple[bytes, bytes]:
    """What the history keeps of an outcome of this row."""
    held, send = item.candidate, item.send
    in_doubt = held.doubt is not None
    entry = happened(
        what,
        now_ms(),
        code=code,
        flags=send.flags,
        options=send.row.options,
        tried_again=in_doubt,
        moved_from=send.row.moved_from[0] if send.row.moved_from else "",
    )
    return to_remember(entry, held.delivered, held.refused, in_doubt=in_doubt)


def rest_ms(tries: int) -> int:
    """How long one person rests whose row the list would not take yet, after so many attempts before."""
    return int(min(FIRST_REST_MS * 2 ** min(tries, 20), LONGEST_REST_MS))


def is_opt_out_news(item: Planned, code: str) -> bool:
    """Is it news that the person opted out, and might a later opt-in count? Then ask the list since when."""
    held = item.candidate
    news = asks_again(code, held.refused, held.delivered, in_doubt=held.doubt is not None)
    return item.send.may_return and not item.send.flags.resubscribe and news


def asks_first(flags: Flags) -> bool:
    """Is the list asked for each person before their row is sent?"""
    return flags.resubscribe or flags.way in (Way.ADD, Way.MOVE)


def rows_at_once(flags: Flags, limit: int) -> int:
    """How many rows travel together, in an import of at most `limit`, or are asked for together."""
    if asks_first(flags):
        return min(limit, RETURNING_AT_ONCE)
    return 1 if flags.way in SINGLE else limit


def as_calls(batch: Batch) -> list[Batch]:
    """The calls for people who were asked for."""
    if batch.flags.way not in SINGLE:
        return [batch]
    return [replace(batch, items=[item]) for item in batch.items]
