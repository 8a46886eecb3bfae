"""Profiles: what is known of one person."""

from __future__ import annotations

from flask import Response
from marshmallow import Schema, fields

from listbridge.profiles.reading import profile_of
from webhooks.answers import answer
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.wiring import web

blueprint = Blueprint("profiles", __name__, url_prefix="/v1/profiles", description="Profiles of people")


class ProfileSchema(Schema):
    """A person, as far as the events are folded. A field that was never set is absent."""

    key = fields.String(required=True, metadata={"description": "The newest address, in lower case."})
    fields_ = fields.Dict(
        keys=fields.String(),
        required=True,
        data_key="fields",
        metadata={"description": "By the mappings' names; times are RFC 3339, UTC, with milliseconds."},
    )
    audiences = fields.List(fields.String(), required=True, metadata={"description": "Slugs, sorted."})
    linked = fields.List(
        fields.String(), metadata={"description": "Other addresses of the person, sorted; absent if none."}
    )
    updated_at = fields.DateTime(
        required=True, format="iso", metadata={"description": "The newest event's time."}
    )


@blueprint.route("/<rest:email>")
@blueprint.alt_response(200, schema=ProfileSchema, success=True)
@blueprint.alt_response(404, "NOT_FOUND")
def get_profile(email: str) -> Response:
    """Show what is known of the person with an e-mail address."""
    context = web().context
    found = profile_of(context.store, context.programs, email, history=context.archive)
    if found is None:
        raise Refusal(404, "nothing is known of this address")
    return answer(found)
