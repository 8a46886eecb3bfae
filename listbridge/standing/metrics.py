"""Figures for a monitoring system, read from the store at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from listbridge.context import Context
from listbridge.exports.drift import Kind as Drifting
from listbridge.standing.accounts import AccountStanding, accounts_standing
from listbridge.standing.exports import opt_out_lag, opt_outs_read_at
from listbridge.standing.lists import ListStanding, standing_of
from listbridge.standing.queues import waits
from listbridge.standing.streams import StreamStanding, streams_standing
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import duplicates_dropped
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow

Kind = Literal["gauge", "counter"]

METRICS: Mapping[str, tuple[Kind, str]] = {
    "listbridge_export_oldest_undelivered_seconds": ("gauge", "For how long the oldest change has waited"),
    "listbridge_export_waiting_people": ("gauge", "People who changed and were not looked at since"),
    "listbridge_export_in_doubt_people": ("gauge", "People whose row was sent without a known outcome"),
    "listbridge_export_delivered_people": ("gauge", "People whom the list was told of"),
    "listbridge_export_refused_people": ("gauge", "People whom the list refuses now"),
    "listbridge_export_refused_share": ("gauge", "The refused among all whom the list was told of, 0 to 1"),
    "listbridge_export_backfill_people_left": ("gauge", "People a look at everybody has not come to"),
    "listbridge_export_rows_total": ("counter", "Outcomes of rows, by outcome"),
    "listbridge_export_refusals_total": ("counter", "Refused rows, by code"),
    "listbridge_export_drift_total": ("counter", "Rows that checks found otherwise, by kind"),
    "listbridge_export_opt_outs_read_age_seconds": ("gauge", "Since an import read all who left the list"),
    "listbridge_opt_out_lag_seconds": ("gauge", "For how long an opt-out that reached us may have waited"),
    "listbridge_workflow_state": ("gauge", "1 for the state that the workflow is in, 0 for the others"),
    "listbridge_workflow_problems_in_a_row": ("gauge", "Retriable problems since the last success"),
    "listbridge_workflow_calls_total": ("counter", "Calls to the other system"),
    "listbridge_workflow_rate_limited_total": ("counter", "Calls that were refused as too many (429)"),
    "listbridge_account_calls_total": ("counter", "Calls to the other system, of all workflows together"),
    "listbridge_account_rate_limited_total": ("counter", "Those that were refused as too many (429)"),
    "listbridge_account_waited_seconds_total": ("counter", "What calls waited for the account's budget"),
    "listbridge_account_calls_per_second": ("gauge", "The calls a second that the account is given now"),
    "listbridge_stream_waiting_events": ("gauge", "Events that wait to be folded"),
    "listbridge_stream_fold_lag_seconds": ("gauge", "For how long the oldest such event has waited"),
    "listbridge_stream_accepted_events_total": ("counter", "Events that were stored"),
    "listbridge_stream_quarantined_events_total": ("counter", "Events that were set aside"),
    "listbridge_duplicate_events_total": ("counter", "Events that came again and were dropped"),
    "listbridge_queue_tasks_total": ("counter", "Tasks that a worker began, by queue"),
    "listbridge_queue_waited_seconds_total": ("counter", "What they waited in the queue, together"),
    "listbridge_queue_last_wait_seconds": ("gauge", "What the last of them waited"),
}
"""Name -> kind and meaning; a counter's name ends in _total."""

