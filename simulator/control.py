"""The control API under /simulator: the simulator's clock, faults, people and books.

No lock on this door: serve it on loopback only. All bodies are JSON; a wrong one is answered 400
`{"error": ...}`.

    GET    /simulator/health       {"ok": true}
    GET    /simulator/calls        counts of API calls and webhook POSTs, and events that still wait
    GET    /simulator/settings     `Switches`
    POST   /simulator/settings     some of them
    POST   /simulator/clock        {"advance_seconds": n} or {"set": "2026-01-01T00:00:00Z"}
    POST   /simulator/faults       a `Fault`; GET lists what stands, DELETE clears
    POST   /simulator/interject    an `Interjection`
    POST   /simulator/people/<act> {"list_id", "email", ...} as a human would; see `people.act`
    POST   /simulator/activity     {"rows": n, "seed": s}
    POST   /simulator/authorization  {}: a pair of tokens, as if somebody had authorised the program
    POST   /simulator/credentials  {"api_key": new one} and / or {"revoke_tokens": true}
    GET    /simulator/records      everything, for an independent reckoning; see `records`
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from simulator import activity, people, records, wire
from simulator.errors import ApiError, UnknownPerson
from simulator.faults import Fault, Interjection


class ClockChange(msgspec.Struct, forbid_unknown_fields=True):
    """How to move the clock: one of the two."""

    advance_seconds: float | None = None
    set: datetime | None = None


class Activity(msgspec.Struct, forbid_unknown_fields=True):
    """How much new activity to make."""

    rows: int
    seed: int = 1


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """What stops being valid: the account's key, for a new one, and all tokens."""

    api_key: str | None = None
    revoke_tokens: bool = False


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """Who does something where, with the details that `people.act` knows."""

    list_id: str
    email: str
    name: str | None = None
    values: dict[str, list[str]] | None = None
    new_email: str | None = None
    campaign_id: str | None = None


def control() -> Blueprint:
    """The blueprint with every path of the control API."""
    blueprint = Blueprint("control", __name__, url_prefix="/simulator")
    blueprint.get("/health")(health)
    blueprint.get("/calls")(calls)
    blueprint.route("/settings", methods=["GET", "POST"])(settings)
    blueprint.post("/clock")(clock)
    blueprint.route("/faults", methods=["GET", "POST", "DELETE"])(faults)
    blueprint.post("/interject")(interject)
    blueprint.post("/people/<action>")(act)
    blueprint.post("/activity")(produce)
    blueprint.post("/authorization")(authorization)
    blueprint.post("/credentials")(credentials)
    blueprint.get("/records")(books)
    blueprint.register_error_handler(UnknownPerson, refused)
    blueprint.register_error_handler(ApiError, refused)
    return blueprint


def refused(error: Exception) -> Response:
    """400 with the reason."""
    return wire.reply({"error": str(error)}, 400)


def _sent(kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.DecodeError as error:
        raise msgspec.ValidationError(str(error)) from None


def health() -> Response:
    return wire.reply({"ok": True})


def calls() -> Response:
    simulator = wire.simulator()
    return wire.reply({**simulator.calls.report(), "webhook_pending": simulator.sender.pending()})


def settings() -> Response:
    switches = wire.account().switches
    if request.method == "POST":
        switches.change(_sent(dict[str, Any]))
    return wire.reply(switches)


def clock() -> Response:
    change, running = _sent(ClockChange), wire.account().clock
    if change.set is not None:
        running.set(change.set if change.set.tzinfo else change.set.replace(tzinfo=UTC))
    if change.advance_seconds is not None:
        running.advance(change.advance_seconds)
    wire.account().settle()
    return wire.reply({"now": running.now().isoformat()})


def faults() -> Response:
    standing = wire.simulator().faults
    if request.method == "POST":
        standing.add(_sent(Fault))
    if request.method == "DELETE":
        standing.clear()
    return _standing()


def interject() -> Response:
    wire.simulator().faults.interject(_sent(Interjection))
    return _standing()


def _standing() -> Response:
    standing = wire.simulator().faults
    return wire.reply({"faults": standing.faults, "interjections": standing.interjections})


def act(action: str) -> Response:
    if action not in people.ACTIONS:
        return wire.reply({"error": f"known actions: {', '.join(sorted(people.ACTIONS))}"}, 404)
    sent = _sent(Act)
    people.act(wire.account(), action, sent.list_id, sent.email, msgspec.structs.asdict(sent))
    return wire.reply({"ok": True})


def produce() -> Response:
    order = _sent(Activity)
    return wire.reply(activity.produce(wire.account(), order.rows, order.seed))


def authorization() -> Response:
    tokens = wire.simulator().tokens
    return wire.reply(tokens.exchange(tokens.code()))


def credentials() -> Response:
    change = _sent(Credentials)
    if change.api_key:
        wire.account().api_key = change.api_key
    if change.revoke_tokens:
        wire.simulator().tokens.revoke()
    return wire.reply({"ok": True})


def books() -> Response:
    return wire.reply(records.records(wire.account()))
