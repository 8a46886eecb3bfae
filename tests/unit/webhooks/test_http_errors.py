"""Every error is JSON, and no log line holds an address or a token."""

import dataclasses
import logging

import pytest
import redis

from listbridge.store.store import Store
from webhooks import audiences, profiles
from webhooks.app import create_app

ADDRESS = "ada@example.com"


def error(answer):
    return answer.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/workflows/", 404),
        ("GET", "//v1/workflows", 404),
        ("GET", "/static/app.py", 404),
        ("POST", "/healthz", 405),
        ("PUT", "/v1/audiences", 405),
        ("DELETE", "/webhooks/campaign-monitor/w1/right", 405),
    ],
)
def test_what_is_not_there_is_told_as_json(client, method, path, status):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert error(answer).keys() == {"status", "message"}
    assert error(answer)["status"] == status
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/audiences"),
        ("GET", "/v1/audiences/vip"),
        ("GET", f"/v1/profiles/{ADDRESS}"),
        ("GET", "/v1/authorizations"),
        ("GET", "/v1/workflows"),
        ("GET", "/v1/workflows/w1/log"),
        ("POST", "/v1/workflows/w1/pause"),
        ("DELETE", "/v1/workflows/w1"),
    ],
)
def test_a_store_that_fails_is_503_everywhere(client, break_store, caplog, method, path):
    break_store(redis.ConnectionError(f"while storing {ADDRESS}"))
    answer = client.open(path, method=method)
    assert (answer.status_code, error(answer)["status"]) == (503, 503)
    assert answer.headers["Retry-After"] == "5"
    assert "ConnectionError" in caplog.text
    assert ADDRESS not in caplog.text


def test_events_that_could_not_be_stored_can_be_sent_again(client, break_store, monkeypatch):
    body = {
        "events": [
            {"email": ADDRESS, "audience": "vip", "event": "enter", "timestamp": "2026-01-02T03:04:05Z"}
        ]
    }
    break_store(redis.TimeoutError())
    assert client.post("/v1/audiences/events", json=body).status_code == 503
    monkeypatch.undo()
    assert client.post("/v1/audiences/events", json=body).json["accepted"] == 1


def test_what_nobody_expected_is_500_and_the_log_says_where_but_not_what(client, monkeypatch, caplog):
    def fail(*_, **__):
        raise ValueError(f"{ADDRESS} is odd")

    monkeypatch.setattr(profiles, "profile_of", fail)
    caplog.set_level(logging.INFO)
    answer = client.get(f"/v1/profiles/{ADDRESS}")
    assert (answer.status_code, error(answer)["status"]) == (500, 500)
    assert ADDRESS not in answer.text
    assert "GET /v1/profiles/<rest:email> failed: ValueError in fail, line " in caplog.text
    assert ADDRESS not in caplog.text


def test_the_whole_error_is_logged_at_debug(client, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("odd")

    monkeypatch.setattr(audiences.audiences, "size_of", fail)
    caplog.set_level(logging.DEBUG)
    client.get("/v1/audiences/vip")
    assert "ValueError: odd" in caplog.text


def test_no_request_leaves_an_address_or_a_token_in_the_log(client, import_receiver, caplog):
    caplog.set_level(logging.INFO)
    client.get(f"/v1/profiles/{ADDRESS}")
    client.post(import_receiver, json={"ListID": "l1", "Events": [{"EmailAddress": ADDRESS}]})
    client.post("/v1/audiences/events", json={"events": [{"email": ADDRESS}]})
    client.get("/webhooks/campaign-monitor/w1/wrong")
    assert ADDRESS not in caplog.text
    assert "right" not in caplog.text
    assert "wrong" not in caplog.text


def test_full_streams_are_answered_503_with_the_reason(api_context):
    narrow = Store(api_context.store.client, 16, stream_limit_events=1)
    told = create_app(dataclasses.replace(api_context, store=narrow), lambda: None).test_client()
    events = [
        {"email": "ann@x.se", "audience": "vip", "event": "enter", "timestamp": f"2026-01-02T03:04:0{n}Z"}
        for n in range(2)
    ]
    headers = {"Authorization": f"Bearer {api_context.settings.api_tokens[0]}"}

    first, second = (
        told.post("/v1/audiences/events", json={"events": [event]}, headers=headers) for event in events
    )

    assert (first.status_code, second.status_code) == (202, 503)
    assert int(second.headers["Retry-After"]) > 0
    assert "LISTBRIDGE_STREAM_LIMIT_EVENTS is 1" in second.json["error"]["message"]
