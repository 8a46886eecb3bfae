"""The job that delivers to one list: all exports that feed it, taken together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from listbridge import authorizations, bells
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable, told
from listbridge.exports.adoption import adopt
from listbridge.exports.brakes import Held
from listbridge.exports.engine import Deliverer
from listbridge.exports.ledger import Ledger, LostLease
from listbridge.exports.protocol import Destination
from listbridge.exports.results import DeliverResult
from listbridge.exports.setup import Setup
from listbridge.jobs.feeds import awake, basis
from listbridge.jobs.persons import person_reader
from listbridge.jobs.preparing import list_reader, prepare_list, prepared_of, spec_of
from listbridge.jobs.spread import spread
from listbridge.store.lease import Lease
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow

logger = logging.getLogger(__name__)


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
    exports = [each.export for each in registry.deciding(feeds)]
    unsubscribing = [
        each for each in exports if each.on_exit == "unsubscribe" or each.opt_out_scope == "client"
    ]
    config = msgspec.structs.replace(
        workflow.export,
        consent_to_track=exports[0].consent_to_track,
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


def _fail(context: Context, active: Sequence[Workflow], problem: Fatal) -> None:
    for workflow in active:
        registry.fail(context.store, workflow.id, told(problem))


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
