"""The job that checks a list against what should be there, and reports or repairs what is otherwise.

It reads each state of the list once, page by page, and decides about each person with the code of a
delivery. It goes on from its page after a crash. To repair is to put people in doubt: the next delivery
sends their rows with all switches off, under all of its rules. Nobody is added and nobody is resubscribed.

In memory stays a page and, for one partition at a time, about 150 bytes for each person seen; with
addresses from another field than the key's, about 200 bytes for each person whose address is another.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from listbridge.context import Context
from listbridge.errors import Fatal, Retriable, Skippable
from listbridge.exports import findings
from listbridge.exports.claims import owners
from listbridge.exports.drift import (
    ACTIVE,
    DELETED,
    TO_LEARN,
    Drift,
    Told,
    drift_of,
    is_under_way,
    of_absent,
    of_stranger,
    place_of,
)
from listbridge.exports.findings import Found, Result, Run
from listbridge.exports.ledger import Candidate, Ledger, delivered_people, note_others, raise_doubt
from listbridge.exports.protocol import Listed, ListReader
from listbridge.exports.rows import address_of
from listbridge.exports.setup import Setup, setup_of
from listbridge.exports.terms import ListSpec, Person
from listbridge.identity import person_key
from listbridge.jobs.deliver import bell_of
from listbridge.jobs.persons import person_reader
from listbridge.jobs.preparing import patient_list_reader, spec_of
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import append
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow, backoff_ms

logger = logging.getLogger(__name__)

LEASE_MS = 30_000
"""How soon another worker may go on after one was killed."""
HOUR_MS = 3_600_000
DELIVERY_MS = 900_000
"""While a delivery is under way, what it was told within this time may not show in a page yet."""
READ_AT_ONCE = 500
LOOKED_UP = 100
"""The most people who are in no state of the list and are looked up one by one. Where more are missing
something else is wrong, and nothing is learned of them."""

Progress = Callable[[str, int, int], None]
"""(step, done, of how many or 0 where that is not known)"""


class NothingToCheck(registry.NotAllowed):
    """The list was not told anything yet: deliver first."""


class UnderWay(registry.NotAllowed):
    """A worker checks this list now: `listbridge export status` shows the result when it is done."""


def lease_of(list_id: str) -> str:
    return f"reconcile:{list_id}"


def due_lists(context: Context, workflows: Sequence[Workflow]) -> list[str]:
    """The lists whose check is due, or was cut off: those of exports that run."""
    lists = sorted({each.export.list_id for each in workflows if each.kind == "export"})
    feeding = {list_id: registry.feeding(workflows, list_id) for list_id in lists}
    return [list_id for list_id, feeds in feeding.items() if _is_due(context.store, list_id, feeds)]


def _is_due(store: Store, list_id: str, feeds: Sequence[Workflow]) -> bool:
    running = _running(feeds)
    hours = [each.export.reconcile_every for each in running if each.export.reconcile_every is not None]
    if not running or store.client.exists(keys.lease(lease_of(list_id))):
        return False
    if run := findings.run_of(store, list_id):
        return run.wake_at <= now_ms()
    setup = setup_of(store, list_id)
    if not hours or setup is None or setup.adopting:
        return False
    last = findings.result_of(store, list_id)
    since = last.started_at if last else min(each.started_at for each in running)
    return since + min(hours) * HOUR_MS <= now_ms()


def _running(feeds: Iterable[Workflow]) -> list[Workflow]:
    return [each for each in feeds if each.state is State.RUNNING]


def reconcile_due(
    context: Context, list_id: str, *, stopping: Callable[[], bool] = lambda: False
) -> Result | None:
    """Check a list if that is due; None when it is not, when it is stopped, and for a problem, which is
    kept: a retriable one puts the check off."""
    feeds = registry.exports_to(context.store, list_id)
    if not _is_due(context.store, list_id, feeds):
        return None
    running = _running(feeds)
    repair = all(each.export.drift == "repair" for each in running)
    try:
        return _checked(context, running[0], repair=repair, afresh=False, stopping=stopping)
    except (Fatal, Retriable) as problem:
        logger.warning("list %s could not be checked: %s", list_id, problem)
        return None


def reconcile(
    context: Context,
    workflow_id: str,
    *,
    repair: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _step, _done, _total: None,
) -> Result | None:
    """Check the list of an export now; None when it was stopped.

    A check that was cut off is gone on with, if it does the same. Raises `NoSuchWorkflow`, `NotAllowed`
    for an import or an export that has ended, `NothingToCheck`, `UnderWay`, and the system's problems.
    """
    workflow = registry.get(context.store, workflow_id)
    if workflow.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {workflow.kind}; only an export's list is checked")
    if workflow.state is State.COMPLETED:
        raise registry.NotAllowed(f"{workflow_id} has ended: nothing says any more what should be there")
    return _checked(context, workflow, repair=repair, afresh=True, stopping=stopping, progress=progress)


def _checked(
    context: Context,
    workflow: Workflow,
    *,
    repair: bool,
    afresh: bool,
    stopping: Callable[[], bool],
    progress: Progress = lambda _step, _done, _total: None,
) -> Result | None:
    store, list_id = context.store, workflow.export.list_id
    setup = setup_of(store, list_id)
    if setup is None or setup.adopting:
        raise NothingToCheck(f"list {list_id}: {NothingToCheck.__doc__}")
    lease = Lease(store, lease_of(list_id), LEASE_MS)
    if not lease.acquire():
        raise UnderWay(f"list {list_id}: {UnderWay.__doc__}")
    try:
        run = findings.run_of(store, list_id)
        if run is None or (afresh and run.repair != repair):
            now = now_ms()
            run = Run(id=secrets.token_hex(4), workflow_id=workflow.id, started_at=now, repair=repair)
            findings.begin(store, list_id, run)
        with lease.kept() as lost:
            check = _Check(context, workflow, run, lambda: stopping() or lost.is_set(), progress)
            return _attempt(check, store, list_id)
    finally:
        lease.release()


def _attempt(check: _Check, store: Store, list_id: str) -> Result | None:
    try:
        return check.run_to_end()
    except Fatal as problem:
        check.give_up(str(problem))
        raise
    except Exception as problem:
        # Otherwise the sweep would try again at once, for ever.
        run, seconds = check.run, problem.retry_after_seconds if isinstance(problem, Retriable) else None
        wake_at = now_ms() + backoff_ms(run.failures + 1, seconds)
        later = msgspec.structs.replace(run, failures=run.failures + 1, wake_at=wake_at)
        findings.save_run(store, list_id, later)
        raise


class _Check:
    """One check under way; `run` is how far it has come."""

    def __init__(
        self, context: Context, workflow: Workflow, run: Run, stop: Callable[[], bool], progress: Progress
    ) -> None:
        self.run = run
        self._context, self._store, self._workflow = context, context.store, workflow
        self._stop, self._progress = stop, progress
        self._list_id = workflow.export.list_id
        self._reader: ListReader = patient_list_reader(context, workflow, stop)
        self._ledger = Ledger(context.store, self._list_id, token="")
        self._calls_before = run.calls
        self._look()

    def run_to_end(self) -> Result | None:
        """Go on to the end; None when it was stopped. Raises the reader's problems."""
        self._aliases = self._read_aliases()
        statuses = self._reader.statuses
        while self.run.step < len(statuses):
            if not self._read_status(statuses[self.run.step]):
                return None
        if not self._find_missing():
            return None
        return self._finish()

    def give_up(self, problem: str) -> None:
        """End without having seen everybody."""
        run = self.run
        result = Result(
            id=run.id,
            list_id=self._list_id,
            started_at=run.started_at,
            finished_at=now_ms(),
            repair=run.repair,
            in_list=run.people,
            calls=run.calls,
            problem=problem,
        )
        findings.end(self._store, self._list_id, result)
        self._log(f"the check of the list could not be finished: {problem}", warns=True)

    def _look(self) -> None:
        """The exports and what they made, as they are now."""
        feeds = registry.exports_to(self._store, self._list_id) or [self._workflow]
        setup = setup_of(self._store, self._list_id)
        assert setup is not None, "looked at before"
        self._feeds = feeds
        self._spec: ListSpec = spec_of(self._context, self._list_id, feeds, _with_all_mapped(setup, feeds))
        self._person_of = person_reader(self._context, self._workflow, self._list_id, feeds)

    def _read_status(self, status: str) -> bool:
        """Read a state of the list from where its reading stopped; False when it is to stop."""
        pages = self._reader.people(status, self.run.position, self._expected(status))
        read_at = self._read_at()
        while (page := next(pages, None)) is not None:
            self._look()
            self._judge(page.people, read_at)
            people = self.run.people | {status: self.run.people.get(status, 0) + len(page.people)}
            self._save(position=page.position, people=people)
            self._progress(f"{status} people", people[status], max(page.total, people[status]))
            if self._stop():
                return False
            read_at = self._read_at()
        self._save(step=self.run.step + 1, position="")
        return not self._stop()

    def _expected(self, status: str) -> int:
        """How many are probably in a state: as many as last time, or those whom the list was told of."""
        last = findings.result_of(self._store, self._list_id)
        if last is not None and not last.problem:
            return last.in_list.get(status, 0)
        return delivered_people(self._store, self._list_id) if status == ACTIVE else 0

    def _save(self, **changes: object) -> None:
        calls = self._calls_before + self._reader.calls
        self.run = msgspec.structs.replace(self.run, calls=calls, failures=0, wake_at=0, **changes)
        findings.save_run(self._store, self._list_id, self.run)

    def _read_at(self) -> int:
        """From when on a page that is read now may not show what the list was told (epoch ms)."""
        now = now_ms()
        delivers = self._store.client.exists(keys.lease(bell_of(self._list_id)))
        return now - DELIVERY_MS if delivers else now

    def _judge(self, people: Iterable[Listed], read_at: int) -> None:
        """Write down what is otherwise about people of the list, learn what is news, doubt what we repair."""
        by_key: dict[str, list[Listed]] = {}
        people = list(people)
        claimed = self._claimed([listed.address.lower() for listed in people])
        for listed in people:
            address = listed.address.lower()
            if key := self._aliases.get(address) or claimed.get(address) or person_key(address):
                by_key.setdefault(key, []).append(listed)
        for part, found in self._store.by_part(by_key):
            held = self._ledger.held(part, [(key, None) for key in found])
            self._judge_part(part, [(each, row) for each in held for row in by_key[each.key]], read_at)

    def _claimed(self, addresses: list[str]) -> dict[str, str]:
        """Address -> key of those whose row went there since the check began, or before."""
        if not self._spec.by_address:
            return {}
        return owners(self._store, self._list_id, [each for each in addresses if each not in self._aliases])

    def _judge_part(
        self, part: PartitionKeys, people: Sequence[tuple[Candidate, Listed]], read_at: int
    ) -> None:
        drifts: dict[str, tuple[str, Drift | None, Listed]] = {}
        others: dict[str, tuple[str, ...]] = {}
        seen = []
        for candidate, listed in people:
            person, drift = self._drift(candidate, listed, read_at)
            address = listed.address.lower()
            drifts[address] = (candidate.key, drift, listed)
            if person is None or candidate.delivered is None:
                continue
            if address in (place := place_of(candidate.key, candidate.delivered), self._address(person)):
                seen.append(candidate.key)
            if (address, listed.status) == (place, ACTIVE) and not is_under_way(_told(candidate), read_at):
                others |= self._others(candidate, listed)
        note_others(self._store, self._list_id, others)
        self._write(part, drifts, seen)

    def _drift(
        self, candidate: Candidate, listed: Listed, read_at: int
    ) -> tuple[Person | None, Drift | None]:
        told = _told(candidate)
        if candidate.packed_profile is None and told == (None, None, False):
            return None, of_stranger(self._spec, listed)
        try:
            person = self._person_of(candidate)
        except Skippable:
            return None, None  # a delivery says so; the next fold repairs it
        if person.key != candidate.key:
            return None, None  # they have another address now, and their row is judged there
        return person, drift_of(person, self._spec, told, listed, self._reader.stored, read_at=read_at)

    def _others(self, candidate: Candidate, listed: Listed) -> dict[str, tuple[str, ...]]:
        """What the field holds of others, where that is not known yet: our next row is to have it."""
        held = listed.values.get(self._spec.field_key, ())
        now = tuple(sorted({*held} - {*self._spec.labels}))
        known = candidate.delivered.others if candidate.delivered is not None else ()
        return {candidate.key: now} if now != known else {}

    def _write(
        self,
        part: PartitionKeys,
        drifts: dict[str, tuple[str, Drift | None, Listed]],
        seen: Sequence[str] = (),
        *,
        learns: bool = True,
    ) -> None:
        """Effects first: what is written down as done was done."""
        before = findings.found_before(self._store, part, self._list_id, list(drifts))
        found: dict[str, Found | None] = {}
        news, again = [], []
        for address, (key, drift, listed) in drifts.items():
            held = before.get(address)
            if drift is None:
                if held is not None and not self._has_acted(held):
                    found[address] = None
                continue
            learned = learns and drift.kind in TO_LEARN
            sent_again = self.run.repair and drift.repairable
            if sent_again and _came_back(held, drift, self.run.id):
                sent_again = False
                drift = msgspec.structs.replace(drift, words=f"{drift.words}; came back after a repair")
            news += [listed] if learned else []
            again += [key] if sent_again else []
            found[address] = Found(self.run.id, drift, sent_again, learned)
        append(self._store, self._reader.events(news))
        if again:
            raise_doubt(self._store, self._list_id, again, now_ms())
        findings.write(self._store, part, self._list_id, found, seen)

    def _has_acted(self, found: Found) -> bool:
        """Is a row fine, or under way, because this very check has done something about it?"""
        return found.run == self.run.id and (found.sent_again or found.learned)

    def _read_aliases(self) -> dict[str, str]:
        """Address -> key of those whose row went to another address than their key."""
        if not self._spec.by_address:
            return {}
        found: dict[str, str] = {}
        for part in self._store.parts:
            for candidates in self._told_in(part):
                for candidate in candidates:
                    person = self._readable(candidate)
                    if person is None or candidate.delivered is None:
                        continue
                    place = place_of(candidate.key, candidate.delivered)
                    if place != candidate.key and place not in person.lost:
                        found[place] = candidate.key
        return found

    def _address(self, person: Person) -> str:
        return address_of(person, self._spec).lower()

    def _readable(self, candidate: Candidate) -> Person | None:
        """The person, if this is their newest address."""
        try:
            person = self._person_of(candidate)
        except Skippable:
            return None
        return person if person.key == candidate.key else None

    def _told_in(
        self, part: PartitionKeys, without: frozenset[bytes] | set[bytes] = frozenset()
    ) -> Iterator[list[Candidate]]:
        """Those of a partition whom the list was told of, some at a time; SCAN may give somebody twice."""
        waiting: list[str] = []
        name = part.delivered(self._list_id)
        for key, _ in self._store.client.hscan_iter(name, count=READ_AT_ONCE):
            if findings.hash_of(key.decode()) not in without:
                waiting.append(key.decode())
            if len(waiting) == READ_AT_ONCE:
                yield self._ledger.held(part, [(each, None) for each in waiting])
                waiting = []
        if waiting:
            yield self._ledger.held(part, [(each, None) for each in waiting])

    def _find_missing(self) -> bool:
        """Who was told of and is in no state of the list; False when it is to stop.

        A few are looked up, so that whoever changed states between two pages is not taken for missing;
        of the others nothing is learned.
        """
        self._look()
        few = list(islice(self._missing(), LOOKED_UP + 1))
        for part, key, drift, listed in few if len(few) <= LOOKED_UP else self._missing():
            if self._stop():
                return False
            if len(few) > LOOKED_UP:
                self._write(part, {listed.address: (key, drift, listed)}, learns=False)
                continue
            read_at = self._read_at()
            try:
                there = self._reader.person(listed.address)
            except Skippable:
                there = None
            if there is not None:
                self._judge([there], read_at)
            elif self._is_absent(part, key):
                self._write(part, {listed.address: (key, drift, listed)})
        if len(few) > LOOKED_UP:
            self._log(
                f"more than {LOOKED_UP} people who were delivered are in no state of the list: look there "
                "first; nothing was concluded from it, and a later change would add them again",
                warns=True,
            )
        self._save()
        return True

    def _is_absent(self, part: PartitionKeys, key: str) -> bool:
        """Is it still so that nothing is under way for a person whom the list does not have?"""
        [held] = self._ledger.held(part, [(key, None)])
        person = self._readable(held)
        return person is not None and self._of_absent(person, held) is not None

    def _of_absent(self, person: Person, held: Candidate) -> Drift | None:
        return of_absent(person, self._spec, _told(held), self.run.started_at)

    def _missing(self) -> Iterator[tuple[PartitionKeys, str, Drift, Listed]]:
        for part in self._store.parts:
            seen = findings.seen_in(self._store, part, self._list_id)
            for candidates in self._told_in(part, seen):
                for candidate in candidates:
                    person = self._readable(candidate)
                    drift = self._of_absent(person, candidate) if person else None
                    if person is not None and drift is not None:
                        gone = Listed(self._address(person), DELETED, now_ms(), "", {})
                        yield part, candidate.key, drift, gone

    def _finish(self) -> Result:
        store, list_id, run = self._store, self._list_id, self.run
        findings.drop_older(store, list_id, run.id)
        kinds: Counter[str] = Counter()
        sent_again = learned = 0
        for _, each in findings.findings(store, list_id):
            kinds[each.drift.kind.value] += 1
            sent_again += each.sent_again
            learned += each.learned
        result = Result(
            id=run.id,
            list_id=list_id,
            started_at=run.started_at,
            finished_at=now_ms(),
            repair=run.repair,
            in_list=run.people,
            drift=dict(sorted(kinds.items())),
            sent_again=sent_again,
            learned=learned,
            calls=run.calls,
        )
        counts = {f"drift_{kind}": count for kind, count in kinds.items()}
        for workflow in self._feeds:
            log.count(store, workflow.id, counts | {"drift_sent_again": sent_again})
        self._log(_told_in_words(result), warns=bool(kinds))
        findings.end(store, list_id, result)
        return result

    def _log(self, line: str, *, warns: bool) -> None:
        for workflow in self._feeds:
            log.write(self._store, workflow.id, line, level="warning" if warns else "info")


def _told(candidate: Candidate) -> Told:
    return Told(candidate.delivered, candidate.refused, candidate.doubt is not None)


def _came_back(before: Found | None, drift: Drift, run: str) -> bool:
    """Was just this repaired by an earlier check? Then something that we don't know undoes it."""
    if before is None or before.run == run or not before.sent_again:
        return False
    return before.drift.differences == drift.differences


def _told_in_words(result: Result) -> str:
    people = sum(result.in_list.values())
    line = f"the list was checked: {people} people read in {result.calls} calls, "
    if not result.drift:
        return line + "all as it should be"
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.drift.items())
    return (
        f"{line}drift: {kinds}; {result.sent_again} are sent again, of {result.learned} a new state is known"
    )


def _with_all_mapped(setup: Setup, feeds: Sequence[Workflow]) -> Setup:
    """The set-up; a field that was not prepared yet stands under its name."""
    names = {each.field: each.field for feed in feeds for each in feed.export.mapped()}
    return msgspec.structs.replace(setup, mapped=names | setup.mapped)
