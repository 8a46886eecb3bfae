"""The job that delivers to one list: all exports that feed it, taken together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from listbridge import authorizations, bells
from listbridge.aggregation import Program
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable, Skippable, told
from listbridge.exports.adoption import adopt
from listbridge.exports.brakes import Held
from listbridge.exports.claims import owners
from listbridge.exports.decisions import (
    OF_THE_PERSON,
    OPTED_IN_FIELD,
    Contact,
    Feed,
    ListSpec,
    Person,
    Retired,
    WhenNull,
    keeps_of,
)
from listbridge.exports.delivered import places
from listbridge.exports.engine import Deliverer
from listbridge.exports.ledger import Candidate, Ledger, LostLease, doubt_everybody, lags, rewind
from listbridge.exports.protocol import Destination, ListReader, ListSetup, MappedField, Prepared
from listbridge.exports.results import DeliverResult
from listbridge.exports.setup import Setup, change_setup, save_setup, setup_of
from listbridge.exports.values import lookup
from listbridge.jobs.feeds import awake, basis, delivers, is_stale, limits_of, opt_ins_of
from listbridge.jobs.spread import as_statuses, family_of, left_elsewhere, spread
from listbridge.profiles.codec import CorruptProfile, Profile
from listbridge.profiles.membership import exits, memberships, told_of
from listbridge.profiles.people import Whole, read_several, together, unpacked, whole
from listbridge.profiles.views import fields_of
from listbridge.store.keys import PartitionKeys
from listbridge.store.lease import Lease
from listbridge.store.store import now_ms
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow

logger = logging.getLogger(__name__)

CHECK_MS = 600_000
"""How old the knowledge may be that the list still has the fields and options that rows name."""


def bell_of(list_id: str) -> str:
    return f"deliver:{list_id}"


def deliver(
    context: Context, list_id: str, *, stopping: Callable[[], bool] = lambda: False
) -> DeliverResult | None:
    """Deliver to a list until nothing is left; None when it is not ours to do now.

    Problems of the other system put its workflows to sleep or fail them; nothing is raised for them.
    """
    store = context.store
    while not stopping():
        feeds = _feeds(context, list_id)
        active = [workflow for workflow in feeds if workflow.state is State.RUNNING]
        if not active:
            bells.clear(store, bell_of(list_id))
            return None
        try:
            destination = destination_for(context, feeds, active[0], stopping)
        except Fatal as problem:
            _fail(context, active, problem)
            return None
        lease = Lease(store, bell_of(list_id), int(destination.call_seconds * 1000) + 2000)
        time.sleep(context.settings.flush_milliseconds / 1000)
        if not lease.acquire():
            return None  # whoever holds it looks at the bell once more after letting go
        try:
            bells.clear(store, bell_of(list_id))
            result = _deliver(context, list_id, feeds, destination, lease, stopping)
        finally:
            lease.release()
        changed = basis(context, feeds) != basis(context, registry.exports_to(store, list_id))
        if result is None or not (changed or bells.is_rung(store, bell_of(list_id))):
            return result
    return None


def _feeds(context: Context, list_id: str) -> list[Workflow]:
    """The exports into the list, oldest first, woken and put to rest as it is time."""
    return [awake(context.store, each) for each in registry.exports_to(context.store, list_id)]


def destination_for(
    context: Context, feeds: Sequence[Workflow], workflow: Workflow, stopping: Callable[[], bool]
) -> Destination:
    """The list, by an active export's credential. The oldest export's consent is sent; all that unsubscribe
    must agree to do it everywhere."""
    exports = [each.export for each in feeds]
    unsubscribing = [
        each for each in exports if each.on_exit == "unsubscribe" or each.opt_out_scope == "client"
    ]
    config = msgspec.structs.replace(
        workflow.export,
        consent_to_track=feeds[0].export.consent_to_track,
        unsubscribe_from_all_lists=all(each.unsubscribe_from_all_lists for each in unsubscribing),
    )
    asking = msgspec.structs.replace(workflow, config=config)
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).destination(context, authorization, asking, stopping)


def _deliver(
    context: Context,
    list_id: str,
    feeds: Sequence[Workflow],
    destination: Destination,
    lease: Lease,
    stopping: Callable[[], bool],
) -> DeliverResult | None:
    store, began = context.store, basis(context, feeds)
    active = [workflow for workflow in feeds if workflow.state is State.RUNNING]
    ledger = Ledger(store, list_id, lease.token)
    deliverer = Deliverer(
        store,
        ledger,
        destination,
        person_reader(context, active[0], list_id, feeds),
        lease.extend,
        in_flight=context.settings.api_calls_in_flight,
        window_seconds=context.settings.flush_milliseconds / 1000,
    )

    counting = _Counting(context, active, deliverer.result)

    def stop() -> bool:
        return stopping() or began != basis(context, registry.exports_to(store, list_id))

    try:
        with lease.kept():
            spread(context, list_id, feeds, destination, stop)
            setup = prepare_list(context, list_id, feeds, destination)
            _take_over(ledger, lease)
            if setup.adopting and not _adopt(context, ledger, active[0], setup, stop):
                return deliverer.result
        _take_over(ledger, lease)
        spec = spec_of(context, list_id, feeds, setup)
        deliverer.run(spec, prepared_of(setup), stop, counting.count)
    except Retriable as problem:
        for workflow in active:
            registry.sleep(store, workflow, str(problem), problem.retry_after_seconds)
    except Fatal as problem:
        _fail(context, active, problem)
    except LostLease as problem:
        logger.warning("list %s: %s", list_id, problem)
    except Held as held:
        for workflow_id, (kind, reason) in held.holds.items():
            registry.hold(store, workflow_id, kind, reason)
        counting.report()
        return deliverer.result
    except Exception as problem:
        # Otherwise the sweep would try again at once, for ever.
        for workflow in active:
            reason = f"unexpected {type(problem).__name__}: the worker's log has it"
            registry.sleep(store, workflow, reason, None)
        raise
    else:
        for workflow in active:
            registry.succeeded(store, workflow)
        counting.report()
        return deliverer.result
    counting.report()
    return None


def _take_over(ledger: Ledger, lease: Lease) -> None:
    if not lease.extend():
        raise LostLease("the lease on this list ran out")
    ledger.take_over()


def _adopt(
    context: Context, ledger: Ledger, workflow: Workflow, setup: Setup, stop: Callable[[], bool]
) -> bool:
    """Read what the list held before the first start, once; False when it was stopped."""
    list_id = workflow.export.list_id
    reader = list_reader(context, workflow, stop)
    people = adopt(context.store, ledger, reader, list_id, setup, stop)
    if people is not None:
        line = f"list adopted: {people} people held values in {setup.field_key} ({reader.calls} calls)"
        log.write(context.store, workflow.id, line)
    return people is not None


def list_reader(
    context: Context, workflow: Workflow, stopping: Callable[[], bool] = lambda: False
) -> ListReader:
    """The reader of an export's list; `stopping` ends a wait for the account's budget."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).list_reader(context, authorization, workflow, stopping)


