"""What the last check of an export's list found."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from listbridge.standing.drift import drift as found_drift
from listbridge.workflows import registry
from webhooks.arguments import Blueprint
from webhooks.wiring import web

blueprint = Blueprint("drift", __name__, url_prefix="/v1/workflows", description="Exports and imports")


class DriftQuerySchema(Schema):
    sample = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=100),
        metadata={"description": "How many people of each kind to show."},
    )


class DriftResultSchema(Schema):
    """A check of the list, in people."""

    started_at = fields.String(required=True, metadata={"format": "date-time"})
    finished_at = fields.String(required=True, metadata={"format": "date-time"})
    repair = fields.Boolean(required=True)
    in_list = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "The people who were read, by their state in the list."},
    )
    drift = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "By kind: missing, opted_out, returned, changed, extra, duplicate. Kinds of "
            "nobody are left out."
        },
    )
    sent_again = fields.Integer(
        required=True, metadata={"description": "Whose rows a repair has sent again."}
    )
    learned = fields.Integer(required=True, metadata={"description": "Of whom the list told a new state."})
    calls = fields.Integer(required=True)
    problem = fields.String(
        required=True, metadata={"description": "Why the check could not be finished; empty if it was."}
    )
    samples = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Dict(keys=fields.String())), required=True
    )


class DriftRunSchema(Schema):
    """A check that has not ended."""

    started_at = fields.String(required=True, metadata={"format": "date-time"})
    repair = fields.Boolean(required=True)
    read = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    calls = fields.Integer(required=True)
    goes_on_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "When it goes on after a problem."},
    )


class DriftSchema(Schema):
    """How an export's list was when it was last checked; null for never."""

    result = fields.Nested(DriftResultSchema, required=True, allow_none=True)
    under_way = fields.Nested(DriftRunSchema, required=True, allow_none=True)


@blueprint.route("/<workflow_id>/drift")
@blueprint.arguments(DriftQuerySchema, location="query")
@blueprint.response(200, DriftSchema)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def drift(query: dict[str, Any], workflow_id: str) -> dict[str, Any]:
    """Show what the last check of the list found, and one that is under way."""
    store = web().context.store
    found = registry.get(store, workflow_id)
    if found.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {found.kind}; only an export's list is checked")
    return found_drift(store, found.export.list_id, query["sample"])
