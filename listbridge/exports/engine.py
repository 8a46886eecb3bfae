"""Deliver: from changed people to rows to outcomes, over any Destination.

One deliverer a list at a time. A pass gathers people who changed or are in doubt, decides about
each from their present profile, puts those to be sent in doubt, and hands them on to be sent. With
several calls in flight, the next pass is made while they are; it leaves out whose row is on its way.
Whatever dies, whoever was in flight is in the retry set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from listbridge.collector import without_collections
from listbridge.errors import Skippable, SystemProblem
from listbridge.exports.batches import Planned
from listbridge.exports.brakes import (
    CANARY,
    LEAVING,
    NEW,
    REFUSED,
    SWALLOWED,
    UNSUBSCRIBED,
    Brake,
    Held,
    track,
)
from listbridge.exports.claims import owners, set_free, take, wait_for
from listbridge.exports.contest import Contest, Verdict, Wanted
from listbridge.exports.decisions import decide, swallowed
from listbridge.exports.delivered import Refused, delivered, is_cleared, pack, places
from listbridge.exports.history import Happened, happened, to_remember
from listbridge.exports.inheriting import (
    has_something,
    inherit,
    is_news,
    look_everywhere,
    ring_relatives,
)
from listbridge.exports.ledger import MARK, Candidate, Lag, Ledger, LostLease, Record, due_again
from listbridge.exports.moves import vacating
from listbridge.exports.protocol import SINGLE, Destination, FieldValue, Flags, Prepared, Row, Way
from listbridge.exports.results import DeliverResult
from listbridge.exports.rows import content_of
from listbridge.exports.sending import Sender
from listbridge.exports.terms import (
    BY_MODE,
    DUPLICATE,
    ELSEWHERE,
    OF_THE_PERSON,
    OPTED_OUT,
    UNREADABLE,
    ListSpec,
    Person,
    ReadBack,
    Refuse,
    Send,
)
from listbridge.profiles.commit import touch
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms

READ_AT_ONCE = 500
READ_BACK_AT_ONCE = 100
"""People of one partition who are asked for, one by one, in one pass."""
REST_SECONDS = 1.0
"""How often somebody who waits for a window to end looks whether to stop."""
SINGLES_AT_ONCE = 200
"""Calls for one person each in one pass: who changes meanwhile waits for them."""
WAIT_MS = 1_000
"""How long somebody rests whose new address another person is about to leave."""


@dataclass(slots=True)
class _Gathered:
    """What one partition contributes to a pass; `was` is the cursor as read."""

    part: PartitionKeys
    was: int
    cursor: int
    sends: list[tuple[Candidate, Person, Send]] = field(default_factory=list)
    read_back: list[tuple[Candidate, Person, ReadBack]] = field(default_factory=list)
    refusals: list[tuple[Candidate, Person, Refuse]] = field(default_factory=list)
    """Refusals (no opt-outs) of people of whom something may stand at addresses that others wait for."""
    records: list[Record] = field(default_factory=list)
    """What is settled without a call."""
    unsubscribed: dict[str, int] = field(default_factory=dict)
    """Who was told something and is unsubscribed: person -> when (epoch ms)."""
    refused: list[str] = field(default_factory=list)
    """Whom we refuse for what their row holds (an opt-out is no fault of a row)."""
    swallowed: dict[str, int] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    """Addresses of people who want others and are refused: who waits for one may have it."""
    out: list[tuple[str, str]] = field(default_factory=list)
    """(address, person) of those who opted out: news of the address is news of them."""
    singles: int = 0

    def is_full(self, room: int) -> bool:
        return (
            len(self.sends) + len(self.read_back) >= room
            or len(self.read_back) >= READ_BACK_AT_ONCE
            or self.singles >= SINGLES_AT_ONCE
        )


LOST = frozenset({"unsubscribed", "deleted"})
"""Statuses of people who were taken off a list."""


PersonOf = Callable[[Candidate], Person]


class Deliverer:
    """Delivers to one list; `result` grows as it does.

    `person_of` may raise `Skippable`: that person is set aside. `still_mine` extends the lease and says
    whether it is held.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        destination: Destination,
        person_of: PersonOf,
        still_mine: Callable[[], bool],
        *,
        in_flight: int,
        window_seconds: float = 0.0,
    ) -> None:
        """`window_seconds`: how long changes collect before the next pass, once one found the last."""
        self.result = DeliverResult()
        self._store = store
        self._ledger = ledger
        self._destination = destination
        self._person_of = person_of
        self._still_mine = still_mine
        self._room = destination.batch_limit
        self._first = 0
        self._looks_ahead = in_flight > 1
        self._window = window_seconds
        self._next_pass = 0.0
        self._planning: set[str] = set()
        """Whose rows this pass has planned and not yet handed on."""
        self._decided: set[str] = set()
        """Whom this pass has found something to write down for."""
        self._sender = Sender(store, ledger, destination, still_mine, self.result, in_flight=in_flight)

    def run(
        self,
        spec: ListSpec,
        prepared: Prepared,
        stop: Callable[[], bool],
        after_pass: Callable[[], object] = lambda: None,
    ) -> DeliverResult:
        """Deliver until nothing is left or `stop` says so, which it must when `spec` is out of date.

        Raises `Fatal` and `Retriable` of the destination, `LostLease`, and `Held` when exports have to
        wait for a person; nothing is lost by them: what was not stored stays due, what may have been
        stored is in doubt.
        """
        brake = Brake(self._store, spec.list_id, spec.feeds)
        brake.tidy(now_ms())
        self._sender.mode = spec.mode
        self._sender.list_id = spec.list_id if spec.by_address else ""
        self._ledger.watches_refused = REFUSED in brake.kinds
        with self._sender.opened(prepared):
            try:
                while self._pass(spec, brake, stop):
                    after_pass()
            except Held:
                self._sender.finish()  # what was planned before is within the limits
                raise
            except (SystemProblem, LostLease):
                self._sender.abandon()
                raise
            self._sender.abandon()
        return self.result

    def send_one(self, key: str, spec: ListSpec, prepared: Prepared) -> Send | None:
        """Decide about one person and send what is due to them, as a pass does; None when nothing is.

        The cursor stays, so nobody is overlooked. Raises what `run` raises.
        """
        now, part = now_ms(), self._store.part(key)
        brake = Brake(self._store, spec.list_id, spec.feeds)
        brake.look(now)
        self._sender.mode = spec.mode
        self._sender.list_id = spec.list_id if spec.by_address else ""
        cursor = self._ledger.cursor(part)
        self._decided.clear()
        gathered = _Gathered(part, cursor, cursor)
        for candidate in self._ledger.held(part, [(key, None)]):
            self._sort(candidate, spec, gathered, now)
        planned = self._settled(gathered, spec, brake, now)
        if planned:
            with self._sender.opened(prepared):
                self._sender.add(planned)
                self._sender.finish()
        return planned[0].send if planned else None

    def _pass(self, spec: ListSpec, brake: Brake, stop: Callable[[], bool]) -> bool:
        """Plan some people and see to it that full calls are under way; False when there is nothing left."""
        now = now_ms()
        brake.look(now)
        room = brake.room(self._room)
        lagging = self._ledger.lagging(now)
        # Only now, with the cursors read: who changes the exports rewinds them afterwards.
        if stop() or (not lagging and self._sender.is_idle):
            return False
        if lagging and (early := self._next_pass - time.monotonic()) > 0:
            self._sender.rest(min(early, REST_SECONDS))
            return True
        began = time.monotonic()
        with without_collections():
            planned, is_last = self._planned(lagging, spec, brake, room, now)
        self._sender.add(planned)
        if is_last:
            self._next_pass = began + self._window
        if not self._looks_ahead:
            self._sender.finish()
        elif planned:
            self._sender.make_room(all_rows=is_last)
        else:
            # A slow call must not keep others from being looked at.
            self._sender.advance(all_rows=True, longest_seconds=self._window or None)
        return True

    def _planned(
        self, lagging: Iterable[Lag], spec: ListSpec, brake: Brake, room: int, now: int
    ) -> tuple[list[Planned], bool]:
        """The rows of one pass, in doubt from here on; and whether nobody else was to be looked at."""
        planned: list[Planned] = []
        self._decided.clear()
        is_last = True
        try:
            for lag in self._in_turn(lagging):
                left = room - len(planned)
                gathered = self._gather(lag, spec, left, now)
                is_last = is_last and not gathered.is_full(left)
                planned += self._settled(gathered, spec, brake, now)
                self._planning = {item.candidate.key for item in planned}
                if len(planned) >= room:
                    self._first = lag.part.number + 1
                    break
        except (SystemProblem, LostLease, Held):
            self._sender.undo(planned)
            raise
        finally:
            self._planning = set()
        return planned, is_last

    def _in_turn(self, lagging: Iterable[Lag]) -> list[Lag]:
        """The partitions, those first that the last pass had no room for: none waits for another for ever."""
        return sorted(lagging, key=lambda lag: (lag.part.number < self._first, lag.part.number))

    def _settled(self, gathered: _Gathered, spec: ListSpec, brake: Brake, now: int) -> list[Planned]:
        """Write down what is settled without a row; -> the rows, in doubt from here on."""
        self._read_back(gathered)
        if spec.by_address:
            self._claim(gathered, spec, now)
        part = gathered.part
        brake.add(part, _counted(gathered, now), told=len(gathered.sends))
        self.result.swallowed += 2 * track(self._store, part, spec.list_id, SWALLOWED, gathered.swallowed)
        if gathered.records:
            self._ledger.record(part, now, gathered.records)
        set_free(self._store, spec.list_id, gathered.free, now)
        return self._plan(gathered, spec, now)

    def _gather(self, lag: Lag, spec: ListSpec, room: int, now: int) -> _Gathered:
        """Decide about people of one partition until `room` rows are due or nobody is left."""
        gathered = _Gathered(lag.part, lag.cursor, lag.cursor)
        due = [key for key in self._ledger.due(lag.part, now, room) if not self._sender.is_on_its_way(key)]
        doubted = self._ledger.doubted(lag.part, due)
        for candidate in chain(doubted, self._changed(gathered, spec, lag.newest)):
            self._sort(candidate, spec, gathered, now)
            if gathered.is_full(room):
                break
        return gathered

    def _changed(self, gathered: _Gathered, spec: ListSpec, newest: int) -> Iterator[Candidate]:
        """Who changed, oldest change first; the cursor follows. Those in doubt are left to the retry set.

        Who changes on the way has a sequence beyond `newest` and waits for the next pass: one pass has
        one row of a person, or the outcome of one would be taken for that of the other. So does who changed
        while a row of theirs is on its way, and everybody after them.
        """
        part = gathered.part
        while people := self._ledger.changed(part, gathered.cursor, newest, READ_AT_ONCE):
            self._keep_lease()
            if spec.by_address:
                self._wake_owners(spec, [key for key, _ in people])
            calm = {candidate.key: candidate for candidate in self._ledger.calm(part, people)}
            for key, sequence in people:
                if self._sender.is_on_its_way(key):
                    return
                gathered.cursor = sequence
                if key in calm:
                    yield calm[key]

    def _wake_owners(self, spec: ListSpec, addresses: list[str]) -> None:
        """What became known of an address may take back the refusal of the person whose it is, and of those
        who wait for it, or for the person whose key it is."""
        found = owners(self._store, spec.list_id, addresses)
        people = sorted({owner for address, owner in found.items() if owner != address})
        due_again(self._store, spec.list_id, people, now_ms())
        set_free(self._store, spec.list_id, addresses, now_ms())

    def _claim(self, gathered: _Gathered, spec: ListSpec, now: int) -> None:
        """Leave out those whose address another person has, or is about to leave."""
        self._keep_lease()
        contest = Contest(self._store, self._ledger, spec, self._person_of, self._is_on_its_way, now)
        vacates = []
        for candidate, person, refusal in gathered.refusals:
            leaves = self._vacates(contest, candidate, person, refusal)
            if leaves:
                vacates.append(leaves)
            else:
                self._refuse(candidate, refusal, gathered)
        for (address, key), owner in zip(
            gathered.out, take(self._store, spec.list_id, gathered.out), strict=True
        ):
            if owner != key:
                wait_for(self._store, spec.list_id, address, key)
        wanted = [
            Wanted(
                send.row.email.lower(),
                candidate.key,
                send.row.moved_from,
                clears=not (send.row.options or send.row.moves),
            )
            for candidate, _, send in gathered.sends
        ]
        kept = []
        for each, (verdict, owner) in zip(gathered.sends, contest.verdicts(wanted), strict=True):
            candidate, person, send = each
            words = f"the row of {owner} has this address"
            refusal = Refuse(DUPLICATE, words, send.row)
            leaves = None
            if verdict in (Verdict.VACATE, Verdict.ANOTHERS):
                leaves = self._vacates(contest, candidate, person, refusal, in_ring=verdict is Verdict.VACATE)
            if verdict is Verdict.OURS:
                kept.append(each)
            elif verdict is Verdict.NOTHING:
                self._settle(candidate, "undone", gathered)
            elif leaves:
                vacates.append(leaves)
            elif verdict is not Verdict.ANOTHERS:
                gathered.records.append(Record(candidate.key, "later", candidate.score, now + WAIT_MS))
            else:
                for news in (send.row.email.lower(), owner):
                    wait_for(self._store, spec.list_id, news, candidate.key)
                if _is_known_duplicate(candidate, words):
                    self.result.unchanged += 1
                else:
                    self._refuse(candidate, refusal, gathered)
        gathered.sends = kept + vacates

    def _vacates(
        self,
        contest: Contest,
        candidate: Candidate,
        person: Person,
        refusal: Refuse,
        *,
        in_ring: bool = False,
    ) -> tuple[Candidate, Person, Send] | None:
        """What takes a refused person's row away: others wait for its place, or a move of it is half made."""
        told = candidate.delivered
        here = places(candidate.key, told, candidate.refused, OF_THE_PERSON)
        has = owners(self._store, contest.spec.list_id, here)
        lost = {address for address in here if has.get(address, candidate.key) != candidate.key}
        row = vacating(refusal.row, told, candidate.refused, lost, contest.spec.labels)
        if row is None or told is None:
            return None
        if not (in_ring or told.earlier) and (
            is_cleared(told, in_doubt=candidate.doubt is not None)
            or not contest.are_wanted((row.email, *row.moved_from), candidate.key)
        ):
            return None
        return candidate, person, Send(row, Flags(way=Way.MOVE), vacates=refusal)

    def _is_on_its_way(self, candidate: Candidate) -> bool:
        """May a call be at work on a row of this person: ours, or one that nobody knows the outcome of?"""
        if candidate.key in self._planning or self._sender.is_on_its_way(candidate.key):
            return True
        told = candidate.delivered
        if candidate.doubt is None or told is None or not told.writes:
            return False
        system_now = self._destination.clock_offset_ms() + now_ms()
        return told.writes[-1][0] + int(self._destination.call_seconds * 1000) > system_now

    def _sort(self, candidate: Candidate, spec: ListSpec, gathered: _Gathered, now: int) -> None:
        self.result.examined += 1
        try:
            person = self._person_of(candidate)
        except Skippable as problem:
            row = Row(candidate.key, candidate.key, None, ())
            self._refuse(candidate, Refuse(UNREADABLE, str(problem), row), gathered)
            return
        if person.who_is_who:
            whole = self._with_inheritance(candidate, person, spec, gathered, now)
            if whole is None:
                return
            candidate, person = whole
        in_doubt = candidate.doubt is not None
        if candidate.delivered is not None and person.status is not None and person.status[0] in LOST:
            gathered.unsubscribed[person.key] = person.status[1]
        for slug, at in swallowed(person, spec, candidate.delivered, now).items():
            gathered.swallowed[f"{slug}\n{person.key}"] = at
        raised = candidate.doubt_was_raised
        match decide(person, spec, candidate.delivered, candidate.refused, in_doubt=in_doubt, raised=raised):
            case Send() as send:
                self._decided.add(candidate.key)
                if until := self._rests_until(candidate, send.row, now):
                    gathered.records.append(Record(candidate.key, "later", candidate.score, until + MARK))
                else:
                    gathered.sends.append((candidate, person, send))
                    gathered.singles += send.leaves or send.flags.way in SINGLE
            case ReadBack() as asked:
                self._decided.add(candidate.key)
                gathered.read_back.append((candidate, person, asked))
            case Refuse() as refusal if spec.by_address and refusal.code not in OPTED_OUT:
                self._decided.add(candidate.key)
                gathered.refusals.append((candidate, person, refusal))
            case Refuse() as refusal:
                self._refuse(candidate, refusal, gathered)
            case _:
                self.result.unchanged += 1
                refused = candidate.refused
                if in_doubt and refused is not None and refused.code in OPTED_OUT:
                    gathered.out.append((refused.address or candidate.key, candidate.key))
                if in_doubt:
                    self._settle(candidate, "undone", gathered)

    def _with_inheritance(
        self, candidate: Candidate, person: Person, spec: ListSpec, gathered: _Gathered, now: int
    ) -> tuple[Candidate, Person] | None:
        """The person with what the list was told of them under other addresses; see `inheriting`.

        None when they are not to be decided about now: they wait for a row that is on its way, or the
        candidate is one of their other addresses, and the newest one is looked at.
        """
        heirs = [person.key, candidate.key]
        others = [] if candidate.key == person.key else [candidate]
        if candidate.key == person.key and person.others:
            for part, keys in self._store.by_part(person.others):
                held = self._ledger.held(part, [(key, None) for key in keys])
                others += [each for each in held if has_something(each)]
        if any(self._is_taken(key) for key in (*(each.key for each in others), *heirs)):
            gathered.records.append(Record(candidate.key, "later", candidate.score, now + WAIT_MS))
            return None
        self._keep_lease()
        inherit(self._store, self._ledger, spec, person.key, others, now)
        if is_news(self._store, spec.list_id, candidate.key, person):
            if candidate.key == person.key and person.others:
                [heir] = self._ledger.held(gathered.part, [(candidate.key, None)])
                look_everywhere(self._store, self._ledger, spec, person, heir, now)
            ring_relatives(self._store, spec.list_id, candidate.key, person)
        if candidate.key != person.key:
            touch(self._store, [person.key])
            self.result.unchanged += 1
            return None
        [candidate] = self._ledger.held(gathered.part, [(candidate.key, candidate.sequence)])
        if candidate.doubt is not None and candidate.doubt > now:
            return None  # the retry set has them
        return candidate, self._person_of(candidate)

    def _is_taken(self, key: str) -> bool:
        """Is something about this person on its way, or about to be written down?"""
        return key in self._decided or self._sender.is_on_its_way(key)

    def _rests_until(self, candidate: Candidate, row: Row, now: int) -> float:
        """When to insist on a row that others keep changing, by our clock; 0 for at once."""
        if candidate.delivered is None or not candidate.doubt_was_raised:
            return 0
        until = candidate.delivered.rests_until(row) - self._destination.clock_offset_ms()
        return until if until > now else 0

    def _refuse(self, candidate: Candidate, refusal: Refuse, gathered: _Gathered) -> None:
        """Keep a refusal of our own."""
        at = self._destination.clock_offset_ms() + now_ms()
        row = content_of(refusal.row)
        address = refusal.row.email.lower()
        place = "" if address == candidate.key else address
        held = Refused(at, refusal.code, refusal.message, row, refusal.since, address=place)
        if refusal.code not in OPTED_OUT:
            held = _opt_out_to_keep(candidate) or held
        entry = happened("refused", now_ms(), code=refusal.code)
        self._settle(candidate, "refused", gathered, pack(held), entry)
        self.result.refuse(refusal.code)
        gathered.free += refusal.row.moved_from
        if refusal.code in OPTED_OUT:
            gathered.out.append((refusal.row.email.lower(), candidate.key))
        if refusal.code not in OPTED_OUT | BY_MODE | {ELSEWHERE}:
            gathered.refused.append(candidate.key)

    def _settle(
        self,
        candidate: Candidate,
        kind: str,
        gathered: _Gathered,
        packed: bytes = b"",
        entry: Happened | None = None,
    ) -> None:
        self._decided.add(candidate.key)
        old, in_doubt = candidate.delivered_packed, candidate.doubt is not None
        history = (
            to_remember(entry, candidate.delivered, candidate.refused, in_doubt=in_doubt)
            if entry
            else (b"", b"")
        )
        gathered.records.append(Record(candidate.key, kind, candidate.score, packed, old, history))

    def _read_back(self, gathered: _Gathered) -> None:
        """Ask for those whom the list may not have at all; whom it has is sent what clears their row."""
        for candidate, person, asked in gathered.read_back:
            row = asked.row
            self._keep_lease()
            self.result.calls += 1
            try:
                known = self._destination.state_of(row.email) is not None
            except Skippable as problem:
                self._refuse(candidate, Refuse("unacceptable", str(problem), row), gathered)
                continue
            if known:
                gathered.sends.append(
                    (candidate, person, Send(row, Flags(way=asked.way), leaves=asked.leaves))
                )
            else:
                self._settle(candidate, "absent", gathered, entry=happened("absent", now_ms()))

    def _plan(self, gathered: _Gathered, spec: ListSpec, now: int) -> list[Planned]:
        """Put who is to be sent in doubt, with the row that is sent, and move the cursor past them."""
        due = now_ms() + int(self._destination.call_seconds * 1000)
        system_now = self._destination.clock_offset_ms() + now_ms()
        rows = []
        planned = []
        for candidate, person, send in gathered.sends:
            before, known = candidate.delivered, candidate.in_list
            record = delivered(
                send.row,
                spec.field_key,
                before,
                max(now, person.newest),
                system_now,
                known=known,
                tries=candidate.tries,
                returning=send.flags.resubscribe or (candidate.doubt is not None and _returning(candidate)),
                kept=_kept(candidate, spec),
                left=send.leaves,
            )
            rows.append((candidate, pack(record), due))
            self.result.retries += candidate.doubt is not None
            asks_new = send.vacates is not None
            planned.append(
                Planned(gathered.part, candidate, person, send, due, told=record, asks_new=asks_new)
            )
        self._ledger.plan(gathered.part, gathered.was, gathered.cursor, rows)
        return planned

    def _keep_lease(self) -> None:
        if not self._still_mine():
            raise LostLease("the lease on this list ran out")


