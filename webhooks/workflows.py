"""Workflows: exports and imports, made, watched, paused, resumed, stopped, deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError

from listbridge.aggregation.kinds import rfc3339
from listbridge.audiences import Fault
from listbridge.authorizations import NoSuchAuthorization
from listbridge.context import Context
from listbridge.jobs.kept_plans import asked_plan, is_wanted, kept_plan
from listbridge.jobs.plan import PlanOptions
from listbridge.standing import imports
from listbridge.workflows import log, registry, service
from listbridge.workflows.editing import Change
from listbridge.workflows.holds import Acknowledgement
from listbridge.workflows.models import State, Workflow
from webhooks.arguments import Blueprint, faults_of, optional_body
from webhooks.errors import Refusal
from webhooks.openapi import ref
from webhooks.wiring import ring, web
from webhooks.workflow_schemas import (
    ChangeSchema,
    LogQuerySchema,
    LogSchema,
    NewWorkflowSchema,
    ResumeSchema,
    WorkflowQuerySchema,
    WorkflowSchema,
    WorkflowsSchema,
)

blueprint = Blueprint("workflows", __name__, url_prefix="/v1/workflows", description="Exports and imports")

_CREATE: dict[str, Callable[..., Workflow]] = {
    "export": service.create_export,
    "import": service.create_import,
}


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewWorkflowSchema)
@blueprint.response(201, WorkflowSchema)
@blueprint.alt_response(409, "CONFLICT")
def create(values: dict[str, Any]) -> dict[str, Any]:
    """Make and start an export or an import."""
    made = _created(values)
    if made.state is State.RUNNING:
        _ring_for(made)
    return service.shown(web().context, made)


@blueprint.route("")
@blueprint.arguments(WorkflowQuerySchema, location="query")
@blueprint.response(200, WorkflowsSchema)
def list_all(query: dict[str, Any]) -> dict[str, Any]:
    """List the workflows, oldest first."""
    context = web().context
    found = registry.list_all(context.store, query.get("kind"))
    state = query.get("state")
    return {"workflows": [service.shown(context, each) for each in found if state in (None, each.state)]}


@blueprint.route("/<workflow_id>")
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
def get(workflow_id: str) -> dict[str, Any]:
    """Show one workflow: definition, state, progress; how an export's list stands, how far an import is."""
    context = web().context
    return imports.shown(context, registry.get(context.store, workflow_id))


@blueprint.route("/<workflow_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(502, "BAD_GATEWAY")
def delete(workflow_id: str) -> None:
    """Stop and forget a workflow.

    The webhooks of an import are taken away too: 502 or 503 when Campaign Monitor doesn't do that.
    """
    service.delete(web().context, workflow_id)


@blueprint.route("/<workflow_id>/pause", methods=["POST"])
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def pause(workflow_id: str) -> dict[str, Any]:
    """Pause a running or sleeping workflow; what changes meanwhile is caught up with later."""
    context = web().context
    return service.shown(context, service.pause(context, workflow_id))


@blueprint.route("/<workflow_id>/resume", methods=["POST"])
@blueprint.doc(requestBody={"content": {"application/json": {"schema": ref("Resume")}}})
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def resume(workflow_id: str) -> dict[str, Any]:
    """Go on after a pause, a failure or in the middle of a sleep.

    409 when it waits for a person and the body doesn't say what it waits for; the message has what would
    be right.
    """
    context, values = web().context, optional_body(ResumeSchema())
    said = Acknowledgement(
        values["acknowledge"], values["confirm"], values["confirm_people"], values["canary"]
    )
    resumed = service.resume(context, workflow_id, said, count=_planned_return)
    _ring_for(resumed)
    return service.shown(context, resumed)


@blueprint.route("/<workflow_id>/stop", methods=["POST"])
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def stop(workflow_id: str) -> dict[str, Any]:
    """End a workflow for good; what was written stays."""
    context = web().context
    return service.shown(context, service.stop(context, workflow_id))


@blueprint.route("/<workflow_id>/log")
@blueprint.arguments(LogQuerySchema, location="query")
@blueprint.response(200, LogSchema)
@blueprint.alt_response(404, "NOT_FOUND")
def read_log(query: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """Show the newest lines of a workflow's log, oldest first."""
    store = web().context.store
    registry.get(store, workflow_id)
    lines = log.read(store, workflow_id, query["count"])
    return {"log": [line | {"at": rfc3339(int(str(line["at"])))} for line in lines]}


@blueprint.route("/<workflow_id>", methods=["PATCH"])
@blueprint.arguments(ChangeSchema)
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def edit(values: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """Add, remove, rename or label audiences of an export, also while it runs."""
    context = web().context
    change = Change(
        values["add_audiences"], values["remove_audiences"], values["rename_audiences"], values["labels"]
    )
    try:
        changed = service.edit_export(context, workflow_id, change)
    except ValidationError as error:
        found = faults_of(error.messages, values)
        raise Refusal(422, "the body is not as it should be", found) from None
    if changed.state is State.RUNNING:
        _ring_for(changed)
    return service.shown(context, changed)


def _planned_return(context: Context, workflow_id: str) -> int:
    """How many a start would bring back, by the plan that is kept; a large one is made by a worker."""
    held = kept_plan(context.store, workflow_id)
    if held is None or held.summary is None:
        held = asked_plan(context, workflow_id, PlanOptions(), refresh=False)
    if held.problem:
        raise Refusal(502, held.problem)
    if held.summary is None:
        if is_wanted(context.store, workflow_id):
            ring(web().bells.plan, workflow_id)
        raise Refusal(409, "its plan is being made: read the plan, then confirm the people it returns")
    return held.summary.outcomes["returned"]


def _created(values: dict[str, Any]) -> Workflow:
    """The new workflow; what the domain finds wrong is told with its path."""
    config, authorization_id = values["config"], values["authorization_id"]
    more = {"paused": True} if values["paused"] else {}
    try:
        return _CREATE[values["kind"]](web().context, authorization_id, config, values["description"], **more)
    except ValidationError as error:
        found = faults_of(error.messages, config, "$.config")
    except NoSuchAuthorization as error:
        found = [Fault("$.authorization_id", str(error))]
    raise Refusal(422, "the body is not as it should be", found)


def _ring_for(workflow: Workflow) -> None:
    """Ask a worker to begin at once."""
    bells = web().bells
    if workflow.kind == "export":
        ring(bells.deliver, workflow.export.list_id)
    else:
        ring(bells.pull, workflow.id)
