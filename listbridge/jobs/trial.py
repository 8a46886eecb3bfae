"""A trial: one person sent now, by the code and under the rules of a delivery, read back, and undone.

It works for exports that are paused, above all before their start. It is planned first: who would be
refused, or is due nothing, is told so, and nothing is changed. The list's field, options and segments are
made where they are missing, as a start would, and stay when the person is put back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable, Skippable
from listbridge.exports.brakes import Held
from listbridge.exports.delivered import Refused, adopted, pack, places
from listbridge.exports.engine import Deliverer
from listbridge.exports.history import happened, to_remember
from listbridge.exports.ledger import Candidate, Ledger, Record, raise_doubt
from listbridge.exports.planning import Effect, Known, ListRules, Plan, plan
from listbridge.exports.protocol import Destination, Listed, ListReader, Survey
from listbridge.exports.rows import address_of, content_of
from listbridge.exports.setup import Setup, setup_of
from listbridge.exports.terms import OF_THE_PERSON, ListSpec, Person, Send
from listbridge.identity import person_key
from listbridge.jobs.deliver import bell_of, destination_for
from listbridge.jobs.persons import person_reader
from listbridge.jobs.plan import export_to_plan
from listbridge.jobs.preparing import (
    list_reader,
    prepare_list,
    prepared_of,
    setup_from,
    spec_of,
    wanted_setup,
)
from listbridge.profiles.people import newest_address
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.systems import never, system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import ACTIVE, State, Workflow

LEASE_SECONDS = 10.0
"""For how long a delivery that is under way is waited for."""

ATTEMPTS = 3

TakeOut = Literal["delete", "unsubscribe"]
_TAKEN_OUT = {"delete": "deleted", "unsubscribe": "unsubscribed"}


class NoTrial(Fatal):
    """Nothing was sent and nothing was changed."""


class Busy(Retriable):
    """A delivery to the list is under way: try again in a moment."""


class NotUndone(Fatal):
    """Nothing was put back."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one person. `send` is None when nothing was sent; then `plan` says why.

    `before` and `now` are what the list held and holds; `state` what our records say: stored, refused, or
    in doubt. The rest is what an undo needs.
    """

    workflow: Workflow
    key: str
    plan: Plan
    before: Listed | None = None
    now: Listed | None = None
    send: Send | None = None
    state: str = ""
    words: str = ""
    field_key: str = ""
    candidate: Candidate | None = None
    recorded: bytes = b""

    @property
    def may_be_undone(self) -> bool:
        return self.send is not None and self.state == "stored" and not self.send.row.moves


def try_out(context: Context, workflow_id: str, email: str, *, for_undo: bool = False) -> Trial:
    """Send one person of an export now, and read them back.

    Raises `NoSuchWorkflow`, `NotAllowed` for an import and an export that has ended, `NoTrial` with the
    reason, `Busy`, and the system's problems. `for_undo`: an export that runs is refused, because it would
    send the person again.
    """
    workflow = export_to_plan(context, workflow_id)
    if for_undo:
        _check_undoable(workflow)
    key = person_key(email)
    if key is None:
        raise NoTrial(f"{email!r} is no e-mail address: write it as in name@example.com")
    key = newest_address(context.store, context.programs, key)
    return _Trying(context, workflow, key).run(for_undo=for_undo)


def _check_undoable(workflow: Workflow) -> None:
    if workflow.state in ACTIVE:
        raise NotUndone(
            f"export {workflow.id} is {workflow.state} and would send the person again: pause it first "
            f"(listbridge workflow pause {workflow.id}). {NotUndone.__doc__}"
        )


class _Trying:
    """One trial under way."""

    def __init__(self, context: Context, workflow: Workflow, key: str) -> None:
        self._context, self._store, self._workflow, self._key = context, context.store, workflow, key
        self._list_id = workflow.export.list_id
        self._reader: ListReader = list_reader(context, workflow)
        self._feeds = [
            _started(each) if each.id == workflow.id else each
            for each in registry.exports_to(context.store, self._list_id)
        ]
        self._person_of = person_reader(context, workflow, self._list_id, self._feeds)

    def run(self, *, for_undo: bool) -> Trial:
        ask = wanted_setup(self._feeds, setup_of(self._store, self._list_id))
        survey = self._reader.survey(ask)
        held = setup_of(self._store, self._list_id)
        setup = setup_from(survey.prepared, ask.labels, held, self._feeds, repr(ask))
        candidate = self._held(Ledger(self._store, self._list_id, ""))
        person = self._person(candidate)
        address = address_of(person, spec_of(self._context, self._list_id, self._feeds, setup))
        before = self._look(address)
        planned = self._planned(candidate, person, before, setup, survey)
        trial = Trial(self._workflow, self._key, planned, before, before)
        if not planned.sends or planned.effect is Effect.REFUSED:
            return trial
        lasts = planned.effect is Effect.UNSUBSCRIBED or bool(self._elsewhere(candidate, address))
        if for_undo and (lasts or not _comes_back_to(before)):
            raise NotUndone(
                f"the person would be {planned.effect.value}, which can't be undone: try without --undo. "
                f"{NoTrial.__doc__}"
            )
        return self._send(trial, address)

    def _held(self, ledger: Ledger) -> Candidate:
        [candidate] = ledger.held(self._store.part(self._key), [(self._key, None)])
        if candidate.doubt is not None and candidate.doubt > now_ms():
            raise Busy(f"a row of this person is on its way or rests: {Busy.__doc__}")
        return candidate

    def _person(self, candidate: Candidate) -> Person:
        try:
            return self._person_of(candidate)
        except Skippable as problem:
            raise NoTrial(f"{problem}. {NoTrial.__doc__}") from None

    def _look(self, address: str) -> Listed | None:
        try:
            return self._reader.person(address)
        except Skippable:
            return None  # no address that the system can look up: the plan says so

    def _planned(
        self, candidate: Candidate, person: Person, before: Listed | None, setup: Setup, survey: Survey
    ) -> Plan:
        spec = spec_of(self._context, self._list_id, self._feeds, setup)
        rules = ListRules(survey.honours_suppression, self._reader.takes, self._reader.stored, setup.adopting)
        matters = before is None or survey.honours_suppression
        known = Known(
            candidate.delivered,
            candidate.refused,
            candidate.doubt is not None,
            before,
            matters and self._is_suppressed(address_of(person, spec)),
            candidate.doubt_was_raised,
            self._olds(candidate, address_of(person, spec)),
        )
        return plan(person, spec, known, rules)

    def _olds(self, candidate: Candidate, address: str) -> dict[str, Listed]:
        """How the list has the person under other addresses of theirs."""
        found = {each: self._look(each) for each in self._elsewhere(candidate, address)}
        return {each: listed for each, listed in found.items() if listed is not None}

    def _elsewhere(self, candidate: Candidate, address: str) -> list[str]:
        """The other addresses at which the list may have the person: a row for this one moves them."""
        if registry.deciding(self._feeds)[0].export.email_field == "email":
            return []
        others = places(self._key, candidate.delivered, candidate.refused, OF_THE_PERSON)
        return [each for each in others if each != address.lower()]

    def _is_suppressed(self, address: str) -> bool:
        wanted = address.lower()
        return any(wanted == each.lower() for page in self._reader.suppressed() for each in page)

    def _send(self, trial: Trial, address: str) -> Trial:
        real = [
            msgspec.structs.replace(each, not_begun=0) if each.id == self._workflow.id else each
            for each in registry.exports_to(self._store, self._list_id)
        ]
        destination = destination_for(self._context, self._feeds, self._workflow, never)
        with _leased(self._store, self._list_id, destination) as lease:
            setup = prepare_list(self._context, self._list_id, real, destination)
            self._check_same(self._look(address), trial.before)
            ledger = Ledger(self._store, self._list_id, lease.token)
            ledger.take_over()
            self._adopt(ledger, trial.before, setup)
            candidate = self._held(ledger)
            spec = spec_of(self._context, self._list_id, self._feeds, setup)
            deliverer = Deliverer(
                self._store, ledger, destination, self._person_of, lease.extend, in_flight=1
            )
            send = self._send_until_answered(deliverer, ledger, spec, setup)
            for workflow in real:
                log.count(self._store, workflow.id, deliverer.result.counters())
            [after] = ledger.held(self._store.part(self._key), [(self._key, None)])
        log.write(self._store, self._workflow.id, "one person was sent as a trial")
        return replace(
            trial,
            now=self._look(address),
            send=send,
            state=_state(after),
            words=after.refused.message if after.refused else "",
            field_key=setup.field_key,
            candidate=candidate,
            recorded=after.delivered_packed,
        )

    def _check_same(self, now: Listed | None, before: Listed | None) -> None:
        """An undo would else take away what the person did since they were looked at."""
        if _shown(now) != _shown(before):
            raise NoTrial(f"the person's row was changed just now: try again. {NoTrial.__doc__}")

    def _send_until_answered(
        self, deliverer: Deliverer, ledger: Ledger, spec: ListSpec, setup: Setup
    ) -> Send | None:
        """Who is to be brought back is refused first, asked for, and sent again."""
        sent = None
        for _ in range(ATTEMPTS):
            try:
                sent = deliverer.send_one(self._key, spec, prepared_of(setup)) or sent
            except Held as held:
                raise NoTrial(f"{held}: the export waits for a person. {NoTrial.__doc__}") from None
            [after] = ledger.held(self._store.part(self._key), [(self._key, None)])
            if after.doubt is None or after.refused is None or not after.refused.asked:
                break
        return sent

    def _adopt(self, ledger: Ledger, before: Listed | None, setup: Setup) -> None:
        """What the person holds counts as told, as it would by the start's own reading of the list."""
        if not setup.adopting or before is None:
            return
        if entry := adopted(before, setup.field_key, setup.labels, now_ms(), setup.keeps):
            ledger.adopt(self._store.part(self._key), {self._key: pack(entry)})