def _is_known_duplicate(candidate: Candidate, words: str) -> bool:
    """Are they refused for that already, with nothing else to settle?"""
    refused = candidate.refused
    return (
        candidate.doubt is None
        and refused is not None
        and (refused.code, refused.message) == (DUPLICATE, words)
    )


def _opt_out_to_keep(candidate: Candidate) -> Refused | None:
    """The refusal without which nobody would ask for the address under which the person opted out."""
    refused = candidate.refused
    if refused is None or refused.code not in OF_THE_PERSON:
        return None
    here = places(candidate.key, candidate.delivered, None, ())
    return None if (refused.address or candidate.key) in here else refused


def _returning(candidate: Candidate) -> bool:
    return candidate.delivered is not None and candidate.delivered.returning


def _counted(gathered: _Gathered, now: int) -> dict[str, dict[str, int]]:
    """Whom the brakes count, by kind: person -> when (epoch ms)."""
    sent: dict[str, dict[str, int]] = {LEAVING: {}, NEW: {}, CANARY: {}, UNSUBSCRIBED: gathered.unsubscribed}
    for candidate, person, send in gathered.sends:
        sent[CANARY][person.key] = now
        told = candidate.delivered
        if told is not None and told.options and not send.row.options:
            sent[LEAVING][person.key] = now
        if send.leaves:
            sent[UNSUBSCRIBED][person.key] = now
        stays = told is not None or (person.status is not None and person.status[0] == "active")
        adds = not stays and send.flags.way is not Way.UPDATE
        if send.row.options and (send.flags.resubscribe or adds):
            sent[NEW][person.key] = now
    refused = dict.fromkeys(gathered.refused, now)
    return sent | {REFUSED: refused}


def _kept(candidate: Candidate, spec: ListSpec) -> Mapping[str, FieldValue]:
    """What the list holds beside the row that is sent: certainly, or in a field that is left alone."""
    before = candidate.delivered
    if before is None or before.field != spec.field_key:
        return {}
    if candidate.doubt is None and candidate.refused is None:
        return before.values
    return {key: before.values[key] for key in spec.keeps if key in before.values}