def patient_list_reader(
    context: Context, workflow: Workflow, stopping: Callable[[], bool] = lambda: False
) -> ListReader:
    """The reader of an export's list that lets deliveries go first."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).patient_list_reader(context, authorization, workflow, stopping)


def _fail(context: Context, active: Sequence[Workflow], problem: Fatal) -> None:
    for workflow in active:
        registry.fail(context.store, workflow.id, told(problem))


def prepare_list(
    context: Context, list_id: str, feeds: Sequence[Workflow], destination: Destination
) -> Setup:
    """Make sure that the list offers what the exports need; asks the system when that changed, and now and
    then.

    When the exports are others than at the last delivery, everybody is looked at again.
    """
    held = setup_of(context.store, list_id)
    ask = wanted_setup(feeds, held)
    fingerprint, began = repr(ask), basis(context, feeds)
    stale = held is None or held.fingerprint != fingerprint
    if held is not None and (stale or _is_due_a_look(context, list_id, held)):
        stale = _has_lost(context, list_id, held, feeds, destination) or stale
    if held is not None and not stale and held.feeds == began:
        return held
    if held is None or stale:
        made = destination.prepare(ask)
        held = setup_from(made, ask.labels, held, feeds, fingerprint)
        for workflow in feeds:
            line = f"list prepared: field {made.field_key}, {len(ask.labels)} options"
            log.write(context.store, workflow.id, line)
            for note in made.notes:
                log.write(context.store, workflow.id, note, level="warning")
    people = rewind(context.store, list_id)
    for workflow in feeds:
        log.write(context.store, workflow.id, f"{people} people with a profile are looked at")
    by_address = any(workflow.export.email_field != "email" for workflow in feeds)
    held = msgspec.structs.replace(held, feeds=began, by_address=by_address)
    save_setup(context.store, list_id, held)
    return held


def _is_due_a_look(context: Context, list_id: str, held: Setup) -> bool:
    """Is something to be sent, and was the list last looked at a while ago?"""
    now = now_ms()
    return now - held.checked_at >= CHECK_MS and any(lags(context.store, list_id, now))


def _has_lost(
    context: Context, list_id: str, held: Setup, feeds: Sequence[Workflow], destination: Destination
) -> bool:
    """Are fields or options gone that rows were sent to? Then everybody is sent again.

    They are put in doubt before anything is made anew: afterwards nobody could tell.
    """
    if destination.still_offers(prepared_of(held), held.labels):
        change_setup(context.store, list_id, checked_at=now_ms())
        return False
    people = doubt_everybody(context.store, list_id, now_ms())
    line = "a field that this export writes was deleted, changed its type or lost options"
    for workflow in feeds:
        sent = f"{line}: what is missing is made again, and {people} people are sent again"
        log.write(context.store, workflow.id, sent, level="warning")
    return True


def prepared_of(setup: Setup) -> Prepared:
    """What a delivery works with."""
    return Prepared(setup.field_key, setup.mapped, setup.kinds, setup.choices)


def wanted_setup(feeds: Sequence[Workflow], held: Setup | None) -> ListSetup:
    """What the exports need of the list, beside what was made for others before."""
    exports = [workflow.export for workflow in feeds]
    wanted = {label for export in exports for label in export.audiences.values()}
    return ListSetup(
        exports[0].field_name,
        tuple(sorted(wanted | set(held.labels if held else ()))),
        any(export.segments for export in exports),
        _mapped_fields(feeds),
        checked=held.labels if held else (),
    )


def _mapped_fields(feeds: Sequence[Workflow]) -> tuple[MappedField, ...]:
    """The fields that the exports map to, each once; the oldest export's word counts."""
    found: dict[str, MappedField] = {}
    for export in (workflow.export for workflow in reversed(feeds)):
        for each in export.mapped():
            found[each.field] = MappedField(
                each.field, each.type or "", each.options, create=export.create_fields
            )
    return tuple(found[name] for name in sorted(found))


