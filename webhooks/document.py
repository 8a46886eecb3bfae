"""The OpenAPI document of this API."""

from __future__ import annotations

from flask import Response, current_app

from webhooks.answers import answer
from webhooks.arguments import Blueprint

blueprint = Blueprint("document", __name__, url_prefix="/v1", description="The description of this API")


@blueprint.route("/openapi.json")
@blueprint.doc(responses={"200": {"description": "OpenAPI 3.1"}, "default": "DEFAULT_ERROR"})
def openapi() -> Response:
    """Show this document."""
    api = current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    return answer(api.spec.to_dict())
