"""The active mappings: the fields of a profile, and since when each counts."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings.fields import rows_of
from listbridge.mappings.versions import active
from webhooks.arguments import Blueprint
from webhooks.wiring import web

blueprint = Blueprint("mapping", __name__, url_prefix="/v1/mapping", description="The active mappings")


class FieldSchema(Schema):
    """A field of profiles."""

    field = fields.String(required=True)
    kind = fields.String(required=True)
    operation = fields.String(required=True, metadata={"description": "How two values are merged."})
    cap = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How many values are shown at most."}
    )
    streams = fields.List(fields.String(), required=True)
    description = fields.String(required=True)
    since = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "When it began to count; null: all events count."},
    )


class MappingSchema(Schema):
    """The version of the mappings that new events are counted by."""

    version = fields.Integer(required=True)
    activated_at = fields.String(required=True, metadata={"format": "date-time"})
    fields_ = fields.List(fields.Nested(FieldSchema), required=True, data_key="fields")


@blueprint.route("")
@blueprint.response(200, MappingSchema)
def get_mapping() -> dict[str, Any]:
    """Show the fields that the active mappings make, and since when each counts."""
    held = active(web().context.store)
    return {
        "version": held.number,
        "activated_at": rfc3339(held.activated_at),
        "fields_": rows_of(held),
    }
