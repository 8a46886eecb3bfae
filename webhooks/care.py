"""What a running import needs a person for: a changed time zone, another token for its webhooks."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from listbridge.workflows import care, service
from listbridge.workflows.models import State
from webhooks.arguments import Blueprint
from webhooks.wiring import ring, web
from webhooks.workflow_schemas import WorkflowSchema, WorkflowsSchema

blueprint = Blueprint("care", __name__, url_prefix="/v1/workflows", description="Exports and imports")


class ZoneSchema(Schema):
    """The zone by which a client's times are to be read."""

    zone = fields.String(
        required=True,
        validate=validate.Length(min=1, max=100),
        metadata={"description": "The IANA name that the import's reason tells, as Europe/Berlin."},
    )


@blueprint.route("/<workflow_id>/confirm-zone", methods=["POST"])
@blueprint.arguments(ZoneSchema)
@blueprint.response(200, WorkflowsSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def confirm_zone(values: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """Confirm that the client's time zone was changed on purpose; answers the imports that go on."""
    context = web().context
    changed = care.confirm_zone(context, workflow_id, values["zone"])
    for each in changed:
        ring(web().bells.pull, each.id)
    return {"workflows": [service.shown(context, each) for each in changed]}


@blueprint.route("/<workflow_id>/rotate-token", methods=["POST"])
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def rotate_token(workflow_id: str) -> dict[str, Any]:
    """Give an import's webhooks another token; the old one stays good until all of them were replaced."""
    context = web().context
    changed = care.rotate_token(context, workflow_id)
    if changed.state is State.RUNNING:
        ring(web().bells.pull, workflow_id)
    return service.shown(context, changed)
