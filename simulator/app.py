"""The Flask program: authentication, faults, the lock, and the errors' bodies."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from simulator import control, people, wire
from simulator.calls import endpoint_name
from simulator.errors import ApiError
from simulator.faults import Fault
from simulator.routes import blueprints
from simulator.routes.oauth import oauth
from simulator.simulation import Simulator

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# The WSGI server closes the connection without an answer when an app leaves this in the environment.
DROP = "simulator.drop"
# It closes the connection half-way through the answer, or takes so many seconds to send it.
CUT, DRIP = "simulator.cut", "simulator.drip"
_VERSIONED = re.compile(r"/api/v3(\.\d)?/")


class SimulatorApp(Flask):
    """Runs each view under the account's lock, faults around it."""

    def dispatch_request(self) -> Any:
        """Answer one request; see `Fault` for what may come between."""
        simulator = wire.simulator()
        rule = request.url_rule
        if request.path.startswith("/api/"):
            return self._api_call(simulator)
        if rule is None or getattr(self.view_functions[rule.endpoint], "unlocked", False):
            return super().dispatch_request()
        with simulator.account.lock:
            return super().dispatch_request()

    def _api_call(self, simulator: Simulator) -> Any:
        g.only_client = self._authenticate(simulator)
        allowed, g.rate_headers = simulator.rates.take()
        if not allowed:
            raise ApiError(429)
        call, began = f"{request.method} {request.path}", time.monotonic()
        fault = simulator.faults.for_call(call)
        if fault is not None:
            answer = _instead(fault)
            if answer is not None:
                return answer
        try:
            return self._apply(simulator, call)
        finally:
            if fault is not None and fault.kind == "slow-after":
                time.sleep(max(0.0, began + fault.seconds - time.monotonic()))
            if fault is not None and fault.kind == "drop-after":
                request.environ[DROP] = True
            if fault is not None and fault.kind == "cut":
                request.environ[CUT] = True
            if fault is not None and fault.kind == "drip":
                request.environ[DRIP] = fault.seconds

    def _apply(self, simulator: Simulator, call: str) -> Any:
        rule = request.url_rule
        if rule is None:
            raise ApiError(404)
        g.version = (request.view_args or {}).pop("version", "v3.3")
        if getattr(self.view_functions[rule.endpoint], "unlocked", False):
            return super().dispatch_request()
        with simulator.account.lock:
            simulator.account.settle()
            _interject(simulator, call)
            return super().dispatch_request()

    @staticmethod
    def _authenticate(simulator: Simulator) -> str | None:
        """The client that the key is limited to; None for the account's key.

        Raises `ApiError` 100, 120, 121 or 122, before any path is looked at, and 404 for another API version.
        """
        if not _VERSIONED.match(request.path):
            raise ApiError(404)
        bearer = request.headers.get("Authorization", "")
        if bearer.startswith("Bearer "):
            simulator.tokens.check(bearer.removeprefix("Bearer "))
            return None
        key = (request.authorization.username if request.authorization else "") or ""
        with simulator.account.lock:
            if key == simulator.account.api_key:
                return None
            for client in simulator.account.clients.values():
                if key == client.api_key:
                    return client.client_id
        raise ApiError(100)


def _instead(fault: Fault) -> Response | None:
    """What a fault answers instead of applying the call; None if the call goes on."""
    if fault.kind == "drop-before":
        request.environ[DROP] = True
        return wire.done()
    if fault.kind == "504-html":
        page = (
            "<html><head><title>504 Gateway Time-out</title></head><body>504 Gateway Time-out</body></html>"
        )
        return Response(page, 504, content_type="text/html")
    if fault.kind == "401-permission":
        return _error(ApiError(60))
    if fault.kind == "401-hidden":
        return _error(ApiError(102))
    if fault.kind == "200-html":
        return Response("<html><body>We'll be back soon</body></html>", 200, content_type="text/html")
    if fault.kind == "500":
        return _error(ApiError(500))
    if fault.kind in ("429", "429-headers"):
        answer = _error(ApiError(429))
        if fault.kind == "429-headers":
            answer.headers["X-RateLimit-Limit"] = "60"
            answer.headers["X-RateLimit-Remaining"] = "0"
            answer.headers["X-RateLimit-Reset"] = f"{fault.seconds:g}"
        return answer
    if fault.kind == "slow":
        time.sleep(fault.seconds)
    return None


def _interject(simulator: Simulator, call: str) -> None:
    order = simulator.faults.interjection(call)
    if order is None or "list_id" not in (request.view_args or {}):
        return
    sent = wire.body()
    rows = wire.rows_of(sent.get("subscribers")) or [sent]
    emails = [wire.text(row, "emailaddress") for row in rows]
    target = wire.list_of(str((request.view_args or {})["list_id"]))
    people.interject(simulator.account, target, emails, order.action, order.people)


def _error(error: ApiError) -> Response:
    return wire.reply(error.body(), error.status)


def _http_error(error: HTTPException) -> Response:
    if request.path.startswith("/api/"):
        return _error(ApiError(404))
    return wire.reply({"error": error.description}, error.code or 500)


def _count(response: Response) -> Response:
    if request.path.startswith("/api/"):
        for name, value in g.get("rate_headers", {}).items():
            response.headers.setdefault(name, value)
        rule = request.url_rule.rule if request.url_rule else None
        status = "dropped" if request.environ.get(DROP) else str(response.status_code)
        wire.simulator().calls.count(endpoint_name(request.method, rule), status)
    return response


def make_app(simulator: Simulator) -> WSGIApplication:
    """The WSGI program that serves one simulator."""
    program = _program()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[wire.SIMULATOR] = simulator
        return program(environ, start_response)

    return app


@cache
def _program() -> Flask:
    """The routes, made once for all simulators of a process: that takes some 50 ms."""
    app = SimulatorApp(__name__, static_folder=None)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    app.register_blueprint(oauth())
    app.register_blueprint(control.control())
    app.register_error_handler(ApiError, _error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(msgspec.ValidationError, control.refused)
    app.after_request(_count)
    return app
