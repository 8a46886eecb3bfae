"""Plans that were asked for over HTTP: made by a worker and kept for an hour.

The key holds a plan that is done, or how far one is. Who asks while none is done rings for a worker;
a worker that dies leaves a lease that runs out, and the next question rings again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from listbridge import bells
from listbridge.context import Context
from listbridge.errors import SystemProblem
from listbridge.exports.tally import PlanSummary
from listbridge.jobs.plan import PlanOptions, export_to_plan, known_people, plan_export
from listbridge.jobs.preparing import list_reader
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import Store

KEPT_SECONDS = 3600
LEASE_MS = 30_000
SMALL = 2000
"""People in the list, and people here, up to which a plan is made while the request waits."""


class KeptPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`progress` is (step, done, of how many or 0); `problem` says why there is no plan."""

    options: PlanOptions
    progress: tuple[str, int, int] = ("waiting for a worker", 0, 0)
    summary: PlanSummary | None = None
    problem: str = ""

    @property
    def is_over(self) -> bool:
        return self.summary is not None or bool(self.problem)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeptPlan).decode


def kept_plan(store: Store, workflow_id: str) -> KeptPlan | None:
    """The plan that is kept, done or not."""
    held = cast(bytes | None, store.client.get(keys.plan(workflow_id)))
    return _decode(held) if held else None


def asked_plan(context: Context, workflow_id: str, options: PlanOptions, *, refresh: bool) -> KeptPlan:
    """The plan as it stands: a kept one with the same options, else a new one, made now if it is small.

    Raises what `plan_export` raises. Whoever gets one that is not over has to ring for a worker, if
    `is_wanted` says so.
    """
    export_to_plan(context, workflow_id)
    held = kept_plan(context.store, workflow_id)
    if held is not None and held.problem:
        context.store.client.delete(keys.plan(workflow_id))  # told once; the next question tries again
        return held
    if held is not None and held.options == options and not (refresh and held.is_over):
        return held
    if _is_small(context, workflow_id, options):
        made = KeptPlan(options=options, summary=plan_export(context, workflow_id, options))
    else:
        made = KeptPlan(options=options)
    _keep(context.store, workflow_id, made)
    return made


def is_wanted(store: Store, workflow_id: str) -> bool:
    """Must a worker be asked? Not while one is at it, nor when one was asked a moment ago."""
    what = bell_of(workflow_id)
    return not store.client.exists(keys.lease(what)) and bells.ring(store, what)


def make_plan(context: Context, workflow_id: str, *, stopping: Callable[[], bool] = lambda: False) -> None:
    """Make the plan that was asked for, unless a worker is at it or it is done; problems are kept."""
    store, lease = context.store, Lease(context.store, bell_of(workflow_id), LEASE_MS)
    if not lease.acquire():
        return
    try:
        bells.clear(store, bell_of(workflow_id))
        held = kept_plan(store, workflow_id)
        if held is not None and not held.is_over:
            with lease.kept():
                _make(context, workflow_id, held, stopping)
    finally:
        lease.release()


class _Stopped(Exception):
    """The worker ends: whoever asks next rings for another."""


def _make(context: Context, workflow_id: str, asked: KeptPlan, stopping: Callable[[], bool]) -> None:
    def keep(**changes: object) -> None:
        _keep(context.store, workflow_id, msgspec.structs.replace(asked, **changes))

    def tell(step: str, done: int, total: int) -> None:
        if stopping():
            raise _Stopped
        keep(progress=(step, done, total))

    try:
        keep(summary=plan_export(context, workflow_id, asked.options, progress=tell))
    except _Stopped:
        return
    except SystemProblem as problem:
        keep(problem=str(problem))
    except Exception as problem:
        keep(problem=f"unexpected {type(problem).__name__}: the worker's log has it")
        raise


def _is_small(context: Context, workflow_id: str, options: PlanOptions) -> bool:
    if options.other_lists or known_people(context.store) > SMALL:
        return False
    return list_reader(context, export_to_plan(context, workflow_id)).size() <= SMALL


def _keep(store: Store, workflow_id: str, plan: KeptPlan) -> None:
    store.client.set(keys.plan(workflow_id), _encode(plan), ex=KEPT_SECONDS)


def bell_of(workflow_id: str) -> str:
    """The name of the bell and of the lease of a plan."""
    return f"plan:{workflow_id}"
