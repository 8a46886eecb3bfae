"""Authorizations: the credentials of accounts. A secret goes in and never comes out."""

from __future__ import annotations

import re
from typing import Any, get_args
from urllib.parse import urlsplit

from marshmallow import Schema, fields, validate

from listbridge import authorizations
from listbridge.aggregation.kinds import rfc3339
from listbridge.audiences import Fault
from listbridge.authorizations import Authorization, Credential
from listbridge.workflows import service
from listbridge.workflows.schemas import AuthorizationSchema
from listbridge.workflows.service import AuthorizationInUse
from settings import check_web_url
from webhooks.arguments import Blueprint
from webhooks.errors import Refusal
from webhooks.wiring import web

blueprint = Blueprint(
    "authorizations", __name__, url_prefix="/v1/authorizations", description="Credentials of accounts"
)


class StoredAuthorizationSchema(Schema):
    """An authorization without its secret."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    credential = fields.String(required=True, validate=validate.OneOf(get_args(Credential)))
    description = fields.String(required=True)
    base_url = fields.String(required=True)
    created_at = fields.String(required=True, metadata={"format": "date-time"})


class AuthorizationsSchema(Schema):
    authorizations = fields.List(fields.Nested(StoredAuthorizationSchema), required=True)


@blueprint.route("", methods=["POST"])
@blueprint.arguments(AuthorizationSchema)
@blueprint.response(201, StoredAuthorizationSchema)
def create(values: dict[str, Any]) -> dict[str, Any]:
    """Store a credential, encrypted."""
    context = web().context
    made = authorizations.create(
        context.store,
        context.secrets,
        secret=values["api_key"],
        description=values["description"],
        base_url=checked_url(values["base_url"], context.settings.api_base_url),
    )
    return shown(made)


@blueprint.route("")
@blueprint.response(200, AuthorizationsSchema)
def list_all() -> dict[str, Any]:
    """List the authorizations, oldest first."""
    return {"authorizations": [shown(each) for each in authorizations.list_all(web().context.store)]}


@blueprint.route("/<authorization_id>")
@blueprint.response(200, StoredAuthorizationSchema)
@blueprint.alt_response(404, "NOT_FOUND")
def get(authorization_id: str) -> dict[str, Any]:
    """Show one authorization."""
    return shown(authorizations.get(web().context.store, authorization_id))


@blueprint.route("/<authorization_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def delete(authorization_id: str) -> None:
    """Delete a credential that no workflow uses."""
    try:
        service.delete_authorization(web().context, authorization_id)
    except AuthorizationInUse as problem:
        raise Refusal(409, str(problem)) from problem


def shown(authorization: Authorization) -> dict[str, Any]:
    """Everything but the secret, the time as text."""
    return authorization.public() | {"created_at": rfc3339(authorization.created_at)}


SERVICE = "createsend.com"
"""The domain of Campaign Monitor's API."""
_OWN_HOST = re.compile(rf"(?:[a-z0-9-]+\.)*{re.escape(SERVICE)}")


def checked_url(wanted: str | None, configured: str) -> str:
    """The API address that calls will be sent to: the configured one, or another of the service itself.

    Who holds a token of ours must not choose any place at all: it may be one that only this machine can
    reach. Raises `Refusal` (422).
    """
    url = (wanted or configured).rstrip("/")
    if url != configured.rstrip("/") and not _is_of_service(url):
        right = (
            f"{configured}, or https:// and a host of {SERVICE}; others are set as LISTBRIDGE_API_BASE_URL"
        )
        raise Refusal(422, "the body is not as it should be", [Fault("$.base_url", right)])
    return url


def _is_of_service(url: str) -> bool:
    try:
        check_web_url(url)
    except ValueError:
        return False
    parts = urlsplit(url)
    host = parts.hostname or ""
    # Who reads `https://elsewhere\.createsend.com` otherwise than we do goes elsewhere.
    return parts.scheme == "https" and bool(_OWN_HOST.fullmatch(host)) and parts.port in (None, 443)
