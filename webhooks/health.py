"""Is everything there that a request needs? For load balancers and health checks, without a lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Response
from marshmallow import Schema, fields
from redis import RedisError

from webhooks.answers import answer
from webhooks.arguments import Blueprint
from webhooks.openapi import OPEN
from webhooks.wiring import web

blueprint = Blueprint("health", __name__, description="Whether the service can work")


class HealthSchema(Schema):
    status = fields.String(required=True, metadata={"description": "ok or failing"})
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "What was tried: ok, or the kind of error."},
    )


@blueprint.route("/healthz")
@blueprint.doc(security=OPEN)
@blueprint.alt_response(200, schema=HealthSchema, success=True)
@blueprint.alt_response(503, schema=HealthSchema, description="Something that is needed fails")
def healthz() -> Response:
    """Say whether the service can work, and what fails."""
    checks = tried({"store": web().context.store.ping})
    well = all(outcome == "ok" for outcome in checks.values())
    return answer({"status": "ok" if well else "failing", "checks": checks}, 200 if well else 503)


def tried(checks: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """`ok` or the kind of error of each check, without its text, which can hold addresses of servers."""
    outcomes = {}
    for name, check in checks.items():
        try:
            check()
        except (RedisError, OSError) as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "ok"
    return outcomes