def setup_from(
    made: Prepared,
    labels: tuple[str, ...],
    before: Setup | None,
    feeds: Sequence[Workflow],
    fingerprint: str = "",
) -> Setup:
    """The set-up of a list that was prepared, or would be; `before` is the one that held until now.

    The field is adopted when it was there before we were. With addresses from another field than the
    key's, nobody could be recognised in the list.
    """
    known = before is not None and before.field_key == made.field_key
    by_key = all(workflow.export.email_field == "email" for workflow in feeds)
    keeps = keeps_of(_when_null(feeds, made.mapped_keys))
    unread = by_key and not {*keeps} <= {*(before.keeps if before is not None and known else ())}
    return Setup(
        field_key=made.field_key,
        labels=labels,
        mapped=dict(made.mapped_keys),
        kinds=dict(made.kinds),
        choices=dict(made.choices),
        keeps=keeps,
        checked_at=now_ms(),
        adopting=unread or (before.adopting if before is not None and known else made.found and by_key),
        fingerprint=fingerprint,
    )


def spec_of(context: Context, list_id: str, feeds: Sequence[Workflow], setup: Setup) -> ListSpec:
    """All exports into the list, as the decisions need them. The oldest export's fields win."""
    fields: dict[str, str] = {}
    templates: dict[str, str] = {}
    for export in (workflow.export for workflow in reversed(feeds)):
        fields |= {source: setup.mapped[each.field] for source, each in export.mappings().items()}
        templates |= {setup.mapped[each.field]: each.template for each in export.constants()}
    first = feeds[0].export
    return ListSpec(
        list_id,
        tuple(feed_of(context, workflow) for workflow in feeds),
        setup.labels,
        setup.field_key,
        first.email_field,
        first.name_field,
        fields,
        setup.choices,
        setup.kinds,
        templates,
        _when_null(feeds, setup.mapped),
        Contact(
            consent_field=first.consent_to_track_field,
            consent=first.consent_to_track,
            mobile_field=first.mobile_field,
            mobile_region=first.mobile_region,
            sms_field=first.consent_to_sms_field,
            sms=first.consent_to_sms,
        ),
        first.mode,
    )


