"""Sending planned rows: full batches by flags, several calls in flight, each outcome recorded as it comes.

Rows that fill no call wait for more of their flags, as long as their caller has more to plan.

Who is due the resubscribe switch is asked for at the list first, at every attempt: only an opt-out
that is older than the opt-in may be undone, and the list itself knows best when that was.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from listbridge.errors import Deferred, Fatal, Retriable, Skippable
from listbridge.exports.decisions import (
    BY_MODE,
    IN_LIST,
    OPTED_OUT,
    Person,
    Send,
    asks_again,
    content_of,
    is_later,
)
from listbridge.exports.delivered import Refused, answered, pack
from listbridge.exports.history import What, happened, to_remember
from listbridge.exports.ledger import Candidate, Ledger, LostLease, Record
from listbridge.exports.protocol import (
    SINGLE,
    Destination,
    Flags,
    Outcome,
    OutcomeKind,
    Prepared,
    Sent,
    Way,
)
from listbridge.exports.results import DeliverResult
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms

FIRST_REST_MS = 60_000
LONGEST_REST_MS = 3_600_000
RETURNING_AT_ONCE = 50
"""People who are asked for and then sent in one call: few, because the time in between is the time in
which an opt-out could still be overlooked."""

LONGEST_HELD_SECONDS = 2.0
"""How long rows that fill no call wait for more of their flags while there are others to send."""

State = tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A row on its way; `due` is its score in the retry set. `begun`: stored, and a call is to follow."""

    part: PartitionKeys
    candidate: Candidate
    person: Person
    send: Send
    due: int
    begun: bool = False


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


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows of equal flags that fill no call yet, the first of them `since` (monotonic seconds)."""

    since: float
    items: list[Planned] = field(default_factory=list)


class Sender:
    """Sends to one list, several calls at once, while its caller plans more.

    `still_mine` extends the lease and says whether it is held.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        destination: Destination,
        still_mine: Callable[[], bool],
        result: DeliverResult,
        *,
        in_flight: int,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._destination = destination
        self._still_mine = still_mine
        self._result = result
        self._in_flight = in_flight
        # Waiting goes on in short stretches, so that the lease outlives the longest call.
        self._stretch = destination.call_seconds / 4
        self._held: dict[Flags, _Held] = {}
        self._ready: list[Batch] = []
        self._flying: dict[Future[Sent | list[State]], Batch] = {}
        self._people: set[str] = set()
        """Everybody in the three above."""

    @contextmanager
    def opened(self, prepared: Prepared) -> Iterator[None]:
        """Rows can be added in this block. Leaving it waits for calls that are still under way, and
        records nothing of them: see `finish` and `abandon`."""
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="deliver") as pool:
            self._pool, self._prepared = pool, prepared
            yield

    @property
    def is_idle(self) -> bool:
        """Is nothing under way, and nobody waiting for a call?"""
        return not (self._flying or self._ready or self._held)

    def is_on_its_way(self, person: str) -> bool:
        """Is a row of this person added and without an outcome? Then there must not be another one."""
        return person in self._people

    def add(self, planned: Iterable[Planned]) -> None:
        """Take rows over: those that fill a call are ready to go, the others wait for more of their kind."""
        for item in planned:
            flags = item.send.flags
            self._people.add(item.candidate.key)
            if flags not in self._held:
                self._held[flags] = _Held(time.monotonic())
            items = self._held[flags].items
            items.append(item)
            if len(items) == rows_at_once(flags, self._destination.batch_limit):
                self._ready.append(Batch(items, flags))
                del self._held[flags]

    def make_room(self, *, all_rows: bool) -> None:
        """Return when every full call is under way, or every row. Raises as `advance` does."""
        self._start(all_rows=all_rows)
        while self._ready:
            self.advance()

    def rest(self, seconds: float) -> None:
        """Record what ends in the time. Raises as `advance` does."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self._flying:
                time.sleep(min(left, self._stretch))
            self.advance(longest_seconds=left)

    def finish(self) -> None:
        """Send everything. Raises as `advance` does."""
        self._start(all_rows=True)
        while self._flying:
            self.advance(all_rows=True)

    def advance(self, *, all_rows: bool = False, longest_seconds: float | None = None) -> None:
        """Wait for one call to end, if any is under way, record it, and start what there is room for.

        Rows that fill no call are started after a while, or if `all_rows` are asked for. The first problem
        is raised when the calls that were in flight have ended; what had not begun is undone.
        """
        if (problem := self._collect(longest_seconds)) is not None:
            self.abandon()
            raise problem
        self._start(all_rows=all_rows)

    def abandon(self) -> None:
        """Wait for what is under way and record it; undo the rest."""
        waiting = [*self._ready, *(Batch(held.items, flags) for flags, held in self._held.items())]
        self._ready.clear()
        self._held.clear()
        while self._flying:
            self._still_mine()
            self._collect()
            waiting += self._ready
            self._ready.clear()
        self._people.clear()
        if waiting:
            self.undo([item for batch in waiting for item in batch.items])

    def _start(self, *, all_rows: bool = False) -> None:
        """Put calls under way, the lease just extended."""
        if not self._still_mine():
            self.abandon()
            raise LostLease("the lease on this list ran out")
        before = time.monotonic() - LONGEST_HELD_SECONDS
        for flags in [flags for flags, held in self._held.items() if all_rows or held.since < before]:
            self._ready.append(Batch(self._held.pop(flags).items, flags))
        self._launch()

    def _launch(self) -> None:
        while self._ready and len(self._flying) < self._in_flight:
            batch = self._ready.pop(0)
            self._flying[self._pool.submit(self._call, self._prepared, batch)] = batch
            self._result.calls += len(batch.items) if batch.asks else 1

    def _collect(self, longest_seconds: float | None = None) -> Exception | None:
        """Wait for a call to end and record all that have; -> the first problem that ends the delivery."""
        seconds = self._stretch if longest_seconds is None else min(self._stretch, longest_seconds)
        ended = wait(self._flying, seconds, FIRST_COMPLETED).done if self._flying else ()
        done = [(self._flying.pop(future), future) for future in ended]
        if self._ready and not any(future.exception() for _, future in done) and self._still_mine():
            self._launch()  # the next calls don't wait until these are recorded
        problem: Exception | None = None
        for batch, future in done:
            following: list[Batch] = []
            failed = self._finish(batch, future, following)
            problem = problem or failed
            self._ready[:0] = following
            self._people.difference_update(item.candidate.key for item in batch.items)
            self._people.update(item.candidate.key for each in following for item in each.items)
        return problem

    def undo(self, items: Iterable[Planned]) -> None:
        """These rows were certainly not stored: changes come again, doubts stay doubts."""
        now = now_ms()
        by_part: dict[int, list[Planned]] = defaultdict(list)
        for item in items:
            by_part[item.part.number].append(item)
        for number, found in by_part.items():
            changes = [item.candidate.sequence for item in found if item.candidate.sequence is not None]
            records = [
                Record(item.candidate.key, "undone", item.due, b"", item.candidate.delivered_packed)
                if item.candidate.doubt is None and not item.begun
                else Record(item.candidate.key, "later", item.due, now)
                for item in found
            ]
            back = min(changes) - 1 if changes else None
            self._ledger.record(self._store.parts[number], now, records, rewind=back)

    def _call(self, prepared: Prepared, batch: Batch) -> Sent | list[State]:
        """Runs in a thread of its own, and so touches nothing but the destination."""
        if batch.asks:
            return [self._state_of(item) for item in batch.items]
        return self._destination.send(prepared, [item.send.row for item in batch.items], batch.flags)

    def _state_of(self, item: Planned) -> State:
        try:
            return self._destination.state_of(item.send.row.email)
        except Skippable:
            return None  # no address that the system can look up: its answer to the row says so

    def _finish(
        self, batch: Batch, future: Future[Sent | list[State]], waiting: list[Batch]
    ) -> Exception | None:
        """Record one call's outcome; -> the problem that ends the delivery, if it is one."""
        try:
            answer = future.result()
        except Skippable as error:
            if len(batch.items) > 1:
                # Somewhere in it is a row that the system can't take at all: halve until it stands alone.
                waiting[:0] = batch.halves()
            else:
                key, later = batch.items[0].candidate.key, isinstance(error, Deferred)
                kind = OutcomeKind.LATER if later else OutcomeKind.REFUSED
                self._record(batch, [Outcome(key, kind, "unacceptable", str(error))])
            return None
        except Retriable as error:
            if error.may_have_been_applied:
                self._rest(batch.items)
            else:
                self.undo(batch.items)
            return error
        except Fatal as error:
            self.undo(batch.items)
            return error
        if isinstance(answer, Sent):
            self._result.added += answer.added
            self._result.updated += answer.updated
            waiting[:0] = self._record(batch, answer.outcomes)
        else:
            waiting[:0] = self._answered(batch, answer)
        return None

    def _answered(self, batch: Batch, states: Sequence[State]) -> list[Batch]:
        """What to send, now that the list has told the states; who opted out since the opt-in is refused."""
        returning: list[Planned] = []
        others: list[Planned] = []
        refused: list[tuple[Planned, Record]] = []
        for item, state in zip(batch.items, states, strict=True):
            if batch.flags.way is Way.ADD and state is not None:
                refused.append((item, self._already_there(item)))
            elif state is None or state[0] not in OPTED_OUT:
                flags = replace(batch.flags, resubscribe=False, restart_autoresponders=False)
                others.append(replace(item, send=replace(item.send, flags=flags, may_return=False)))
            elif is_later(item.send.opted_in_at, state[1]):
                returning.append(item)
            else:
                refused.append((item, self._refusal(item, state[0], f"{state[0]} in this list", state[1])))
        self._write(refused)
        plain = replace(batch.flags, resubscribe=False, restart_autoresponders=False)
        calls = (Batch(returning, batch.flags, asked=True), Batch(others, plain, asked=True))
        return [each for call in calls if call.items for each in _as_calls(call)]

    def _already_there(self, item: Planned) -> Record:
        """Somebody who was to be added is in the list: by an attempt of ours before, or as they were."""
        if item.candidate.delivered is not None:
            return self._as_record(item, Outcome(item.candidate.key, OutcomeKind.STORED))
        return self._refusal(item, IN_LIST, "in the list already, and this export only adds people")

    def _rest(self, items: Sequence[Planned]) -> None:
        """Nobody knows what became of these rows, and the call may still be at work for one timeout."""
        self._result.in_doubt += len(items)
        until = now_ms() + int(self._destination.call_seconds * 1000)
        self._write(
            [
                (
                    item,
                    Record(item.candidate.key, "later", item.due, until, history=_entry(item, "unanswered")),
                )
                for item in items
            ]
        )

    def _record(self, batch: Batch, outcomes: Iterable[Outcome]) -> list[Batch]:
        """Write the outcomes down; -> the calls that follow, for those who are unsubscribed now."""
        by_key = {outcome.key: outcome for outcome in outcomes}
        leaving: list[Batch] = []
        settled: list[tuple[Planned, Record]] = []
        for item in batch.items:
            outcome = by_key.get(item.candidate.key)
            stored = outcome is not None and outcome.kind is OutcomeKind.STORED
            if stored and batch.flags.way is Way.UNSUBSCRIBE:
                self._result.unsubscribed += 1
            if stored and item.send.leaves and not item.begun:
                leaving.append(Batch([replace(item, begun=True)], Flags(way=Way.UNSUBSCRIBE)))
            else:
                settled.append((item, self._as_record(item, outcome)))
        self._write(settled)
        return leaving

    def _as_record(self, item: Planned, outcome: Outcome | None) -> Record:
        """The record of an outcome; a row without one stays in doubt."""
        key = item.candidate.key
        if outcome is None or outcome.kind is OutcomeKind.LATER:
            self._result.in_doubt += 1
            code = outcome.code if outcome else ""
            return Record(
                key,
                "later",
                item.due,
                now_ms() + rest_ms(item.candidate.tries),
                history=_entry(item, "later", code),
            )
        if outcome.kind is OutcomeKind.STORED:
            self._result.sent += 1
            self._result.drop(item.send.row.dropped)
            return Record(key, "stored", item.due, history=_entry(item, "stored"))
        return self._refusal(item, outcome.code, outcome.message)

    def _refusal(self, item: Planned, code: str, message: str, since: int = 0) -> Record:
        self._result.refuse(code)
        at = now_ms() + self._destination.clock_offset_ms()
        asked = not since and _asks_again(item, code)
        packed = pack(Refused(at, code, message, content_of(item.send.row), since, asked))
        old = answered(item.candidate.delivered, item.candidate.delivered_packed)
        kind, at_fault = ("asked", False) if asked else ("refused", code not in BY_MODE)
        history = _entry(item, "refused", code)
        return Record(item.candidate.key, kind, item.due, packed, old, history, at_fault)

    def _write(self, found: Iterable[tuple[Planned, Record]]) -> None:
        now = now_ms()
        by_part: dict[int, list[Record]] = defaultdict(list)
        for item, record in found:
            by_part[item.part.number].append(record)
        for number, records in by_part.items():
            self._ledger.record(self._store.parts[number], now, records)


