"""Sending planned rows: full batches by flags, several calls in flight, each outcome recorded as it comes.

Rows that fill no call wait for more of their flags, as long as their caller has more to plan.

Who is due the resubscribe switch is asked for at the list first, at every attempt: only an opt-out
that is older than the opt-in may be undone, and the list itself knows best when that was.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as struct_replace

from listbridge.errors import Deferred, Fatal, Retriable, Skippable
from listbridge.exports.batches import (
    Batch,
    Planned,
    as_calls,
    as_of_step,
    as_vacated,
    call_for,
    calls_of,
    checking,
    clearings,
    entry_of,
    is_halfway,
    is_of_the_person,
    is_opt_out_news,
    is_overtaken,
    looking_again,
    must_ask_new,
    must_check,
    rest_ms,
    rows_at_once,
    stepping,
    steps_of,
    vacation,
)
from listbridge.exports.calls import Calls, Ended
from listbridge.exports.claims import set_free
from listbridge.exports.decisions import is_later
from listbridge.exports.delivered import Refused, answered, pack, went_to
from listbridge.exports.ledger import Ledger, LostLease, Record
from listbridge.exports.moves import (
    Ask,
    Hold,
    Looked,
    Nothing,
    Terms,
    Write,
    for_place,
    route,
    terms_of,
)
from listbridge.exports.protocol import (
    Destination,
    Flags,
    Found,
    Outcome,
    OutcomeKind,
    Prepared,
    Sent,
    Way,
)
from listbridge.exports.results import DeliverResult
from listbridge.exports.rows import content_of
from listbridge.exports.terms import (
    BY_MODE,
    IN_LIST,
    OF_THE_PERSON,
    OPTED_OUT,
    WAYS,
    Mode,
    Refuse,
)
from listbridge.store.store import Store, now_ms

LONGEST_HELD_SECONDS = 2.0
"""How long rows that fill no call wait for more of their flags while there are others to send."""

State = tuple[str, int] | None
Answer = Sent | Sequence[State | Looked]


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
        self.mode: Mode = "upsert"
        self.list_id = ""
        """The list whose addresses become free for others; empty where nobody waits for one."""
        self._store = store
        self._ledger = ledger
        self._destination = destination
        self._still_mine = still_mine
        self._result = result
        self._in_flight = in_flight
        # Waiting goes on in short stretches, so that the lease outlives the longest call.
        self._stretch = destination.call_seconds / 4
        self._held: dict[Flags, _Held] = {}
        self._calls = Calls[Batch, Answer](self._call, self._keep_lease, in_flight, harmless=Skippable)
        self._people: set[str] = set()
        """Everybody in the three above."""

    @contextmanager
    def opened(self, prepared: Prepared) -> Iterator[None]:
        """Rows can be added in this block. Leaving it waits for calls that are still under way, and
        records nothing of them: see `finish` and `abandon`."""
        self._prepared = prepared
        with self._calls.opened():
            yield

    @property
    def is_idle(self) -> bool:
        """Is nothing under way, and nobody waiting for a call?"""
        return not (self._held or self._calls.unsettled)

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
                self._calls.put([Batch(items, flags)])
                del self._held[flags]

    def make_room(self, *, all_rows: bool) -> None:
        """Record what has ended, and return when few enough full calls wait to be under way, or every row is
        ready to go. Raises as `advance` does."""
        self._start(all_rows=all_rows)
        self.advance(longest_seconds=0)
        while self._calls.waiting >= self._in_flight:
            self.advance()

    def rest(self, seconds: float) -> None:
        """Record what ends in the time. Raises as `advance` does."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self._calls.unsettled:
                time.sleep(min(left, self._stretch))
            self.advance(longest_seconds=left)

    def finish(self) -> None:
        """Send everything. Raises as `advance` does."""
        self._start(all_rows=True)
        while self._calls.unsettled:
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
        waiting = [*self._calls.halt(), *(Batch(held.items, flags) for flags, held in self._held.items())]
        self._held.clear()
        while self._calls.unsettled:
            self._still_mine()
            self._collect()
            waiting += self._calls.halt()
        self._people.clear()
        if waiting:
            self.undo([item for batch in waiting for item in batch.items])

    def _start(self, *, all_rows: bool = False) -> None:
        """See to it that what there is to send can begin, the lease just extended."""
        try:
            self._keep_lease()
        except LostLease:
            self.abandon()
            raise
        before = time.monotonic() - LONGEST_HELD_SECONDS
        for flags in [flags for flags, held in self._held.items() if all_rows or held.since < before]:
            self._calls.put([Batch(self._held.pop(flags).items, flags)])

    def _keep_lease(self) -> None:
        if not self._still_mine():
            raise LostLease("the lease on this list ran out")

    def _collect(self, longest_seconds: float | None = None) -> BaseException | None:
        """Wait for a call to end and record all that have; -> the first problem that ends the delivery."""
        seconds = self._stretch if longest_seconds is None else min(self._stretch, longest_seconds)
        problem: BaseException | None = None
        for ended in self._calls.ended(seconds):
            batch, following = ended.batch, list[Batch]()
            self._result.calls += calls_of(batch)
            failed = self._finish(ended, following)
            problem = problem or failed
            self._people.difference_update(item.candidate.key for item in batch.items)
            self._people.update(item.candidate.key for each in following for item in each.items)
            self._calls.put(following, first=True)
        return problem or self._calls.take_problem()

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

    def _call(self, batch: Batch) -> Answer:
        """Runs in a thread of its own, and so touches nothing but the destination."""
        prepared = self._prepared
        if batch.asks and batch.flags.way is Way.MOVE:
            return self._look(prepared, batch.items)
        if batch.asks:
            return [self._state_of(item) for item in batch.items]
        return self._destination.send(prepared, [item.row for item in batch.items], batch.flags)

    def _look(self, prepared: Prepared, items: Sequence[Planned]) -> list[Looked]:
        """How the list has the addresses of people who move."""
        suppressed = self._destination.suppressed([item.send.row.email for item in items])
        found = []
        for item in items:
            row = item.send.row
            asks_new = row.email in suppressed or must_ask_new(item)
            asked = [*row.moved_from, *row.formerly, *([row.email] if asks_new else [])]
            known = {address: self._looked_up(prepared, address) for address in asked}
            new = known.pop(row.email) if asks_new else None
            before, vacates = item.candidate.delivered, item.send.vacates is not None
            ours = item.candidate.doubt is not None or vacates or item.checks
            unsure = before is not None and (bool(before.earlier) or not item.candidate.in_list)
            lost = {address: known.pop(address) for address in row.formerly}
            suppressed_too = row.email in suppressed
            strange = frozenset(known.keys() - {*went_to(item.candidate.key, before)})
            found.append(
                Looked(known, new, asks_new, suppressed_too, ours, unsure, len(asked), strange, lost)
            )
        return found

    def _looked_up(self, prepared: Prepared, address: str) -> Found | None:
        try:
            return self._destination.look_up(prepared, address)
        except Deferred:
            raise
        except Skippable:
            return None  # no address that the system can look up

    def _state_of(self, item: Planned) -> State:
        try:
            return self._destination.state_of(item.send.row.email)
        except Skippable:
            return None  # no address that the system can look up: its answer to the row says so

    def _finish(self, ended: Ended[Batch, Answer], waiting: list[Batch]) -> Exception | None:
        """Record one call's outcome; -> the problem that ends the delivery, if it is one."""
        batch = ended.batch
        try:
            answer = ended.result()
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
            if not any(item.moves for item in batch.items):
                self._result.added += answer.added
                self._result.updated += answer.updated
            waiting[:0] = self._record(batch, answer.outcomes)
        elif batch.flags.way is Way.MOVE:
            waiting[:0] = self._routed(batch, [each for each in answer if isinstance(each, Looked)])
        else:
            states = [each for each in answer if not isinstance(each, Looked)]
            waiting[:0] = self._answered(batch, states)
        return None

    def _routed(self, batch: Batch, looks: Sequence[Looked]) -> list[Batch]:
        """What follows for people who move, now that the list has told how it has their addresses."""
        self._result.calls += sum(looked.calls for looked in looks)
        calls: list[Batch] = []
        settled: list[tuple[Planned, Record]] = []
        for item, looked in zip(batch.items, looks, strict=True):
            follows = self._follow(item, looked, batch.flags)
            if isinstance(follows, Batch):
                calls.append(follows)
            else:
                settled.append((item, follows))
        self._write(settled)
        return calls

    def _follow(self, item: Planned, looked: Looked, flags: Flags) -> Batch | Record:
        """The call that follows for somebody who moves, or the record where none does."""
        row, found = item.send.row, {**looked.lost, **looked.olds, item.send.row.email.lower(): looked.new}
        chosen = route(row, looked, self._terms(item))
        if isinstance(chosen, Ask):
            return Batch([replace(item, asks_new=True)], flags)
        if item.send.vacates is not None and not is_of_the_person(chosen):
            steps, record = vacation(row, found), self._vacated(item, item.send.vacates)
            return stepping(replace(item, ends=record), steps) if steps else record
        if item.checks and not isinstance(chosen, Hold):
            return self._as_record(item, Outcome(item.candidate.key, OutcomeKind.STORED))
        if isinstance(chosen, Nothing):
            return Record(item.candidate.key, "absent", item.due, history=entry_of(item, "absent"))
        steps = clearings(row, chosen.clears, found)
        if isinstance(chosen, Hold):
            record = self._held_back(item, chosen)
            if item.send.vacates is not None:  # who opted out there may subscribe again
                steps = vacation(row, found)
            return stepping(replace(item, ends=record), steps) if steps else record
        if chosen.resubscribe and not flags.resubscribe:
            # A later opt-in is known, and this attempt may not use the switch: it is decided anew.
            code = next(each.status for each in found.values() if each and each.status in OPTED_OUT)
            return self._refusal(item, code, f"{code} in this list")
        if isinstance(chosen, Write):
            switches = Flags(chosen.resubscribe, way=WAYS[self.mode])
            return call_for(item, for_place(row, looked.new), switches, steps)
        restart = chosen.resubscribe and flags.restart_autoresponders
        switches = replace(flags, resubscribe=chosen.resubscribe, restart_autoresponders=restart)
        moved = replace(for_place(row, found[chosen.old]), moved_from=(chosen.old,))
        return call_for(item, moved, switches, steps)

    def _terms(self, item: Planned) -> Terms:
        held = item.candidate
        known = held.in_list or (held.refused is not None and held.refused.code in OF_THE_PERSON)
        now = self._destination.clock_offset_ms() + now_ms()
        return terms_of(item.person, item.send, self.mode, known=known, now=now)

    def _held_back(self, item: Planned, hold: Hold) -> Record:
        """The record of somebody whose row may not go to their new address."""
        record = self._refusal(item, hold.code, hold.message, hold.since, address=hold.address)
        before = item.candidate.delivered
        if before is not None and item.send.vacates is not None:
            return replace(record, old=pack(as_vacated(before)))
        if hold.at_new or before is None:
            return replace(record, old=b"")
        return replace(record, old=pack(struct_replace(before, known=True, returning=False)))

    def _vacated(self, item: Planned, refusal: Refuse) -> Record:
        """The record of somebody of whom nothing stands any more: they are looked at once more, at once."""
        at = self._destination.clock_offset_ms() + now_ms()
        address = refusal.row.email.lower()
        place = "" if address == item.candidate.key else address
        packed = pack(Refused(at, refusal.code, refusal.message, content_of(refusal.row), address=place))
        before = item.candidate.delivered
        old = b"" if before is None else pack(as_vacated(before))
        history = entry_of(item, "refused", refusal.code)
        return Record(item.candidate.key, "asked", item.due, packed, old, history)

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
        return [each for call in calls if call.items for each in as_calls(call)]

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
                    Record(
                        item.candidate.key, "later", item.due, until, history=entry_of(item, "unanswered")
                    ),
                )
                for item in items
            ]
        )

    def _record(self, batch: Batch, outcomes: Iterable[Outcome]) -> list[Batch]:
        """Write the outcomes down; -> the calls that follow, for those who are unsubscribed now, cleared at
        another address, or looked up again."""
        by_key = {outcome.key: outcome for outcome in outcomes}
        following: list[Batch] = []
        settled: list[tuple[Planned, Record]] = []
        for item in batch.items:
            outcome = as_of_step(item, by_key.get(item.candidate.key))
            stored = outcome is not None and outcome.kind is OutcomeKind.STORED
            if stored and batch.flags.way is Way.UNSUBSCRIBE:
                self._result.unsubscribed += 1
            steps = steps_of(item)
            if stored and steps:
                following.append(stepping(item, steps))
            elif outcome is not None and is_overtaken(item, outcome) and not item.asks_new:
                following.append(looking_again(item, batch.flags))
            elif stored and must_check(item):
                following.append(checking(item))
            elif stored and item.ends is not None:
                settled.append((item, item.ends))
            else:
                settled.append((item, self._as_record(item, outcome)))
        self._write(settled)
        return following

    def _as_record(self, item: Planned, outcome: Outcome | None) -> Record:
        """The record of an outcome; a row without one stays in doubt."""
        key = item.candidate.key
        if outcome is None or outcome.kind is OutcomeKind.LATER or is_halfway(item, outcome):
            self._result.in_doubt += 1
            code = outcome.code if outcome else ""
            return Record(
                key,
                "later",
                item.due,
                now_ms() + rest_ms(item.candidate.tries),
                history=entry_of(item, "later", code),
            )
        if outcome.kind is OutcomeKind.STORED:
            self._result.sent += 1
            self._result.drop(item.send.row.dropped)
            history = entry_of(item, "stored")
            others = item.send.row.other_options
            if item.told is None or not (item.moves or others != item.told.others):
                return Record(key, "stored", item.due, history=history)
            self._result.moved += item.moves
            told = struct_replace(item.told, earlier=(), known=True, others=others)
            return Record(key, "moved", item.due, pack(told), history=history)
        return self._refusal(item, outcome.code, outcome.message)

    def _refusal(
        self, item: Planned, code: str, message: str, since: int = 0, *, address: str = ""
    ) -> Record:
        self._result.refuse(code)
        at = self._destination.clock_offset_ms() + now_ms()
        asked = not since and is_opt_out_news(item, code)
        address = address or item.send.row.email.lower()
        place = "" if address == item.candidate.key else address
        packed = pack(Refused(at, code, message, content_of(item.send.row), since, asked, place))
        old = answered(item.candidate.delivered, item.candidate.delivered_packed)
        kind, at_fault = ("asked", False) if asked else ("refused", code not in BY_MODE)
        history = entry_of(item, "refused", code)
        return Record(item.candidate.key, kind, item.due, packed, old, history, at_fault)

    def _write(self, found: Sequence[tuple[Planned, Record]]) -> None:
        now = now_ms()
        by_part: dict[int, list[Record]] = defaultdict(list)
        for item, record in found:
            by_part[item.part.number].append(record)
        for number, records in by_part.items():
            self._ledger.record(self._store.parts[number], now, records)
        if self.list_id:
            free = [address for item, record in found for address in _left_behind(item, record)]
            set_free(self._store, self.list_id, free, now)


def _left_behind(item: Planned, record: Record) -> tuple[str, ...]:
    """The addresses that the person needs no more."""
    if record.kind == "later":
        return ()
    before = item.told.earlier if item.told is not None else ()
    return before if item.send.row.options else (*before, item.send.row.email.lower())