def _started(workflow: Workflow) -> Workflow:
    """As it is when it runs outside its quiet hours, with nothing confirmed that nobody has confirmed."""
    export = msgspec.structs.replace(workflow.export, quiet_hours=None)
    return msgspec.structs.replace(workflow, state=State.RUNNING, not_begun=0, config=export)


def _shown(listed: Listed | None) -> object:
    """What tells two looks at a row apart."""
    if listed is None:
        return None
    values = {key: sorted(held) for key, held in listed.values.items() if held}
    return listed.status, listed.since, listed.name, values


def _comes_back_to(before: Listed | None) -> bool:
    """Can a person be brought to the state that they were in?"""
    return before is None or before.status in ("active", *_TAKEN_OUT.values())


def _state(after: Candidate) -> str:
    if after.doubt is not None:
        return "in doubt"
    return "refused" if after.refused is not None else "stored"


@contextmanager
def _leased(store: Store, list_id: str, destination: Destination) -> Iterator[Lease]:
    """The list's lease, as a delivery holds it. Raises `Busy`."""
    lease = Lease(store, bell_of(list_id), int(destination.call_seconds * 1000) + 2000)
    deadline = time.monotonic() + LEASE_SECONDS
    while not lease.acquire():
        if time.monotonic() > deadline:
            raise Busy(f"list {list_id}: {Busy.__doc__}")
        time.sleep(0.1)
    try:
        with lease.kept():
            yield lease
    finally:
        lease.release()