def _entry(item: Planned, what: What, code: str = "") -> tuple[bytes, bytes]:
    """What the history keeps of an outcome of this row."""
    held, send = item.candidate, item.send
    in_doubt = held.doubt is not None
    entry = happened(
        what, now_ms(), code=code, flags=send.flags, options=send.row.options, tried_again=in_doubt
    )
    return to_remember(entry, held.delivered, held.refused, in_doubt=in_doubt)


def rest_ms(tries: int) -> int:
    """How long one person rests whose row the list would not take yet, after so many attempts before."""
    return int(min(FIRST_REST_MS * 2 ** min(tries, 20), LONGEST_REST_MS))


def _asks_again(item: Planned, code: str) -> bool:
    """Is it news that the person opted out, and might a later opt-in count? Then ask the list since when."""
    held = item.candidate
    news = asks_again(code, held.refused, held.delivered, in_doubt=held.doubt is not None)
    return item.send.may_return and not item.send.flags.resubscribe and news


def asks_first(flags: Flags) -> bool:
    """Is the list asked for each person before their row is sent?"""
    return flags.resubscribe or flags.way is Way.ADD


def rows_at_once(flags: Flags, limit: int) -> int:
    """How many rows travel together, in an import of at most `limit`, or are asked for together."""
    if asks_first(flags):
        return min(limit, RETURNING_AT_ONCE)
    return 1 if flags.way in SINGLE else limit


def _as_calls(batch: Batch) -> list[Batch]:
    """The calls for people who were asked for."""
    if batch.flags.way not in SINGLE:
        return [batch]
    return [replace(batch, items=[item]) for item in batch.items]
