"""The job that delivers to one list: all exports that feed it, taken together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from listbridge import authorizations, bells
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable
from listbridge.exports.decisions import Feed, ListSpec, Person
from listbridge.exports.engine import Deliverer, DeliverResult
from listbridge.exports.ledger import Candidate, Ledger, LostLease
from listbridge.exports.protocol import Destination, ListSetup, Prepared
from listbridge.exports.setup import Setup, save_setup, setup_of
from listbridge.profiles.codec import Codec, CorruptProfile, Profile
from listbridge.profiles.membership import memberships
from listbridge.profiles.views import fields_of
from listbridge.store.lease import Lease
from listbridge.store.store import now_ms
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import ACTIVE, State, Workflow

logger = logging.getLogger(__name__)

OPTED_IN_FIELD = "opted_in_at"


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
        active = _active(context, list_id)
        if not active:
            bells.clear(store, bell_of(list_id))
            return None
        destination = _destination(context, active[0])
        lease = Lease(store, bell_of(list_id), int(destination.call_seconds * 1000) + 2000)
        if not lease.acquire():
            return None  # whoever holds it looks at the bell once more after letting go
        try:
            bells.clear(store, bell_of(list_id))
            time.sleep(context.settings.flush_milliseconds / 1000)
            result = _deliver(context, list_id, active, destination, lease, stopping)
        finally:
            lease.release()
        if result is None or not bells.is_rung(store, bell_of(list_id)):
            return result
    return None


def _active(context: Context, list_id: str) -> list[Workflow]:
    """The exports that deliver now; those whose sleep is over are woken."""
    active = []
    for workflow in registry.exports_to(context.store, list_id):
        if workflow.state is State.SLEEPING and workflow.wake_at <= now_ms():
            registry.wake(context.store, workflow.id)
            workflow = msgspec.structs.replace(workflow, state=State.RUNNING)
        if workflow.state is State.RUNNING:
            active.append(workflow)
    return active


def _destination(context: Context, workflow: Workflow) -> Destination:
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).destination(context, authorization, workflow)


def _deliver(
    context: Context,
    list_id: str,
    active: Sequence[Workflow],
    destination: Destination,
    lease: Lease,
    stopping: Callable[[], bool],
) -> DeliverResult | None:
    store = context.store
    known = {workflow.id for workflow in active}

    def stop() -> bool:
        return stopping() or known != {w.id for w in registry.exports_to(store, list_id) if w.state in ACTIVE}

    try:
        prepared, setup = _prepare(context, list_id, destination)
        ledger = Ledger(store, list_id, lease.token)
        ledger.take_over()
        deliverer = Deliverer(
            store,
            ledger,
            destination,
            _person_reader(context, active[0], list_id),
            lease.extend,
            in_flight=context.settings.api_calls_in_flight,
        )
        result = deliverer.run(_spec(context, list_id, prepared, setup), prepared, stop)
    except Retriable as problem:
        for workflow in active:
            registry.sleep(store, workflow, str(problem), problem.retry_after_seconds)
        return None
    except Fatal as problem:
        for workflow in active:
            registry.fail(store, workflow.id, str(problem))
        return None
    except LostLease as problem:
        logger.warning("list %s: %s", list_id, problem)
        return None
    _report(context, active, result)
    return result


def _prepare(context: Context, list_id: str, destination: Destination) -> tuple[Prepared, Setup]:
    """Make sure that the list offers what the exports need; asks the system only when that changed."""
    exports = [w.export for w in registry.exports_to(context.store, list_id)]
    held = setup_of(context.store, list_id)
    wanted = {label for export in exports for label in export.audiences.values()}
    labels = tuple(sorted(wanted | set(held.labels if held else ())))
    fields = tuple(sorted({name for export in exports for name in export.field_mappings.values()}))
    ask = ListSetup(exports[0].field_name, labels, any(e.segments for e in exports), fields)
    fingerprint = repr(ask)
    if held is None or held.fingerprint != fingerprint:
        made = destination.prepare(ask)
        held = Setup(
            field_key=made.field_key, labels=labels, mapped=dict(made.mapped_keys), fingerprint=fingerprint
        )
        save_setup(context.store, list_id, held)
        for workflow in registry.exports_to(context.store, list_id):
            log.write(
                context.store, workflow.id, f"list prepared: field {made.field_key}, {len(labels)} options"
            )
    return Prepared(held.field_key, held.mapped), held


def _spec(context: Context, list_id: str, prepared: Prepared, setup: Setup) -> ListSpec:
    """All exports into the list, as the decisions need them. The oldest export's fields win."""
    workflows = registry.exports_to(context.store, list_id)
    feeds = tuple(
        Feed(
            workflow_id=workflow.id,
            running=workflow.state in ACTIVE,
            started_at=workflow.started_at,
            audiences=workflow.export.audiences,
            existing_users=workflow.export.existing_users,
            resubscribe=workflow.export.resubscribe,
            queue_autoresponders=workflow.export.queue_autoresponders,
            queue_autoresponders_on_backfill=workflow.export.queue_autoresponders_on_backfill,
        )
        for workflow in workflows
    )
    fields: dict[str, str] = {}
    for workflow in reversed(workflows):
        mapped = workflow.export.field_mappings
        fields |= {source: prepared.mapped_keys[name] for source, name in mapped.items()}
    first = workflows[0].export
    return ListSpec(list_id, feeds, setup.labels, first.email_field, first.name_field, fields)


def _person_reader(context: Context, workflow: Workflow, list_id: str) -> Callable[[Candidate], Person]:
    program, codec = context.program, Codec(context.store)
    authorization = authorizations.get(context.store, workflow.authorization_id)
    status_id = program.fields[system_of(authorization).status_field].id
    opted_in = program.fields.get(OPTED_IN_FIELD)

    def read(candidate: Candidate) -> Person:
        try:
            profile = codec.unpack(candidate.packed_profile) if candidate.packed_profile else Profile()
        except CorruptProfile:
            problem = Retriable("a stored profile has a wrong checksum; the next fold repairs it")
            problem.retry_after_seconds = 30
            raise problem from None
        status = profile.states.get(status_id, {}).get(list_id)
        return Person(
            key=candidate.key,
            fields=fields_of(program, profile),
            memberships=memberships(program, profile.states),
            status=(status[2], status[0]) if status else None,
            opted_in_at=profile.states.get(opted_in.id) if opted_in else None,
        )

    return read


def _report(context: Context, active: Sequence[Workflow], result: DeliverResult) -> None:
    for workflow in active:
        registry.succeeded(context.store, workflow)
        counters = {
            "delivered": result.sent,
            "added": result.added,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "refused": result.refused,
        }
        log.count(context.store, workflow.id, counters)
        if result.calls or result.refused:
            refusals = ", ".join(f"{n} {code}" for code, n in sorted(result.refusals.items()))
            log.write(
                context.store,
                workflow.id,
                f"delivered {result.sent} (added {result.added}, updated {result.updated}), "
                f"refused {result.refused}{f' ({refusals})' if refusals else ''}, {result.calls} calls",
            )