def undo(context: Context, trial: Trial, take_out: TakeOut = "delete") -> Listed | None:
    """Put back what the list held before a trial; -> what it holds now.

    Who was not in the list is deleted or unsubscribed again; the list keeps the address in that state, and
    takes nobody back from it, so a later delivery refuses them. Raises `NotUndone` when the row was changed
    since or the person has left, and the system's problems: then the person is in doubt.
    """
    store, list_id, key = context.store, trial.workflow.export.list_id, trial.key
    workflow = registry.get(store, trial.workflow.id)
    _check_undoable(workflow)
    if trial.send is not None and trial.send.row.moves:
        raise NotUndone(f"the person was moved from another address. {NotUndone.__doc__}")
    if not trial.may_be_undone or trial.send is None or trial.candidate is None:
        raise NotUndone(f"there is nothing to undo. {NotUndone.__doc__}")
    if trial.send.leaves:
        raise NotUndone(f"the person was unsubscribed, which is never undone. {NotUndone.__doc__}")
    destination = destination_for(context, registry.exports_to(store, list_id), workflow, never)
    part = store.part(key)
    with _leased(store, list_id, destination) as lease:
        ledger = Ledger(store, list_id, lease.token)
        ledger.take_over()
        [held] = ledger.held(part, [(key, None)])
        if held.doubt is not None or held.delivered_packed != trial.recorded:
            raise NotUndone(f"the row was changed since. {NotUndone.__doc__}")
        there = list_reader(context, workflow).person(trial.send.row.email)
        if there is None or there.status != "active":
            state = there.status if there else "not in the list any more"
            raise NotUndone(f"the person is {state} by now. {NotUndone.__doc__}")
        # Whatever happens on the way, the person is looked at again.
        raise_doubt(store, list_id, [key], now_ms() + int(destination.call_seconds * 1000), everybody=True)
        [doubted] = ledger.held(part, [(key, None)])
        status = _restore(context, workflow, trial, take_out)
        ledger.record(part, now_ms(), [_record(trial, doubted, status, destination.clock_offset_ms())])
    log.write(store, workflow.id, "the trial of one person was undone")
    return list_reader(context, workflow).person(trial.send.row.email)


