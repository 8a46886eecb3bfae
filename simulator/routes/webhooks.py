"""/lists/{id}/webhooks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Blueprint, Response

from simulator import wire
from simulator.account import Webhook
from simulator.errors import ApiError
from simulator.webhooks import INACTIVE, payload, post

EVENTS = ("Subscribe", "Deactivate", "Update")
FORMATS = {"json": "Json", "xml": "Xml"}


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.get("/lists/<list_id>/webhooks.json")(webhooks)
    api.post("/lists/<list_id>/webhooks.json")(create)
    api.get("/lists/<list_id>/webhooks/<webhook_id>/test.json")(test)
    api.put("/lists/<list_id>/webhooks/<webhook_id>/activate.json")(activate)
    api.put("/lists/<list_id>/webhooks/<webhook_id>/deactivate.json")(deactivate)
    api.delete("/lists/<list_id>/webhooks/<webhook_id>.json")(delete)


def webhooks(list_id: str) -> Response:
    return wire.reply(
        [
            {
                "WebhookID": hook.webhook_id,
                "Events": hook.events,
                "Url": hook.url,
                "Status": hook.status,
                "PayloadFormat": hook.payload_format,
            }
            for hook in wire.list_of(list_id).webhooks.values()
        ]
    )


def create(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    url = wire.text(sent, "url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError(601)
    payload_format = FORMATS.get(wire.text(sent, "payloadformat").lower())
    if payload_format is None:
        raise ApiError(602)
    wanted = [str(event).lower() for event in sent.get("events") or []]
    events = [event for event in EVENTS if event.lower() in wanted]
    if not events or len(events) != len(set(wanted)):
        raise ApiError(603)
    hook = Webhook(wire.account().new_id(), list_id, events, url, payload_format)
    target.webhooks[hook.webhook_id] = hook
    return wire.created(hook.webhook_id)


def _hook(list_id: str, webhook_id: str) -> Webhook:
    hook = wire.list_of(list_id).webhooks.get(webhook_id)
    if hook is None:
        raise ApiError(404)
    return hook


def test(list_id: str, webhook_id: str) -> Response:
    account = wire.account()
    with account.lock:
        hook = _hook(list_id, webhook_id)
        target = wire.list_of(list_id)
        body = payload(list_id, _samples(hook, account.moment(target.client).minute))
    wire.simulator().calls.count_post(len(hook.events))
    try:
        answer = post(hook.url, body, account.switches.webhook_timeout_seconds)
    except requests.RequestException as error:
        raise ApiError(610, _failure(type(error).__name__, "", "", "")) from None
    if not answer.ok:
        data = _failure("ProtocolError", answer.reason, str(answer.status_code), answer.text[:1000])
        raise ApiError(610, data)
    return wire.done()


# The one call that waits for somebody else, who may call back: it takes the lock by itself.
test.unlocked = True  # type: ignore[attr-defined]


def _failure(status: str, message: str, code: str, response: str) -> dict[str, str]:
    return {
        "FailureStatus": status,
        "FailureResponseMessage": message,
        "FailureResponseCode": code,
        "FailureResponse": response,
    }


def _samples(hook: Webhook, date: str) -> list[dict[str, Any]]:
    person = {"EmailAddress": "test@example.org", "Name": "Test Subscriber"}
    base = {"CustomFields": [], "Date": date}
    samples = {
        "Subscribe": {**base, **person, "SignupIPAddress": "100.64.1.1", "Type": "Subscribe"},
        "Update": {
            **base,
            "OldEmailAddress": "test.old@example.org",
            **person,
            "State": "Active",
            "Type": "Update",
        },
        "Deactivate": {**base, **person, "State": "Unsubscribed", "Type": "Deactivate"},
    }
    return [samples[event] for event in hook.events]


def activate(list_id: str, webhook_id: str) -> Response:
    hook = _hook(list_id, webhook_id)
    hook.status, hook.failures, hook.failing_since, hook.retry_at = "Active", 0, None, 0.0
    return wire.done()


def deactivate(list_id: str, webhook_id: str) -> Response:
    _hook(list_id, webhook_id).status = INACTIVE
    return wire.done()


def delete(list_id: str, webhook_id: str) -> Response:
    hook = _hook(list_id, webhook_id)
    hook.status = INACTIVE
    del wire.list_of(list_id).webhooks[webhook_id]
    return wire.done()
