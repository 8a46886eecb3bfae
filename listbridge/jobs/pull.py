"""The job that runs one import."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable, Waits, told
from listbridge.imports.engine import Puller, PullResult
from listbridge.imports.progress import Tracker, forget
from listbridge.imports.protocol import Batch, Resource
from listbridge.rarely import Rarely
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Counts
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow
from listbridge.workflows.schedule import next_run

logger = logging.getLogger(__name__)

LOOKED_AT_SECONDS = 0.25
"""How often a run looks whether it was paused."""
LEASE_MS = 30_000
"""How soon another worker may take an import over after its worker was killed."""


def lease_of(workflow_id: str) -> str:
    return f"pull:{workflow_id}"


def pull(
    context: Context,
    workflow_id: str,
    *,
    ring_fold: Callable[[], None],
    stopping: Callable[[], bool] = lambda: False,
) -> PullResult | None:
    """Run an import to its end; None when it is not ours to do now or could not be finished.

    Problems of the other system put the workflow to sleep or fail it; nothing is raised for them.
    Anything else puts it to sleep and is raised.
    """
    workflow = _due(context, workflow_id)
    if workflow is None:
        return None
    lease = Lease(context.store, lease_of(workflow_id), LEASE_MS)
    if not lease.acquire():
        return None
    run = _Run(context, workflow, ring_fold)
    try:
        with lease.kept() as lost:
            return run.run(lambda: stopping() or lost.is_set())
    except Retriable as problem:
        registry.sleep(context.store, run.workflow, str(problem), problem.retry_after_seconds)
    except Waits as problem:
        registry.hold(context.store, workflow_id, problem.waits_for, told(problem))
    except Fatal as problem:
        registry.fail(context.store, workflow_id, told(problem))
    except Exception as problem:
        # Otherwise the sweep would try again at once, for ever.
        reason = f"unexpected {type(problem).__name__}: the worker's log has it"
        registry.sleep(context.store, run.workflow, reason, None)
        raise
    finally:
        lease.release()
    return None


def _due(context: Context, workflow_id: str) -> Workflow | None:
    workflow = registry.find(context.store, workflow_id)
    if workflow is None or not workflow.is_due(now_ms()):
        return None
    if workflow.state is State.SLEEPING:
        registry.wake(context.store, workflow_id)
        workflow = msgspec.structs.replace(workflow, state=State.RUNNING)
    return workflow


class _Run:
    """One run of an import. `workflow` forgets earlier problems as soon as something new was read."""

    def __init__(self, context: Context, workflow: Workflow, ring_fold: Callable[[], None]) -> None:
        self.workflow = workflow
        self._context = context
        self._store = context.store
        self._ring_fold = ring_fold
        self._counting = log.Counting(context.store, workflow.id)

    def run(self, stopping: Callable[[], bool]) -> PullResult | None:
        """Read everything; None when it was stopped. Raises `Fatal` and `Retriable`."""
        store, workflow = self._store, self.workflow
        authorization = authorizations.get(store, workflow.authorization_id)

        def is_off() -> bool:
            held = registry.find(store, workflow.id)
            return held is None or held.state is not State.RUNNING

        is_paused = Rarely(is_off, LOOKED_AT_SECONDS)

        def stop() -> bool:
            return stopping() or is_paused()

        source = system_of(authorization).source(self._context, authorization, workflow, stop)
        started_at = begin(store, workflow.id)
        tracker = Tracker(store, workflow.id)
        log.write(store, workflow.id, "run started")
        try:
            for line in source.prepare():
                log.write(store, workflow.id, line)
            result = Puller(
                store,
                source,
                stop=stop,
                on_batch=self._on_batch,
                started_at=started_at,
                in_flight=self._context.settings.api_calls_in_flight,
                watch=tracker,
            ).run()
        finally:
            source.end()
            self._counting.flush()
            tracker.flush()
        for line in result.skipped:
            log.write(store, workflow.id, f"skipped {line}", level="warning")
        for line in left_alone(result.unchanged):
            log.write(store, workflow.id, line)
        if result.whole:
            line = f"read from the beginning again, because it is time for that: {result.whole} reports"
            log.write(store, workflow.id, line)
        if stopping() or is_off():
            return None
        self._finish(result, started_at)
        return result

    def _on_batch(self, resource: Resource, batch: Batch, counts: Counts) -> None:
        counters = {
            "rows": batch.rows,
            "pages": batch.pages,
            "events": counts.accepted,
            "duplicates": counts.duplicates,
            "quarantined": counts.quarantined,
        }
        self._counting.add(counters)
        if counts.rang:
            self._ring_fold()
        if self.workflow.failures and (counts.accepted or batch.position != resource.position):
            registry.succeeded(self._store, self.workflow)
            self.workflow = msgspec.structs.replace(self.workflow, failures=0)

    def _finish(self, result: PullResult, started_at: int) -> None:
        """Say what was done; complete the import or let it sleep until the next run."""
        workflow = self.workflow
        line = (
            f"run finished: {result.resources} resources, {result.rows} rows, {result.accepted} new events, "
            f"{result.duplicates} known, {result.quarantined} set aside"
        )
        log.write(self._store, workflow.id, line)
        log.count(self._store, workflow.id, {"runs": 1})
        end(self._store, workflow.id)
        if workflow.imports.keep_updated:
            again_at = next_run(workflow.imports, started_at, now_ms())
            registry.run_again_at(self._store, workflow.id, again_at)
        else:
            registry.complete(self._store, workflow.id)


NAMED = 20
"""How many mailings and lists a line of the log names; the rest is counted."""


def left_alone(resources: Sequence[Resource]) -> list[str]:
    """In words: what was not read, and why; empty for nothing."""
    if not resources:
        return []
    names = Counter(each.name.rpartition(": ")[0] for each in resources)
    told = [f"{name} ({count})" for name, count in list(names.items())[:NAMED]]
    if len(names) > NAMED:
        told.append(f"{len(names) - NAMED} more")
    return [f"left alone, because the counts have not changed: {len(resources)} of {', '.join(told)}"]


_STARTED_AT = "run_started_at"


def begin(store: Store, workflow_id: str) -> int:
    """When the run began that is to be done now (epoch ms): one that was broken off goes on."""
    name = keys.progress(workflow_id)
    if store.client.hsetnx(name, _STARTED_AT, now_ms()):
        forget(store, workflow_id)
    return int(cast(bytes, store.client.hget(name, _STARTED_AT)))


def end(store: Store, workflow_id: str) -> None:
    """The run is over: the next one reads everything again."""
    store.client.hdel(keys.progress(workflow_id), _STARTED_AT)
