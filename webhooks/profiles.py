"""Profiles: what is known of one person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from listbridge.aggregation.kinds import rfc3339
from listbridge.erasure.erasing import Erased
from listbridge.jobs import forget as job
from listbridge.profiles.reading import profile_of
from webhooks.answers import answer
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.openapi import ErrorSchema
from webhooks.wiring import web

PATIENCE_SECONDS = 20.0
"""How long a request waits for a delivery or an archiving that is under way."""

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


class WishesSchema(Schema):
    delete_from_lists = fields.Boolean(
        load_default=False, metadata={"description": "Delete them from all lists in Campaign Monitor, too."}
    )
    suppress = fields.Boolean(
        load_default=False, metadata={"description": "Have Campaign Monitor never send to them again."}
    )


class ErasedSchema(Schema):
    """What was erased of one address. It names nobody; `place` is what kind of record was found."""

    person = fields.String(required=True, metadata={"description": "A keyed hash of the address."})
    at = fields.String(
        required=True,
        metadata={"format": "date-time", "description": "What happened until then can't come back."},
    )
    found = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": "By place."}
    )
    remaining = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    kept = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    outside = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    complete = fields.Boolean(required=True)


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


@blueprint.route("/<rest:email>", methods=["DELETE"])
@blueprint.arguments(WishesSchema, location="query")
@blueprint.alt_response(200, schema=ErasedSchema(many=True), success=True)
@blueprint.alt_response(422, schema=ErrorSchema, description="No e-mail address, or a wrong parameter")
@blueprint.alt_response(502, "BAD_GATEWAY")
@blueprint.alt_response(503, "SERVICE_UNAVAILABLE")
def forget_profile(wishes: Mapping[str, bool], email: str) -> Response:
    """Erase a person everywhere; the proof for each of their addresses. 503: ask again."""
    context = web().context
    try:
        people = job.keys_of(context, email)
    except job.NoAddress as problem:
        raise Refusal(422, str(problem)) from None
    done = job.forget(context, people, job.Wishes(**wishes), patience_seconds=PATIENCE_SECONDS)
    if not all(each.complete for each in done):
        raise Refusal(503, "something is left of the person: ask again", headers={"Retry-After": "5"})
    return answer([_shown(each) for each in done])


def _shown(each: Erased) -> dict[str, Any]:
    return {
        "person": each.person,
        "at": rfc3339(each.at),
        "found": each.found,
        "remaining": each.remaining,
        "kept": each.kept,
        "outside": each.outside,
        "complete": each.complete,
    }
