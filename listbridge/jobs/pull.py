"""The job that runs one import."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable
from listbridge.imports.engine import Puller, PullResult
from listbridge.imports.protocol import Batch, Resource
from listbridge.store.lease import Lease
from listbridge.store.store import now_ms
from listbridge.streams.events import Counts
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow

MINUTE_MS = 60_000


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
    """
    workflow = _due(context, workflow_id)
    if workflow is None:
        return None
    settings = context.settings
    call_seconds = settings.api_connect_timeout_seconds + settings.api_read_timeout_seconds
    lease = Lease(context.store, lease_of(workflow_id), int(call_seconds * 1000) + 10_000)
    if not lease.acquire():
        return None
    try:
        return _run(context, workflow, lease, ring_fold, stopping)
    except Retriable as problem:
        registry.sleep(context.store, workflow, str(problem), problem.retry_after_seconds)
    except Fatal as problem:
        registry.fail(context.store, workflow_id, str(problem))
    finally:
        lease.release()
    return None


def is_due(workflow: Workflow) -> bool:
    """Running, or asleep until a time that has come."""
    return workflow.state is State.RUNNING or (
        workflow.state is State.SLEEPING and 0 < workflow.wake_at <= now_ms()
    )


def _due(context: Context, workflow_id: str) -> Workflow | None:
    workflow = registry.find(context.store, workflow_id)
    if workflow is None or not is_due(workflow):
        return None
    if workflow.state is State.SLEEPING:
        registry.wake(context.store, workflow_id)
        workflow = msgspec.structs.replace(workflow, state=State.RUNNING)
    return workflow


def _run(
    context: Context,
    workflow: Workflow,
    lease: Lease,
    ring_fold: Callable[[], None],
    stopping: Callable[[], bool],
) -> PullResult | None:
    store = context.store
    authorization = authorizations.get(store, workflow.authorization_id)
    source = system_of(authorization).source(context, authorization, workflow)

    def stop() -> bool:
        held = registry.find(store, workflow.id)
        return stopping() or held is None or held.state is not State.RUNNING or not lease.extend()

    def on_batch(_resource: Resource, batch: Batch, counts: Counts) -> None:
        counters = {
            "rows": batch.rows,
            "events": counts.accepted,
            "duplicates": counts.duplicates,
            "quarantined": counts.quarantined,
        }
        log.count(store, workflow.id, counters)
        if counts.rang:
            ring_fold()

    log.write(store, workflow.id, "run started")
    for line in source.prepare():
        log.write(store, workflow.id, line)
    puller = Puller(
        store, source, stop=stop, on_batch=on_batch, in_flight=context.settings.api_calls_in_flight
    )
    result = puller.run()
    for line in result.skipped:
        log.write(store, workflow.id, f"skipped {line}", level="warning")
    if stop():
        return None
    log.write(
        store,
        workflow.id,
        f"run finished: {result.resources} resources, {result.rows} rows, {result.accepted} new events, "
        f"{result.duplicates} known, {result.quarantined} set aside",
    )
    log.count(store, workflow.id, {"runs": 1})
    if workflow.imports.keep_updated:
        registry.run_again_at(store, workflow.id, now_ms() + workflow.imports.every_minutes * MINUTE_MS)
    else:
        registry.complete(store, workflow.id)
    return result
