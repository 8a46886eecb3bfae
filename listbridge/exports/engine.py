"""Deliver: from changed people to rows to outcomes, over any Destination.

One deliverer a list at a time. A pass gathers people who changed or are in doubt, decides about
each from their present profile, puts those to be sent in doubt, sends them in full batches with
several calls in flight, and records each call's outcome as it comes. Whatever dies, whoever was in
flight is in the retry set.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from listbridge.errors import Fatal, Retriable, Skippable
from listbridge.exports.decisions import (
    OPTED_OUT,
    Decision,
    ListSpec,
    Person,
    ReadBack,
    Refuse,
    Send,
    content_of,
    decide,
)
from listbridge.exports.delivered import Refused, delivered, pack
from listbridge.exports.ledger import Candidate, Ledger, LostLease, Record
from listbridge.exports.protocol import Destination, Flags, Outcome, OutcomeKind, Prepared, Row, Sent
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms

logger = logging.getLogger(__name__)

READ_AT_ONCE = 500
TOO_FAST_REST_MS = 60_000


@dataclass(slots=True)
class DeliverResult:
    """What a delivery did, in people; `calls` are API writes."""

    examined: int = 0
    sent: int = 0
    added: int = 0
    updated: int = 0
    refused: int = 0
    unchanged: int = 0
    in_doubt: int = 0
    calls: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True)
class _Planned:
    """A row on its way: `due` is its score in the retry set, `new` and `old` the delivered records."""

    part: PartitionKeys
    candidate: Candidate
    send: Send
    due: int
    new: bytes


@dataclass(slots=True)
class _Gathered:
    """What one partition contributes to a pass."""

    part: PartitionKeys
    cursor: int
    sends: list[tuple[Candidate, Send]] = field(default_factory=list)
    read_back: list[tuple[Candidate, Row]] = field(default_factory=list)
    refuse: list[tuple[Candidate, Refuse]] = field(default_factory=list)
    settled: list[Candidate] = field(default_factory=list)
    """In doubt before, and now nothing has to be sent."""


PersonOf = Callable[[Candidate], Person]


class Deliverer:
    """Delivers to one list. `still_mine` extends the lease and says whether it is held."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        destination: Destination,
        person_of: PersonOf,
        still_mine: Callable[[], bool],
        *,
        in_flight: int,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._destination = destination
        self._person_of = person_of
        self._still_mine = still_mine
        self._in_flight = in_flight

    def run(self, spec: ListSpec, prepared: Prepared, stop: Callable[[], bool]) -> DeliverResult:
        """Deliver until nothing is left or `stop` says so.

        Raises `Fatal` and `Retriable` of the destination; nothing is lost by either: what was not
        stored stays due, what may have been stored is in doubt.
        """
        result = DeliverResult()
        while not stop() and self._pass(spec, prepared, result):
            pass
        return result

    def _pass(self, spec: ListSpec, prepared: Prepared, result: DeliverResult) -> bool:
        now = now_ms()
        behind = self._ledger.lagging(now)
        room = self._in_flight * self._destination.batch_limit
        planned: list[_Planned] = []
        for part in behind:
            gathered = self._gather(part, spec, room - len(planned), now, result)
            self._settle(gathered, now, result)
            planned += self._plan(gathered, now)
            if len(planned) >= room:
                break
        if planned:
            self._send_all(prepared, self._checked(planned), result)
        return bool(behind)

    def _gather(
        self, part: PartitionKeys, spec: ListSpec, room: int, now: int, result: DeliverResult
    ) -> _Gathered:
        """Decide about people of one partition until `room` rows are due or nobody is left."""
        gathered = _Gathered(part, self._ledger.cursor(part))
        for candidate in self._ledger.doubted(part, self._ledger.due(part, now, room)):
            self._sort(candidate, spec, gathered, result)
        while len(gathered.sends) < room:
            people = self._ledger.changed(part, gathered.cursor, min(READ_AT_ONCE, room))
            if not people:
                break
            held = {c.key: c for c in self._ledger.calm(part, people)}
            for key, sequence in people:
                if len(gathered.sends) >= room:
                    break
                gathered.cursor = sequence
                if key in held:
                    self._sort(held[key], spec, gathered, result)
        return gathered

    def _sort(self, candidate: Candidate, spec: ListSpec, gathered: _Gathered, result: DeliverResult) -> None:
        in_doubt = candidate.doubt is not None
        result.examined += 1
        decision: Decision = decide(
            self._person_of(candidate), spec, candidate.delivered, candidate.refused, in_doubt=in_doubt
        )
        match decision:
            case Send():
                gathered.sends.append((candidate, decision))
            case ReadBack():
                gathered.read_back.append((candidate, decision.row))
            case Refuse():
                gathered.refuse.append((candidate, decision))
            case _:
                result.unchanged += 1
                if in_doubt:
                    gathered.settled.append(candidate)

    def _settle(self, gathered: _Gathered, now: int, result: DeliverResult) -> None:
        """Record what needs no write: our own refusals, and doubts that reading back or thinking resolves."""
        records = []
        for candidate, refusal in gathered.refuse:
            held = Refused(now, refusal.code, refusal.message, content_of(refusal.row))
            records.append(_settled(candidate, "refused", pack(held)))
            result.refused += 1
            result.refusals[refusal.code] += 1
        records += [_settled(candidate, "undone") for candidate in gathered.settled]
        for candidate, row in gathered.read_back:
            result.calls += 1
            if self._destination.state_of(row.email) is None:
                records.append(_settled(candidate, "absent"))
            else:
                gathered.sends.append((candidate, Send(row, Flags())))
        if records:
            self._ledger.record(gathered.part, now, records)

    def _plan(self, gathered: _Gathered, now: int) -> list[_Planned]:
        """Put who is to be sent in doubt, with the row that is sent, and move the cursor past them."""
        due = now + int(self._destination.call_seconds * 1000)
        system_now = now + self._destination.clock_offset_ms()
        planned = []
        for candidate, send in gathered.sends:
            record = delivered(send.row, candidate.delivered, now, system_now)
            planned.append(_Planned(gathered.part, candidate, send, due, pack(record)))
        rows = [(p.candidate.key, p.new, p.due) for p in planned]
        self._ledger.plan(gathered.part, gathered.cursor, rows)
        return planned

    def _checked(self, planned: list[_Planned]) -> list[_Planned]:
        """Look once more at everybody who is due the resubscribe switch: a newer opt-out takes it away."""
        checked = []
        for item in planned:
            if item.send.flags.resubscribe:
                person = self._person_of(item.candidate)
                state = self._destination.state_of(item.send.row.email)
                newer = state is not None and person.status is not None and state[1] > person.status[1]
                if state is not None and state[0] in OPTED_OUT and newer:
                    item = replace(
                        item, send=replace(item.send, flags=replace(item.send.flags, resubscribe=False))
                    )
            checked.append(item)
        return checked

    def _send_all(self, prepared: Prepared, planned: Sequence[_Planned], result: DeliverResult) -> None:
        """Send in batches by flags, several at a time; the first problem is raised when all have ended."""
        problem: Exception | None = None
        waiting = list(_batches(planned, self._destination.batch_limit))
        flying: dict[Future[Sent], list[_Planned]] = {}
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="deliver") as pool:
            while flying or (waiting and problem is None):
                while waiting and problem is None and len(flying) < self._in_flight:
                    if not self._still_mine():
                        problem = LostLease("the lease on this list ran out")
                        break
                    batch = waiting.pop(0)
                    rows = [item.send.row for item in batch]
                    result.calls += 1
                    flying[pool.submit(self._destination.send, prepared, rows, batch[0].send.flags)] = batch
                for future in wait(flying, return_when=FIRST_COMPLETED).done if flying else ():
                    failed = self._finish(flying.pop(future), future, waiting, result)
                    problem = problem or failed
        if problem is not None:
            self._undo([item for batch in waiting for item in batch])
            raise problem

    def _finish(
        self,
        batch: list[_Planned],
        future: Future[Sent],
        waiting: list[list[_Planned]],
        result: DeliverResult,
    ) -> Exception | None:
        """Record one call's outcome; -> the problem that ends the pass, if it is one."""
        try:
            sent = future.result()
        except Skippable as error:
            if len(batch) > 1:
                # Somewhere in the batch is a row that the system can't take at all: halve until it stands alone.
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]
            else:
                outcome = Outcome(batch[0].candidate.key, OutcomeKind.REFUSED, "unacceptable", str(error))
                self._record(batch, [outcome], result)
            return None
        except Retriable as error:
            if error.may_have_been_applied:
                result.in_doubt += len(batch)
            else:
                self._undo(batch)
            return error
        except Fatal as error:
            self._undo(batch)
            return error
        result.added += sent.added
        result.updated += sent.updated
        self._record(batch, sent.outcomes, result)
        return None

    def _record(self, batch: list[_Planned], outcomes: Iterable[Outcome], result: DeliverResult) -> None:
        now = now_ms()
        by_key = {outcome.key: outcome for outcome in outcomes}
        records: dict[int, list[Record]] = defaultdict(list)
        for item in batch:
            key = item.candidate.key
            outcome = by_key.get(key, Outcome(key, OutcomeKind.STORED))
            records[item.part.number].append(_as_record(item, outcome, now))
            if outcome.kind is OutcomeKind.STORED:
                result.sent += 1
            elif outcome.kind is OutcomeKind.REFUSED:
                result.refused += 1
                result.refusals[outcome.code] += 1
            else:
                result.in_doubt += 1
        for number, found in records.items():
            self._ledger.record(self._store.parts[number], now, found)

    def _undo(self, batch: Sequence[_Planned]) -> None:
        """These rows were certainly not stored: changes come again, doubts stay doubts."""
        now = now_ms()
        by_part: dict[int, list[_Planned]] = defaultdict(list)
        for item in batch:
            by_part[item.part.number].append(item)
        for number, items in by_part.items():
            changes = [item.candidate.sequence for item in items if item.candidate.sequence is not None]
            records = [
                Record(item.candidate.key, "undone", item.due, b"", item.candidate.before)
                if item.candidate.doubt is None
                else Record(item.candidate.key, "later", item.due, now)
                for item in items
            ]
            back = min(changes) - 1 if changes else None
            self._ledger.record(self._store.parts[number], now, records, rewind=back)


def _settled(candidate: Candidate, kind: str, packed: bytes = b"") -> Record:
    """The record of somebody to whom nothing is sent; a doubt is settled by the score it was read with."""
    return Record(candidate.key, kind, candidate.doubt or 0, packed, candidate.before)


def _as_record(item: _Planned, outcome: Outcome, now: int) -> Record:
    key, old = item.candidate.key, item.candidate.before
    if outcome.kind is OutcomeKind.STORED:
        return Record(key, "stored", item.due)
    if outcome.kind is OutcomeKind.LATER:
        return Record(key, "later", item.due, now + TOO_FAST_REST_MS)
    refusal = Refused(now, outcome.code, outcome.message, content_of(item.send.row))
    return Record(key, "refused", item.due, pack(refusal), old)


def _batches(planned: Sequence[_Planned], limit: int) -> Iterator[list[_Planned]]:
    """Groups of equal flags, each of at most `limit` rows."""
    groups: dict[Flags, list[_Planned]] = defaultdict(list)
    for item in planned:
        groups[item.send.flags].append(item)
    for items in groups.values():
        for start in range(0, len(items), limit):
            yield items[start : start + limit]