_OUTCOMES = ("added", "updated", "moved", "unsubscribed", "unchanged", "refused", "in_doubt", "retries")
_REFUSED = "refused_"
_DRIFT = {f"drift_{kind.value}": kind.value for kind in Drifting}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric of `METRICS`."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(context: Context) -> Iterator[Sample]:
    """All values as they are now. Raises `redis.RedisError`."""
    now = now_ms()
    streams = streams_standing(context.store)
    yield from _of_streams(streams, now)
    yield Sample("listbridge_duplicate_events_total", {}, duplicates_dropped(context.store))
    yield Sample("listbridge_opt_out_lag_seconds", {}, opt_out_lag(streams, now))
    yield from _of_accounts(accounts_standing(context))
    yield from _of_queues(context.store)
    workflows = registry.list_all(context.store)
    lists = {each.export.list_id for each in workflows if each.kind == "export"}
    standings = {list_id: standing_of(context.store, list_id, now) for list_id in lists}
    for workflow in workflows:
        progress = log.progress(context.store, workflow.id)
        yield from _of_workflow(workflow, progress)
        if workflow.kind == "export" and workflow.state is not State.COMPLETED:
            yield from _of_export(workflow, standings[workflow.export.list_id], progress, now)
            if read_at := opt_outs_read_at(context, workflow):
                age = max(now - read_at, 0) / 1000
                labels = {"workflow": workflow.id, "list": workflow.export.list_id}
                yield Sample("listbridge_export_opt_outs_read_age_seconds", labels, age)


def _of_streams(streams: list[StreamStanding], now: int) -> Iterator[Sample]:
    for each in streams:
        labels = {"stream": each.stream}
        yield Sample("listbridge_stream_waiting_events", labels, each.waiting)
        yield Sample("listbridge_stream_fold_lag_seconds", labels, each.lag_seconds(now))
        yield Sample("listbridge_stream_accepted_events_total", labels, each.accepted)
        yield Sample("listbridge_stream_quarantined_events_total", labels, each.quarantined)


def _of_accounts(accounts: list[AccountStanding]) -> Iterator[Sample]:
    for each in accounts:
        labels, budget = {"authorization": each.authorization.id}, each.budget
        yield Sample("listbridge_account_calls_total", labels, budget.calls)
        yield Sample("listbridge_account_rate_limited_total", labels, budget.refused)
        yield Sample("listbridge_account_waited_seconds_total", labels, budget.waited_seconds)
        yield Sample("listbridge_account_calls_per_second", labels, budget.calls_per_second)


def _of_queues(store: Store) -> Iterator[Sample]:
    for name, queue in waits(store).items():
        yield Sample("listbridge_queue_tasks_total", {"queue": name}, queue.tasks)
        yield Sample("listbridge_queue_waited_seconds_total", {"queue": name}, queue.waited_seconds)
        yield Sample("listbridge_queue_last_wait_seconds", {"queue": name}, queue.last_seconds)


def _of_workflow(workflow: Workflow, progress: Mapping[str, int]) -> Iterator[Sample]:
    labels = {"workflow": workflow.id, "kind": workflow.kind}
    for state in State:
        yield Sample("listbridge_workflow_state", labels | {"state": state}, float(state is workflow.state))
    yield Sample("listbridge_workflow_problems_in_a_row", labels, workflow.failures)
    yield Sample("listbridge_workflow_calls_total", labels, progress.get("api_calls", 0))
    yield Sample("listbridge_workflow_rate_limited_total", labels, progress.get("rate_limited", 0))


def _of_export(
    workflow: Workflow, standing: ListStanding, progress: Mapping[str, int], now: int
) -> Iterator[Sample]:
    labels = {"workflow": workflow.id, "list": workflow.export.list_id}
    left = standing.backfill.people - standing.backfill.done if standing.backfill else 0
    yield Sample("listbridge_export_oldest_undelivered_seconds", labels, standing.lag_seconds(now))
    yield Sample("listbridge_export_waiting_people", labels, standing.waiting)
    yield Sample("listbridge_export_in_doubt_people", labels, standing.in_doubt)
    yield Sample("listbridge_export_delivered_people", labels, standing.delivered)
    yield Sample("listbridge_export_refused_people", labels, standing.refused)
    yield Sample("listbridge_export_refused_share", labels, standing.refused_share)
    yield Sample("listbridge_export_backfill_people_left", labels, left)
    for outcome in _OUTCOMES:
        yield Sample("listbridge_export_rows_total", labels | {"outcome": outcome}, progress.get(outcome, 0))
    for name, kind in _DRIFT.items():
        yield Sample("listbridge_export_drift_total", labels | {"kind": kind}, progress.get(name, 0))
    for name, count in progress.items():
        if name.startswith(_REFUSED):
            code = name.removeprefix(_REFUSED)
            yield Sample("listbridge_export_refusals_total", labels | {"code": code}, count)
