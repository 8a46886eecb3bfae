"""The job that says what a run of an import would cost. It reads no row and changes no list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.imports.cursors import cursors
from listbridge.imports.planning import Forecast, forecast
from listbridge.pacing import describe
from listbridge.pacing.scripts import SHARE_OF_PATIENT
from listbridge.store.store import now_ms
from listbridge.systems import account_of, limits_of, never, system_of
from listbridge.workflows import registry
from listbridge.workflows.models import ImportConfig, Workflow

PAGE_SIZE = 1000


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`calls` are pages and looking together; `seconds` is the time that they take at the present pace.

    `calls_per_second` is that pace: what the account allows imports, or what its answers' time allows with
    as many calls in flight, whichever is less.
    """

    forecast: Forecast
    calls: int
    seconds: int
    calls_per_second: float

    def shown(self) -> dict[str, Any]:
        """As people see it."""
        found = msgspec.to_builtins(self.forecast)
        kinds = {"looking": {"pages": self.forecast.looking}} | found["kinds"]
        return {
            "kinds": kinds,
            "rows": self.forecast.rows,
            "calls": self.calls,
            "seconds": self.seconds,
            "calls_per_second": round(self.calls_per_second, 1),
            "problems": found["problems"],
        }


def plan_import(
    context: Context,
    authorization_id: str,
    config: ImportConfig,
    *,
    stopping: Callable[[], bool] = never,
) -> ImportPlan:
    """Look at what there is to read, for a summary's call for each mailing, and reckon the rest.

    Raises the other system's problems.
    """
    authorization = authorizations.get(context.store, authorization_id)
    seconds: list[float] = []
    source = system_of(authorization).surveyor(context, authorization, config, stopping, seconds.append)
    held = cursors(context.store, source.account)
    positions = {name: cursor.position for name, cursor in held.items() if cursor.position}
    now = now_ms()
    found = forecast(source.resources(positions, now), held, now, PAGE_SIZE)
    found.looking = len(seconds)
    budget = describe(context.store, account_of(context, authorization), limits_of(context.settings))
    allowed = budget.calls_per_second * SHARE_OF_PATIENT
    pace = min(allowed, context.settings.api_calls_in_flight * len(seconds) / sum(seconds))
    total = found.pages + found.looking
    return ImportPlan(forecast=found, calls=total, seconds=round(total / pace), calls_per_second=pace)


def plan_workflow(context: Context, workflow_id: str, *, stopping: Callable[[], bool] = never) -> ImportPlan:
    """The plan of an import as it was made. Raises `NoSuchWorkflow`, and `NotAllowed` for an export."""
    workflow = import_to_plan(context, workflow_id)
    return plan_import(context, workflow.authorization_id, workflow.imports, stopping=stopping)


def import_to_plan(context: Context, workflow_id: str) -> Workflow:
    """The import of that id."""
    workflow = registry.get(context.store, workflow_id)
    if workflow.kind != "import":
        raise registry.NotAllowed(f"{workflow_id} is an export: its plan is `listbridge export plan`")
    return workflow
