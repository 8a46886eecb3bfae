"""The receiver of Campaign Monitor's webhooks.

Its webhooks are unsigned, so the token in the path is the lock. Behind a valid token only a body
that is too large or not JSON is refused; what can't be read is set aside, because refusing it would
bring it back for a week and then switch the webhook off. When the store can't be used the answer is
503, and the delivery comes again.
"""

from __future__ import annotations

from flask import Response, request

from listbridge.campaign_monitor import incoming
from listbridge.campaign_monitor.webhooks import Receiver
from webhooks.answers import answer, counted
from webhooks.arguments import Blueprint
from webhooks.bodies import read_body
from webhooks.errors import Refusal
from webhooks.openapi import OPEN, events_doc
from webhooks.wiring import ring, web

blueprint = Blueprint(
    "receivers", __name__, url_prefix="/webhooks", description="Receivers of other systems' webhooks"
)


XML = (
    "only JSON is read: run the import (`listbridge import run`), which makes its webhooks post JSON, or "
    "make the webhook again with PayloadFormat json"
)


@blueprint.route("/campaign-monitor/<workflow_id>/<token>", methods=["POST"])
@blueprint.doc(**events_doc("Delivery", 200, security=OPEN))
def deliver(workflow_id: str, token: str) -> Response:
    """Take a delivery of an import's webhook."""
    receiver = _admitted(workflow_id, token)
    if request.content_type and not request.is_json:
        raise Refusal(415, XML)
    here = web()
    counts = incoming.receive(here.context.store, receiver.account, read_body())
    if counts.rang:
        ring(here.bells.fold)
    return counted(counts, 200)


@blueprint.route("/campaign-monitor/<workflow_id>/<token>", methods=["GET"])
@blueprint.doc(security=OPEN, responses={"200": {"description": "A delivery would be taken"}})
@blueprint.alt_response(401, "UNAUTHORIZED")
def probe(workflow_id: str, token: str) -> Response:
    """Say whether a delivery would be taken."""
    _admitted(workflow_id, token)
    return answer({"status": "ok"})


def _admitted(workflow_id: str, token: str) -> Receiver:
    """The import's receiver. Raises `Refusal` (401) that doesn't tell what of both is wrong."""
    receiver = web().receivers.admitted(workflow_id, token)
    if receiver is None:
        raise Refusal(401, "no webhook is received at this address")
    return receiver
