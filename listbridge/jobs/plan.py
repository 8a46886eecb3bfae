"""The job that says what a start of an export would do now. It changes nothing, here or in the list.

The list's people are read page by page and decided about at once, with what the store holds of them;
then everybody whom the store knows and the list does not. What stays in memory is a number for each
person of the list that the store knows, for each suppressed address and, with `other_lists`, for each
address that is active there: about 100 bytes each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import cast

import msgspec

from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.errors import Skippable
from listbridge.exports.claims import owners
from listbridge.exports.delivered import places
from listbridge.exports.inheriting import heir
from listbridge.exports.ledger import Candidate, Ledger
from listbridge.exports.planning import Effect, Known, ListRules, Plan, plan
from listbridge.exports.protocol import Listed, Survey
from listbridge.exports.rows import address_of, wanted_options
from listbridge.exports.setup import Setup, setup_of
from listbridge.exports.tally import PlanSummary, Tally, warnings_of
from listbridge.exports.terms import DUPLICATE, OF_THE_PERSON, ListSpec, Person
from listbridge.identity import person_key
from listbridge.jobs.persons import person_reader
from listbridge.jobs.preparing import list_reader, setup_from, spec_of, wanted_setup
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.workflows import registry
from listbridge.workflows.holds import confirms_people
from listbridge.workflows.models import ACTIVE, ExportConfig, State, Workflow

AT_ONCE = 500
ACTIVE_STATUS = "active"

Progress = Callable[[str, int, int], None]
"""(step, done, of how many or 0 where that is not known)"""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """`sample`: how many rows of each outcome to keep; `other_lists`: read the client's other lists."""

    sample: int = 0
    other_lists: bool = False


def plan_export(
    context: Context,
    workflow_id: str,
    options: PlanOptions = PlanOptions(),
    *,
    on_plan: Callable[[Plan], None] = lambda _: None,
    progress: Progress = lambda _step, _done, _total: None,
) -> PlanSummary:
    """What a start of the export would do, with `on_plan` called for each person it concerns.

    Raises `NoSuchWorkflow`, `NotAllowed` for an import or an export that has ended, and the problems of
    the other system: those that a start would fail with are told in the same words.
    """
    return _Planner(context, export_to_plan(context, workflow_id), options, on_plan, progress).run()


def export_to_plan(context: Context, workflow_id: str) -> Workflow:
    """The export. Raises `NoSuchWorkflow`, and `NotAllowed` for what has no start before it."""
    found = registry.get(context.store, workflow_id)
    if found.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {found.kind}; this is for an export")
    if found.state is State.COMPLETED:
        raise registry.NotAllowed(f"{workflow_id} has ended: make another export")
    return found


