"""Plans of imports that were asked for over HTTP: made by a worker and kept for an hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from listbridge import bells
from listbridge.context import Context
from listbridge.errors import SystemProblem
from listbridge.jobs.import_plan import import_to_plan, plan_workflow
from listbridge.jobs.kept_plans import KEPT_SECONDS, LEASE_MS, bell_of
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import Store


class KeptImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`plan` as people see it; `problem` says why there is none. Neither: a worker has still to make it."""

    plan: dict[str, Any] | None = None
    problem: str = ""

    @property
    def is_over(self) -> bool:
        return self.plan is not None or bool(self.problem)


def asked_plan(context: Context, workflow_id: str, *, refresh: bool) -> KeptImportPlan:
    """The plan as it stands; who gets one that is not over rings for a worker.

    Raises `NoSuchWorkflow`, and `NotAllowed` for an export.
    """
    import_to_plan(context, workflow_id)
    held = _kept(context.store, workflow_id)
    if held is not None and held.problem:
        context.store.client.delete(keys.plan(workflow_id))  # told once; the next question tries again
        return held
    if held is None or (refresh and held.is_over):
        held = KeptImportPlan()
        _keep(context.store, workflow_id, held)
    return held


def make_plan(context: Context, workflow_id: str, *, stopping: Callable[[], bool] = lambda: False) -> None:
    """Make the plan that was asked for, unless a worker is at it or it is done; problems are kept."""
    store, lease = context.store, Lease(context.store, bell_of(workflow_id), LEASE_MS)
    if not lease.acquire():
        return
    try:
        bells.clear(store, bell_of(workflow_id))
        held = _kept(store, workflow_id)
        if held is not None and not held.is_over:
            with lease.kept():
                _keep(store, workflow_id, _made(context, workflow_id, stopping))
    finally:
        lease.release()


def _made(context: Context, workflow_id: str, stopping: Callable[[], bool]) -> KeptImportPlan:
    try:
        return KeptImportPlan(plan=plan_workflow(context, workflow_id, stopping=stopping).shown())
    except SystemProblem as problem:
        return KeptImportPlan(problem=str(problem))


def _kept(store: Store, workflow_id: str) -> KeptImportPlan | None:
    held = cast(bytes | None, store.client.get(keys.plan(workflow_id)))
    return msgspec.json.decode(held, type=KeptImportPlan) if held else None


def _keep(store: Store, workflow_id: str, plan: KeptImportPlan) -> None:
    store.client.set(keys.plan(workflow_id), msgspec.json.encode(plan), ex=KEPT_SECONDS)
