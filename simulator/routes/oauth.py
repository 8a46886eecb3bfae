"""/oauth: authorise, exchange, refresh; every request is approved."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from simulator import wire


def oauth() -> Blueprint:
    """The blueprint with /oauth and /oauth/token."""
    blueprint = Blueprint("oauth", __name__, url_prefix="/oauth")
    blueprint.get("")(authorise)
    blueprint.post("/token")(token)
    return blueprint


def authorise() -> BaseResponse:
    query = wire.query()
    back = query.get("redirect_uri", "")
    if not back or not query.get("client_id"):
        return wire.reply({"error": "invalid_request"}, 400)
    answer = {"code": wire.simulator().tokens.code()}
    if query.get("state"):
        answer["state"] = query["state"]
    return redirect(f"{back}{'&' if '?' in back else '?'}{urlencode(answer)}")


def token() -> Response:
    # Some clients send the parameters in the query string.
    sent = {**request.args.to_dict(), **request.form.to_dict()}
    tokens = wire.simulator().tokens
    if sent.get("grant_type") == "refresh_token":
        found, what = tokens.refresh(sent.get("refresh_token", "")), "refresh_token"
    else:
        found, what = tokens.exchange(sent.get("code", "")), "code"
    if found is None:
        reason = f"Specified {what} was invalid or expired"
        return wire.reply({"error": "invalid_grant", "error_description": reason}, 400)
    return wire.reply(found)