def _restore(context: Context, workflow: Workflow, trial: Trial, take_out: TakeOut) -> str:
    """Write to the list; -> the state that the person is in now, empty for active."""
    assert trial.send is not None, "something was sent"
    row, before = trial.send.row, trial.before
    authorization = authorizations.get(context.store, workflow.authorization_id)
    restorer = system_of(authorization).restorer(context, authorization, workflow)
    if before is not None:
        keys = dict.fromkeys([trial.field_key, *(key for key, _ in (*row.values, *row.removed))])
        restorer.put_back(before, list(keys), mobile=row.mobile is not None)
        if before.status == "active":
            return ""
        take_out = "delete" if before.status == "deleted" else "unsubscribe"
    if take_out == "delete":
        restorer.delete(row.email)
    else:
        restorer.unsubscribe(row.email)
    return _TAKEN_OUT[take_out]


def _record(trial: Trial, doubted: Candidate, status: str, clock_offset_ms: int) -> Record:
    """What was known before the trial; of who was taken out, that the list does not take them. Who was in
    doubt before stays so: what was written down then may never have been stored."""
    assert trial.send is not None, "something was sent"
    assert trial.candidate is not None, "something was sent"
    old, at = trial.candidate.delivered_packed, now_ms() + clock_offset_ms
    entry = happened("taken back", now_ms(), code=status)
    history = to_remember(entry, doubted.delivered, doubted.refused, in_doubt=False)
    refused = trial.candidate.refused
    if status:
        words = f"{status} again when a trial was undone"
        refused = Refused(at, status, words, content_of(trial.send.row), at)
    if not status and trial.candidate.doubt is not None:
        return Record(trial.key, "later", doubted.score, now_ms(), history=history)
    if refused is None:
        return Record(trial.key, "undone", doubted.score, b"", old, history)
    return Record(trial.key, "refused", doubted.score, pack(refused), old, history)
