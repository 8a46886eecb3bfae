"""What became of one person in an export's list."""

from __future__ import annotations

from flask import Response
from marshmallow import Schema, fields

from listbridge.standing import why
from listbridge.workflows import registry
from webhooks.answers import answer
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.openapi import ErrorSchema
from webhooks.wiring import web

blueprint = Blueprint("people", __name__, url_prefix="/v1/workflows", description="Exports and imports")

_TIME = {"format": "date-time"}


class StoryEventSchema(Schema):
    at = fields.String(required=True, metadata=_TIME)
    what = fields.String(required=True)


class LastRowSchema(Schema):
    """The row that the list was last told."""

    name = fields.String(required=True, allow_none=True)
    options = fields.List(fields.String(), required=True)
    values = fields.Dict(keys=fields.String(), required=True)
    field = fields.String(required=True)


class StorySchema(Schema):
    """A person's outcome in an export's list, and what led to it, oldest first."""

    email = fields.String(required=True)
    workflow = fields.String(required=True)
    list_id = fields.String(required=True)
    outcome = fields.String(required=True)
    since = fields.String(required=True, allow_none=True, metadata=_TIME)
    why = fields.String(required=True)
    todo = fields.String(
        required=True, allow_none=True, metadata={"description": "What somebody can do about it."}
    )
    opt_out = fields.String(
        required=True, allow_none=True, metadata={"description": "What is known, by what, why it stands."}
    )
    audiences = fields.List(fields.String(), required=True)
    profile_updated_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    last_row = fields.Nested(LastRowSchema, required=True, allow_none=True)
    retry_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    changes_swallowed = fields.Integer(
        required=True, metadata={"description": "Enters and exits that a later one overtook."}
    )
    events = fields.List(fields.Nested(StoryEventSchema), required=True)


@blueprint.route("/<workflow_id>/people/<rest:email>")
@blueprint.alt_response(200, schema=StorySchema, success=True)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(422, schema=ErrorSchema, description="No e-mail address")
def story(workflow_id: str, email: str) -> Response:
    """Say what became of a person in an export's list, and why."""
    context = web().context
    workflow = registry.get(context.store, workflow_id)
    try:
        return answer(why.why(context, workflow, email))
    except why.NoAddress as problem:
        raise Refusal(422, str(problem)) from None
