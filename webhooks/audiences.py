"""Audiences: events of who enters and leaves, and how many are in each."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from listbridge import audiences
from listbridge.store.store import now_ms
from webhooks.answers import answer, counted
from webhooks.arguments import Blueprint
from webhooks.bodies import audience_events, read_body, require_json
from webhooks.openapi import events_doc
from webhooks.wiring import ring, web

blueprint = Blueprint("audiences", __name__, url_prefix="/v1/audiences", description="Audiences")


class AudienceSchema(Schema):
    """An audience and how many are in it, as far as the events are folded."""

    audience = fields.String(required=True)
    size = fields.Integer(required=True)


class AudiencesSchema(Schema):
    audiences = fields.List(fields.Nested(AudienceSchema), required=True)


@blueprint.route("/events", methods=["POST"])
@blueprint.doc(**events_doc("AudienceEvents", 202))
def post_events() -> Response:
    """Tell who entered and left audiences.

    At most 1000 events, stored all or, when one has a fault, none. An event that was stored before
    counts as a duplicate, so a call without an answer is repeated as it was.
    """
    require_json()
    events = audience_events(read_body(), now_ms())
    here = web()
    counts = audiences.receive(here.context.store, events)
    if counts.rang:
        ring(here.bells.fold)
    return counted(counts, 202)


@blueprint.route("")
@blueprint.response(200, AudiencesSchema)
def list_audiences() -> dict[str, Any]:
    """List every audience that anybody is in, with its size."""
    sizes = audiences.sizes(web().context.store)
    return {"audiences": [{"audience": slug, "size": size} for slug, size in sizes.items()]}


@blueprint.route("/<rest:slug>")
@blueprint.alt_response(200, schema=AudienceSchema, success=True)
def get_audience(slug: str) -> Response:
    """Say how many are in an audience; 0 when nobody is, or no event named it."""
    return answer({"audience": slug, "size": audiences.size_of(web().context.store, slug)})