def _when_null(feeds: Sequence[Workflow], keys: Mapping[str, str]) -> dict[str, WhenNull]:
    """What happens where a profile has no value, by key; the oldest export's word counts."""
    found: dict[str, WhenNull] = {}
    for export in (workflow.export for workflow in reversed(feeds)):
        found |= {keys[each.field]: each.when_null for each in export.mapped()}
    return found


def feed_of(context: Context, workflow: Workflow) -> Feed:
    """An export as the decisions need it."""
    export, edits, now = workflow.export, workflow.edits, now_ms()
    return Feed(
        workflow_id=workflow.id,
        running=delivers(workflow, now),
        started_at=workflow.started_at,
        audiences=export.audiences,
        existing_users=export.existing_users,
        resubscribe=export.resubscribe,
        queue_autoresponders=export.queue_autoresponders,
        queue_autoresponders_on_backfill=export.queue_autoresponders_on_backfill,
        restart_autoresponders=export.restart_autoresponders,
        on_exit=export.on_exit,
        opted_in_field=export.opted_in_field,
        stale=is_stale(context, workflow, now),
        confirmed_at=workflow.confirmed_at,
        added=edits.added,
        names={slug: tuple(names) for slug, names in edits.names.items()},
        former={slug: tuple(labels) for slug, labels in edits.labels.items()},
        retired={label: Retired(tuple(each.names), each.at) for label, each in edits.retired.items()},
        limits=limits_of(workflow, now),
    )


def person_reader(
    context: Context, workflow: Workflow, list_id: str, feeds: Sequence[Workflow]
) -> Callable[[Candidate], Person]:
    """Makes a person of what is held of them. It raises `Skippable` for a profile that is damaged."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    status_field = system_of(authorization).status_field
    relatives = family_of(context, feeds) - {list_id}

    def read(candidate: Candidate) -> Person:
        program, person = _whole(context, candidate)
        profile = together(program, person)
        number = program.fields[status_field].number
        own = person.profiles.get(person.key, Profile()).states.get(number, {}).get(list_id)
        opted_in = program.fields.get(OPTED_IN_FIELD)
        fields = fields_of(program, profile)
        email_field = feeds[0].export.email_field if feeds else "email"
        known = _under_addresses(
            context,
            list_id,
            status_field,
            candidate,
            person,
            lookup(fields, email_field) if email_field != "email" else None,
            (own[2], own[0]) if own else None,
            by_address=email_field != "email",
        )
        statuses = profile.states.get(number, {})
        return Person(
            key=person.key,
            fields=fields,
            memberships=memberships(program, profile.states),
            status=known.status,
            opted_in_at=profile.states.get(opted_in.number) if opted_in else None,
            told=told_of(program, profile.states),
            active_in=frozenset(each for each, held in statuses.items() if held[2] == "active") - {list_id},
            opt_ins=opt_ins_of(feeds, fields, now_ms()),
            left=exits(program, profile.states),
            elsewhere=known.elsewhere,
            lost=known.lost,
            left_elsewhere=left_elsewhere(
                context,
                status_field,
                relatives,
                candidate.key,
                as_statuses(statuses),
                lookup(fields, email_field),
            ),
            others=person.others,
            relatives=person.relatives,
            who_is_who=person.fingerprint,
        )

    return read


def _whole(context: Context, candidate: Candidate) -> tuple[Program, Whole]:
    """All of a person's addresses. Raises `Skippable`."""
    program, profile = context.program, Profile()
    try:
        if candidate.packed_profile:
            program, profile = unpacked(context.programs, candidate.packed_profile)
    except CorruptProfile:
        raise _damaged() from None
    return whole(context.store, context.programs, candidate.key, program, profile, _refuse_damaged)


