"""The sweep: finds work by looking at the state, whoever rang or did not. Two sweeps at once do no harm."""

from __future__ import annotations

from dataclasses import dataclass

from listbridge.aggregation.fold import has_lag
from listbridge.context import Context
from listbridge.exports.ledger import lags
from listbridge.jobs.archive import is_due as archive_is_due
from listbridge.jobs.feeds import is_otherwise
from listbridge.jobs.pull import lease_of
from listbridge.jobs.reconcile import due_lists
from listbridge.jobs.spread import is_behind
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.systems import catch_up, must_run
from listbridge.workflows import registry
from listbridge.workflows.models import State, Workflow


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be done: a fold, deliveries and checks by list, imports by workflow, a pass of the
    archive."""

    fold: bool
    lists: tuple[str, ...]
    imports: tuple[str, ...]
    archive: bool
    checks: tuple[str, ...] = ()


def sweep(context: Context) -> Due:
    """Look at every stream, list and import."""
    store = context.store
    catch_up(store)
    workflows = [_woken(store, each) for each in registry.list_all(store)]
    return Due(
        fold=any(has_lag(store, context.program)),
        lists=tuple(
            each
            for each in deliverable(workflows)
            if any(lags(store, each, now_ms()))
            or is_otherwise(context, each, workflows)
            or is_behind(context, each, workflows)
        ),
        imports=tuple(
            w.id
            for w in workflows
            if w.kind == "import"
            and w.is_due(now_ms())
            and not store.client.exists(keys.lease(lease_of(w.id)))
        ),
        archive=archive_is_due(context),
        checks=tuple(due_lists(context, workflows)),
    )


def _woken(store: Store, workflow: Workflow) -> Workflow:
    """An import that is up to date is woken when something has to be looked at before its time."""
    waits = workflow.state is State.SLEEPING and not workflow.failures and workflow.wake_at > now_ms()
    if workflow.kind != "import" or not waits or not must_run(store, workflow):
        return workflow
    registry.wake(store, workflow.id)
    return registry.find(store, workflow.id) or workflow


def deliverable(workflows: list[Workflow]) -> list[str]:
    """The lists that have an export to deliver now."""
    now = now_ms()
    return sorted({w.export.list_id for w in workflows if w.kind == "export" and w.is_due(now)})
