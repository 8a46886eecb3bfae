"""What a start of an export would do: told at once for a small list, else made by a worker."""

from __future__ import annotations

from typing import Any

import msgspec

from listbridge.jobs import kept_import_plans
from listbridge.jobs.kept_plans import asked_plan, is_wanted
from listbridge.jobs.plan import PlanOptions
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.wiring import ring, web
from webhooks.workflow_schemas import ImportPlanQuerySchema, ImportPlanSchema, PlanQuerySchema, PlanSchema

blueprint = Blueprint("plans", __name__, url_prefix="/v1/workflows", description="Exports and imports")


@blueprint.route("/<workflow_id>/plan")
@blueprint.arguments(PlanQuerySchema, location="query")
@blueprint.response(200, PlanSchema)
@blueprint.alt_response(202, schema=PlanSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(502, "BAD_GATEWAY")
def plan(query: dict[str, Any], workflow_id: str) -> Any:
    """Say what a start of an export would do now; it changes nothing.

    202 with the progress until a worker has made the plan: ask again. A plan is kept for an hour.
    """
    context, bells = web().context, web().bells
    options = PlanOptions(query["sample"], query["other_lists"])
    held = asked_plan(context, workflow_id, options, refresh=query["refresh"])
    if held.problem:
        raise Refusal(502, held.problem)
    if held.summary is not None:
        return {"plan": msgspec.to_builtins(held.summary), "progress": None}
    if is_wanted(context.store, workflow_id):
        ring(bells.plan, workflow_id)
    step, done, total = held.progress
    return {"plan": None, "progress": {"step": step, "done": done, "total": total}}, 202


@blueprint.route("/<workflow_id>/import-plan")
@blueprint.arguments(ImportPlanQuerySchema, location="query")
@blueprint.response(200, ImportPlanSchema)
@blueprint.alt_response(202, schema=ImportPlanSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(502, "BAD_GATEWAY")
def import_plan(query: dict[str, Any], workflow_id: str) -> Any:
    """Say what a run of an import would cost: rows, pages and calls per report, and the time they take.

    It reads summaries and statistics, no rows. 202 until a worker has made the plan: ask again. A plan is
    kept for an hour.
    """
    context, bells = web().context, web().bells
    held = kept_import_plans.asked_plan(context, workflow_id, refresh=query["refresh"])
    if held.problem:
        raise Refusal(502, held.problem)
    if held.plan is not None:
        return {"plan": held.plan}
    if is_wanted(context.store, workflow_id):
        ring(bells.plan, workflow_id)
    return {"plan": None}, 202
