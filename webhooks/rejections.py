"""Who is refused by an export's list, having them tried again, and ending an export for good."""

from __future__ import annotations

from heapq import nsmallest
from typing import Any

from marshmallow import Schema, fields, validate

from listbridge.audiences import milliseconds
from listbridge.exports.delivered import Refused
from listbridge.standing import rejections as refusals
from listbridge.standing.rejections import Which
from listbridge.workflows import registry, removal
from listbridge.workflows.models import State, Workflow
from listbridge.workflows.removal import PARTS
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.wiring import ring, web

blueprint = Blueprint("rejections", __name__, url_prefix="/v1/workflows", description="Exports and imports")

_TIME = {"format": "date-time"}
AT_ONCE = 1000


class WhichSchema(Schema):
    """Which refusals."""

    code = fields.String(
        load_default=None,
        allow_none=True,
        metadata={"description": "A word, as in `unsubscribed`, or the number Campaign Monitor gives."},
    )
    since = fields.AwareDateTime(load_default=None, allow_none=True)


class RejectionsQuerySchema(WhichSchema):
    count = fields.Integer(load_default=100, validate=validate.Range(min=1, max=AT_ONCE))
    after = fields.String(
        load_default="",
        metadata={"description": "The last address of the page before: `next` of its answer."},
    )


class RejectionSchema(Schema):
    email = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)
    at = fields.String(required=True, metadata=_TIME)
    opted_out_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    remedy = fields.String(required=True, allow_none=True)


class RejectionsSchema(Schema):
    """People whom the list does not take, by address."""

    rejections = fields.List(fields.Nested(RejectionSchema), required=True)
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`after` for the next page; null at the end."},
    )


class RetriedSchema(Schema):
    people = fields.Integer(required=True, metadata={"description": "How many are tried again."})


class LeftoversSchema(Schema):
    """What an export would leave behind in its list."""

    field_name = fields.String(required=True)
    field_key = fields.String(required=True, metadata={"description": "Empty: the list has no such field."})
    options = fields.List(fields.String(), required=True)
    others = fields.List(
        fields.String(), required=True, metadata={"description": "Options of the field that stay."}
    )
    segments = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    ruled = fields.List(
        fields.String(), required=True, metadata={"description": "Other segments with a rule on the field."}
    )


class RemoveSchema(Schema):
    confirm = fields.String(required=True, metadata={"description": "The export's id again."})
    cleanup = fields.List(
        fields.String(validate=validate.OneOf(PARTS)),
        load_default=list,
        metadata={"description": "What to take out of Campaign Monitor, too."},
    )


class RemovedSchema(Schema):
    """What was done. With problems the export is ended and kept, so that this can be repeated."""

    done = fields.List(fields.String(), required=True)
    problems = fields.List(fields.String(), required=True)


@blueprint.route("/<workflow_id>/rejections")
@blueprint.arguments(RejectionsQuerySchema, location="query")
@blueprint.response(200, RejectionsSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def rejections(query: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """List who is refused, with code, words and what to do."""
    context, count = web().context, query["count"]
    workflow = _export(workflow_id)
    chosen = _which(workflow.export.list_id, query)
    found = refusals.rejections(context.store, workflow.export.list_id, chosen)
    beyond = ((key, refused) for key, refused in found if key > query["after"])
    page: list[tuple[str, Refused]] = nsmallest(count + 1, beyond, key=lambda each: each[0])
    shown = [refusals.as_row(key, refused) for key, refused in page[:count]]
    return {"rejections": shown, "next": page[count - 1][0] if len(page) > count else None}


@blueprint.route("/<workflow_id>/rejections/retry", methods=["POST"])
@blueprint.arguments(WhichSchema)
@blueprint.response(200, RetriedSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def retry(values: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """Have refused people tried again, once, at the next delivery. Nobody is resubscribed by it."""
    workflow = _export(workflow_id)
    people = refusals.retry(web().context, workflow, _which(workflow.export.list_id, values))
    if people and workflow.state is State.RUNNING:
        ring(web().bells.deliver, workflow.export.list_id)
    return {"people": people}


@blueprint.route("/<workflow_id>/leftovers")
@blueprint.response(200, LeftoversSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(502, "BAD_GATEWAY")
def leftovers(workflow_id: str) -> Any:
    """Show what removing the export would leave behind in the list."""
    return removal.leftovers_of(web().context, _export(workflow_id))


@blueprint.route("/<workflow_id>/remove", methods=["POST"])
@blueprint.arguments(RemoveSchema)
@blueprint.response(200, RemovedSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(502, "BAD_GATEWAY")
def remove(values: dict[str, Any], workflow_id: str) -> Any:
    """End an export, take out of the list what is asked for, and forget the export."""
    _export(workflow_id)
    if values["confirm"] != workflow_id:
        raise Refusal(409, f"confirm is {values['confirm']!r}: repeat the export's id, and it is removed")
    return removal.remove(web().context, workflow_id, values["cleanup"])


def _which(list_id: str, values: dict[str, Any]) -> Which:
    since = values["since"]
    chosen = refusals.which(values["code"], max(milliseconds(since), 0) if since else None)
    if wrong := refusals.objection(web().context.store, list_id, chosen):
        raise Refusal(422, f"code: {wrong}")
    return chosen


def _export(workflow_id: str) -> Workflow:
    found = registry.get(web().context.store, workflow_id)
    if found.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {found.kind}; this is for an export")
    return found