def _refuse_damaged(_program: Program, _part: PartitionKeys, _key: str) -> Profile:
    raise _damaged()


def _damaged() -> Skippable:
    return Skippable("the stored profile has a wrong checksum; the next fold repairs it")


@dataclass(frozen=True, slots=True)
class _Known:
    """A person's status at their present address and at others, and which of them became another's."""

    status: tuple[str, int] | None
    elsewhere: dict[str, tuple[str, int]]
    lost: frozenset[str]


def _under_addresses(
    context: Context,
    list_id: str,
    status_field: str,
    candidate: Candidate,
    person: Whole,
    address: object,
    own: tuple[str, int] | None,
    *,
    by_address: bool,
) -> _Known:
    """What the streams tell of the addresses at which the list may have a person: each is a key itself.

    `address`: where their row is to go, if not to their key.
    """
    key, store = person.key, context.store
    wanted = address.lower() if isinstance(address, str) else key
    told = places(key, candidate.delivered, candidate.refused, OF_THE_PERSON)
    others = [each for each in dict.fromkeys((*told, *person.others)) if each != wanted]
    if not others and wanted == key:
        return _Known(own, {}, frozenset())
    if by_address:
        has = owners(store, list_id, others)
        lost = frozenset(address for address, owner in has.items() if owner not in person.keys)
    else:
        lost = frozenset(others).difference(person.keys)
    asked = [each for each in (wanted, *others) if each != key]
    found = {key: own} if own is not None else {}
    for each, packed in read_several(store, asked).items():
        if status := _status_in(context, packed, status_field, list_id):
            found[each] = status
    elsewhere = {each: status for each, status in found.items() if each != wanted and each not in lost}
    return _Known(found.get(wanted), elsewhere, lost)


def _status_in(context: Context, packed: bytes, status_field: str, list_id: str) -> tuple[str, int] | None:
    try:
        program, profile = unpacked(context.programs, packed)
    except CorruptProfile:
        return None  # the list's own answer decides
    held = profile.states.get(program.fields[status_field].number, {}).get(list_id)
    return (held[2], held[0]) if held else None


class _Counting:
    """Adds what a delivery did to its workflows' progress, while it goes on, and says it in their logs."""

    def __init__(self, context: Context, active: Sequence[Workflow], result: DeliverResult) -> None:
        self._store = context.store
        self._active = active
        self._result = result
        self._counted: dict[str, int] = {}

    def count(self) -> None:
        """Add what came since the last time."""
        now = self._result.counters()
        more = {name: n - self._counted.get(name, 0) for name, n in now.items()}
        for workflow in self._active:
            log.count(self._store, workflow.id, more)
        self._counted = now

    def report(self) -> None:
        """Count, and write what there is to tell."""
        self.count()
        done = self._result
        for workflow in self._active:
            if done.swallowed:
                line = f"{done.swallowed} changes of membership were undone before a row showed them"
                log.write(self._store, workflow.id, line)
            if done.calls or done.refused:
                log.write(self._store, workflow.id, _told(done))
            for key, count in sorted(done.dropped.items()):
                log.write(self._store, workflow.id, _dropped(workflow, key, count), level="warning")


def _dropped(workflow: Workflow, key: str, count: int) -> str:
    line = f"{count} people's value for {key} is none that it takes: left out, the rest was stored"
    return f"{line}; `listbridge export dropped {workflow.id}` says whose and why"


def _told(done: DeliverResult) -> str:
    """A delivery in one line."""
    left = f", unsubscribed {done.unsubscribed}" if done.unsubscribed else ""
    refusals = ", ".join(f"{n} {code}" for code, n in sorted(done.refusals.items()))
    moved = f", moved {done.moved}" if done.moved else ""
    return (
        f"delivered {done.sent} (added {done.added}, updated {done.updated}{moved}){left}, "
        f"unchanged {done.unchanged}, refused {done.refused}{f' ({refusals})' if refusals else ''}, "
        f"in doubt {done.in_doubt}, sent again {done.retries}, {done.calls} calls"
    )
