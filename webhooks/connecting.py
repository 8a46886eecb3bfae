"""Connecting an account by OAuth: a person is sent to Campaign Monitor, and comes back with a code.

Who comes back needs no token of ours: the state in the address is the lock, works once, and is known
only to whom began.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request
from marshmallow import Schema, fields, validate

from listbridge.campaign_monitor import connecting
from listbridge.campaign_monitor.connecting import CALLBACK
from listbridge.errors import Fatal, Retriable
from webhooks.arguments import Blueprint
from webhooks.authorizations import checked_url
from webhooks.errors import Refusal
from webhooks.openapi import OPEN
from webhooks.wiring import web

blueprint = Blueprint("connecting", __name__, description="Credentials of accounts")

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ConnectSchema(Schema):
    """An application that was registered in the account, and what the authorization is to be called."""

    description = fields.String(required=True, validate=validate.Length(min=1, max=200))
    client_id = fields.String(required=True, validate=validate.Length(min=1, max=200))
    client_secret = fields.String(required=True, validate=validate.Length(min=1, max=500), load_only=True)
    base_url = fields.Url(schemes={"http", "https"}, require_tld=False, load_default=None, allow_none=True)
    redirect_uri = fields.Url(
        schemes={"http", "https"},
        require_tld=False,
        load_default="",
        metadata={"description": f"Where the person comes back; default: LISTBRIDGE_PUBLIC_URL{CALLBACK}."},
    )


class ConnectingSchema(Schema):
    authorize_url = fields.String(
        required=True, metadata={"description": "Where a person grants access, within 15 minutes."}
    )


@blueprint.route("/v1/authorizations/connect", methods=["POST"])
@blueprint.arguments(ConnectSchema)
@blueprint.response(201, ConnectingSchema)
@blueprint.alt_response(409, "CONFLICT")
def connect(values: dict[str, Any]) -> dict[str, str]:
    """Begin: answers where a person grants access. The authorization is there once they came back."""
    context = web().context
    base_url = checked_url(values.pop("base_url"), context.settings.api_base_url)
    try:
        url, _ = connecting.begin(context, base_url=base_url, **values)
    except (connecting.NoWayBack, connecting.DescriptionTaken) as problem:
        raise Refusal(409, str(problem)) from None
    return {"authorize_url": url}


@blueprint.route(CALLBACK, methods=["GET"])
@blueprint.doc(
    security=OPEN,
    responses={"200": {"description": "The account is connected"}, "400": {"description": "It is not"}},
)
def callback() -> Response:
    """Where Campaign Monitor sends the person back to."""
    context, state = web().context, request.args.get("state", "")
    if error := request.args.get("error"):
        connecting.forget(context, state)
        return _page(f"Access was not granted: {error[:100]!r}. Nothing was changed.", 400)
    try:
        made = connecting.finish(context, state, request.args.get("code", ""))
    except Fatal as problem:
        return _page(f"Not connected: {problem}", 400)
    except Retriable as problem:
        return _page(f"Not connected: {problem}. Begin again in a minute.", 502)
    return _page(f"{made.description!r} is connected. You can close this window.", 200)


def _page(text: str, status: int) -> Response:
    """Plain text: what came with the address is shown as it is, and nothing in it can act."""
    return Response(text + "\n", status, _HEADERS, content_type="text/plain; charset=utf-8")