def known_people(store: Store) -> int:
    """How many have a profile."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hlen(part.profiles)
    return sum(pipe.execute())


class _Planner:
    """One plan under way."""

    def __init__(
        self,
        context: Context,
        workflow: Workflow,
        options: PlanOptions,
        on_plan: Callable[[Plan], None],
        progress: Progress,
    ) -> None:
        self._context, self._store, self._workflow = context, context.store, workflow
        self._options, self._on_plan, self._progress = options, on_plan, progress
        self._list_id = workflow.export.list_id
        self._reader = list_reader(context, workflow)
        self._ledger = Ledger(context.store, self._list_id, token="")
        self._person_of = person_reader(context, workflow, self._list_id, self._running_feeds())
        self._tally = Tally(options.sample)
        self._in_list = dict.fromkeys(self._reader.statuses, 0)
        self._seen: set[int] = set()
        self._suppressed: set[int] = set()
        self._elsewhere: set[int] = set()
        self._others: dict[str, str] = {}
        self._addresses = Addresses()
        self._began = time.monotonic()

    def run(self) -> PlanSummary:
        self._feeds = self._running_feeds()
        self._held = setup_of(self._store, self._list_id)
        ask = wanted_setup(self._feeds, self._held)
        self._survey = survey = self._reader.survey(ask)
        self._setup = setup_from(survey.prepared, ask.labels, self._held, self._feeds, repr(ask))
        self._survey_calls = self._reader.calls - 2
        self._spec = spec_of(self._context, self._list_id, self._feeds, self._setup)
        takes, stored = self._reader.takes, self._reader.stored
        self._rules = ListRules(
            survey.honours_suppression,
            takes,
            stored,
            self._setup.adopting,
            joins=survey.joins,
            emptied=survey.emptied,
        )
        self._read_suppressed()
        self._others = dict(self._reader.other_lists())
        if self._options.other_lists:
            self._read_others()
        self._read_addresses()
        self._read_list()
        self._read_store()
        return self._summary()

    def _running_feeds(self) -> list[Workflow]:
        """The exports into the list, with this one running, confirmed and not in its quiet hours."""
        return [
            _started(each) if each.id == self._workflow.id else each
            for each in registry.exports_to(self._store, self._list_id)
        ]

    def _read_suppressed(self) -> None:
        for addresses in self._reader.suppressed():
            self._suppressed |= {hash(address.lower()) for address in addresses}
            self._progress("suppression list", len(self._suppressed), 0)

    def _read_others(self) -> None:
        for list_id, name in self._others.items():
            for addresses in self._reader.active_in(list_id):
                self._elsewhere |= {hash(address.lower()) for address in addresses}
                self._progress(f"list {name}", len(self._elsewhere), 0)

    def _read_addresses(self) -> None:
        """Whose rows go to which addresses, and at which others the list has them."""
        if not self._spec.by_address:
            return
        for candidates in self._everybody():
            for candidate, person in self._people(candidates):
                self._addresses.add(candidate, person, self._spec)
        self._addresses.settle(self._store, self._list_id)

    def _read_list(self) -> None:
        done = 0
        for status in self._reader.statuses:
            for page in self._reader.people(status):
                self._in_list[status] = max(page.total, self._in_list[status])
                self._decide_listed(page.people)
                done += len(page.people)
                self._progress(f"{status} people", done, max(self._survey.size, done))

    def _decide_listed(self, people: Iterable[Listed]) -> None:
        by_key = {}
        for listed in people:
            address = listed.address.lower()
            if address in self._addresses.olds:
                self._addresses.olds[address] = listed
            key = self._addresses.whose.get(address) or person_key(address)
            if key in self._addresses.moving:
                if address == self._addresses.goes_to[key]:
                    self._addresses.news[key] = listed
            elif key is not None and hash(key) not in self._seen:
                by_key[key] = listed
        for part, found in self._store.by_part(by_key):
            held = [
                each for each in self._ledger.held(part, [(key, None) for key in found]) if _is_known(each)
            ]
            for candidate, person in self._people(held):
                listed = by_key[candidate.key]
                if address_of(person, self._spec).lower() == listed.address.lower():
                    self._seen.add(hash(candidate.key))
                    self._decide(candidate, person, listed)

    def _read_store(self) -> None:
        done, total = 0, known_people(self._store)
        for candidates in self._everybody():
            unseen = [each for each in candidates if hash(each.key) not in self._seen]
            for candidate, person in self._people(unseen):
                self._decide(candidate, person, self._addresses.news.get(candidate.key))
            done += len(candidates)
            self._progress("people here", done, max(total, done))

    def _everybody(self) -> Iterator[list[Candidate]]:
        """What is held of everybody, some at a time: who has a profile, and who is in doubt."""
        for part in self._store.parts:
            handled: set[str] = set()
            waiting: list[str] = []
            for key in self._keys_of(part):
                if key in handled:
                    continue
                handled.add(key)
                waiting.append(key)
                if len(waiting) == AT_ONCE:
                    yield self._ledger.held(part, [(each, None) for each in waiting])
                    waiting = []
            if waiting:
                yield self._ledger.held(part, [(each, None) for each in waiting])

    def _keys_of(self, part: PartitionKeys) -> Iterator[str]:
        """SCAN may give a key twice."""
        client = self._store.client
        for key, _ in client.hscan_iter(part.profiles, count=AT_ONCE):
            yield key.decode()
        for key, _ in client.zscan_iter(part.retry(self._list_id), count=AT_ONCE):
            yield key.decode()

    def _people(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Person]]:
        """The candidates whose profile can be read; the others are refused as a start does.

        Who has several addresses comes once, under the newest, with what was told under the others.
        """
        for candidate in candidates:
            try:
                person = self._person_of(candidate)
                if person.key != candidate.key:
                    self._seen.add(hash(candidate.key))
                elif person.others:
                    inheriting = self._heir(candidate, person)
                    yield inheriting, self._person_of(inheriting)
                else:
                    yield candidate, person
            except Skippable as problem:
                if hash(candidate.key) not in self._seen:
                    self._seen.add(hash(candidate.key))
                    self._count(
                        Plan(candidate.key, candidate.key, Effect.REFUSED, "unreadable", str(problem)), False
                    )

    def _heir(self, candidate: Candidate, person: Person) -> Candidate:
        others: list[Candidate] = []
        for part, found in self._store.by_part(person.others):
            others += self._ledger.held(part, [(key, None) for key in found])
        return heir(candidate, others, self._spec.field_key)

    def _olds(self, candidate: Candidate, address: str) -> Mapping[str, Listed]:
        """How the list has the person under other addresses of theirs."""
        if self._spec.by_address:
            held = {
                each: self._addresses.olds[each] for each in self._addresses.moving.get(candidate.key, ())
            }
        else:
            others = places(candidate.key, candidate.delivered, candidate.refused, OF_THE_PERSON)
            held = {each: self._look(each) for each in others if each != address}
        return {each: listed for each, listed in held.items() if listed is not None}

    def _look(self, address: str) -> Listed | None:
        try:
            return self._reader.person(address)
        except Skippable:
            return None

    def _decide(self, candidate: Candidate, person: Person, listed: Listed | None) -> None:
        address = address_of(person, self._spec).lower()
        known = Known(
            candidate.delivered,
            candidate.refused,
            candidate.doubt is not None,
            listed,
            hash(address) in self._suppressed,
            candidate.doubt_was_raised,
            self._olds(candidate, address),
        )
        elsewhere = hash(address) in self._elsewhere or not person.active_in.isdisjoint(self._others)
        found = plan(person, self._spec, known, self._rules)
        if found.sends and (owner := self._addresses.whose.get(address, person.key)) != person.key:
            words = f"the row of {owner} has this address"
            found = Plan(person.key, address, Effect.REFUSED, DUPLICATE, words)
        self._count(found, elsewhere)

    def _count(self, found: Plan, elsewhere: bool) -> None:
        self._tally.add(found, elsewhere=elsewhere)
        if found.effect is not Effect.LEFT:
            self._on_plan(found)

    def _summary(self) -> PlanSummary:
        tally, survey, config = self._tally, self._survey, self._workflow.export
        calls = tally.calls(self._preparing(), self._adopting(), self._reader.batch_limit)
        call_seconds = (time.monotonic() - self._began) / max(self._reader.calls, 1)
        in_flight = self._context.settings.api_calls_in_flight
        notes = [*survey.prepared.notes, *_pauses(config, tally.added)]
        return PlanSummary(
            workflow_id=self._workflow.id,
            list_id=self._list_id,
            list_title=survey.title,
            made_at=rfc3339(now_ms()),
            outcomes={each.value: tally.effects[each] for each in Effect},
            refused=dict(sorted(tally.refused.items())),
            notes=dict(sorted(tally.notes.items())),
            people_in_list=self._in_list,
            list_settings={
                "confirmed_opt_in": survey.confirms,
                "unsubscribe_setting": survey.unsubscribe_setting,
            },
            creates=_creates(survey, config.field_name),
            adopts=self._setup.adopting,
            automations_may_start_for=tally.queued,
            confirmation_mails=tally.added if survey.confirms else 0,
            other_lists=self._active_elsewhere(),
            calls=calls,
            seconds=tally.seconds(calls, call_seconds, in_flight),
            warnings=warnings_of(
                tally, confirms=survey.confirms, consent=config.consent_to_track, notes=notes
            ),
            samples=tally.samples if self._options.sample else {},
            calls_made=self._reader.calls,
        )

    def _preparing(self) -> int:
        """A running export whose list is prepared asks nothing again."""
        held, survey = self._held, self._survey
        if _is_prepared(held, self._setup) and self._workflow.state in ACTIVE:
            return 0
        changes = (survey.creates_field or bool(survey.new_options)) + len(survey.new_fields)
        return (held is not None) + self._survey_calls + changes + len(survey.new_segments)

    def _adopting(self) -> int:
        """The client's zone, the fields' names and the pages of active people."""
        if not self._setup.adopting:
            return 0
        return 2 + max(ceil(self._in_list[ACTIVE_STATUS] / self._reader.batch_limit), 1)

    def _active_elsewhere(self) -> dict[str, object]:
        """Who of those added is active in other lists, as their pages tell or else as imports brought it."""
        read = set(self._others) if self._options.other_lists else self._imported()
        return {
            "active_elsewhere": self._tally.elsewhere,
            "known_from": "lists" if self._options.other_lists else "imports",
            "known": sorted(name for each, name in self._others.items() if each in read),
            "not_known": sorted(name for each, name in self._others.items() if each not in read),
        }

    def _imported(self) -> set[str]:
        """The lists whose active people an import has read."""
        name = keys.cursors(self._workflow.export.client_id)
        cursors = cast(list[bytes], self._store.client.hkeys(name))
        parts = [cursor.decode().split(":") for cursor in cursors]
        return {each[1] for each in parts if each[0] == "list" and each[-1] == ACTIVE_STATUS}


class Addresses:
    """The addresses of people whose rows may go to others than their keys.

    `whose`: whose each address is, of people in an audience. `moving`: key -> the other addresses at which
    the list may have the person; `goes_to`: key -> their new one. `olds`: those other addresses -> how the
    list has them; `news`: key -> how it has the new one.
    """

    def __init__(self) -> None:
        self.whose: dict[str, str] = {}
        self.moving: dict[str, tuple[str, ...]] = {}
        self.goes_to: dict[str, str] = {}
        self.olds: dict[str, Listed | None] = {}
        self.news: dict[str, Listed] = {}
        self._contested: dict[str, set[str]] = {}

    def add(self, candidate: Candidate, person: Person, spec: ListSpec) -> None:
        wanted = address_of(person, spec).lower()
        if wanted_options(person, spec, candidate.delivered):
            first = self.whose.setdefault(wanted, person.key)
            if first != person.key:
                self._contested.setdefault(wanted, {first}).add(person.key)
        found = places(person.key, candidate.delivered, candidate.refused, OF_THE_PERSON)
        if others := tuple(each for each in found if each != wanted):
            self.moving[person.key] = others
            self.goes_to[person.key] = wanted
            self.olds |= dict.fromkeys(others)

    def settle(self, store: Store, list_id: str) -> None:
        """Give what several people want to the one who has it."""
        for address, owner in owners(store, list_id, self._contested).items():
            if owner in self._contested[address]:
                self.whose[address] = owner


def _is_known(candidate: Candidate) -> bool:
    return candidate.packed_profile is not None or candidate.doubt is not None


def _started(workflow: Workflow) -> Workflow:
    export = msgspec.structs.replace(workflow.export, quiet_hours=None)
    confirmed_at = now_ms() if confirms_people(workflow) else workflow.confirmed_at
    return msgspec.structs.replace(
        workflow, state=State.RUNNING, not_begun=0, config=export, confirmed_at=confirmed_at, released={}
    )


def _pauses(export: ExportConfig, added: int) -> list[str]:
    limit = export.max_new_subscribers
    if limit is None or added <= limit:
        return []
    return [
        f"{added} people would be added: the export pauses before max_new_subscribers ({limit}) is passed"
    ]


def _is_prepared(held: Setup | None, wanted: Setup) -> bool:
    return held is not None and held.fingerprint == wanted.fingerprint


def _creates(survey: Survey, field_name: str) -> dict[str, list[str]]:
    return {
        "field": [*([field_name] if survey.creates_field else []), *survey.new_fields],
        "options": list(survey.new_options),
        "segments": list(survey.new_segments),
    }
