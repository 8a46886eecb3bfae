import json
from io import BytesIO

import pytest
from celery.exceptions import OperationalError

from listbridge.store.store import now_ms
from listbridge.streams.log import tail
from listbridge.streams.schemas import AUDIENCE
from webhooks.app import create_app

URL = "/v1/audiences/events"
EVENT = {"email": "Ada@Example.com", "audience": "vip", "event": "enter", "timestamp": "2026-01-02T03:04:05Z"}


def changed(**changes):
    return {**EVENT, **changes}


def without(name):
    return {key: value for key, value in EVENT.items() if key != name}


def stored(store):
    return [json.loads(line) for _, line in tail(store, "stream", AUDIENCE, 2000)]


def faults(answer):
    return [(fault["path"], fault["message"]) for fault in answer.json["error"]["faults"]]


def test_an_event_is_stored_with_everything_it_says(client, fake_store):
    event = changed(
        event="exit",
        timestamp="2026-01-02T05:04:05.678+02:00",
        fields={"plan": "gold", "seats": 3, "trial": False, "left": None},
        opted_in_at="2025-12-31T23:00:00Z",
    )
    answer = client.post(URL, json={"events": [event]})
    assert (answer.status_code, answer.json) == (202, {"accepted": 1, "duplicates": 0, "quarantined": 0})
    (line,) = stored(fake_store)
    received = line.pop("_received")
    assert abs(received - now_ms()) < 60_000
    assert len(line.pop("_id")) == 24
    assert line == {
        "_time": 1767323045678,
        "_key": "ada@example.com",
        "email": "Ada@Example.com",
        "audience": "vip",
        "event": "exit",
        "fields": [{"k": "plan", "v": "gold"}, {"k": "seats", "v": "3"}, {"k": "trial", "v": "false"}],
        "opted_in_at": 1767222000000,
    }


def test_an_event_that_was_stored_before_is_a_duplicate(client, fake_store):
    body = {"events": [EVENT, EVENT, changed(event="exit")]}
    assert client.post(URL, json=body).json == {"accepted": 2, "duplicates": 1, "quarantined": 0}
    assert client.post(URL, json=body).json == {"accepted": 0, "duplicates": 3, "quarantined": 0}
    assert len(stored(fake_store)) == 2


def test_an_event_of_nobody_is_set_aside_and_the_others_are_stored(client, fake_store):
    body = {"events": [changed(email="nobody"), EVENT]}
    assert client.post(URL, json=body).json == {"accepted": 1, "duplicates": 0, "quarantined": 1}
    assert len(tail(fake_store, "quarantine", AUDIENCE, 10)) == 1


def test_a_fold_is_asked_for_once_until_it_has_begun(client, rung):
    client.post(URL, json={"events": [EVENT]})
    client.post(URL, json={"events": [changed(event="exit")]})
    client.post(URL, json={"events": [EVENT]})
    assert rung == [("fold",)]


def test_a_broker_that_fails_does_not_fail_what_is_stored(api_context, fake_store, caplog):
    def ring():
        raise OperationalError("redis://:secret@broker")

    client = create_app(api_context, ring).test_client()
    answer = client.post(
        URL,
        json={"events": [EVENT]},
        headers={"Authorization": f"Bearer {api_context.settings.api_tokens[0]}"},
    )
    assert answer.status_code == 202
    assert len(stored(fake_store)) == 1
    assert "a worker could not be asked (OperationalError); the sweep finds the work" in caplog.text
    assert "secret" not in caplog.text


def test_no_events_are_fine(client, rung):
    assert client.post(URL, json={"events": []}).json == {"accepted": 0, "duplicates": 0, "quarantined": 0}
    assert rung == []


MALFORMED = [
    b"",
    b"{",
    b"nonsense",
    b'{"events": [}',
    b'{"events": []} and more',
    b'{"events": [{"email": "\xff"}]}',
    json.dumps({"events": [EVENT]}).encode()[:-1],
    json.dumps({"events": [EVENT]}).encode("utf-16"),
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_not_json_is_refused_and_nothing_is_stored(client, fake_store, body):
    answer = client.post(URL, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"]["faults"]
    assert stored(fake_store) == []


def test_what_is_nested_too_deeply_is_refused(client):
    body = b'{"events": [{"fields": ' + b'{"a": ' * 2_000 + b"1" + b"}" * 2_000 + b"}]}"
    answer = client.post(URL, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert faults(answer) == [("$", "nested too deeply")]


SHAPES = [
    ([], [("$", "Expected `object`, got `array`")]),
    ("text", [("$", "Expected `object`, got `str`")]),
    ({}, [("$", "Object missing required field `events`")]),
    ({"events": {}}, [("$.events", "Expected `array`, got `object`")]),
    ({"events": [], "more": 1}, [("$", "Object contains unknown field `more`")]),
    ({"events": [1]}, [("$.events[0]", "Expected `object`, got `int`")]),
    ({"events": [without("email")]}, [("$.events[0]", "Object missing required field `email`")]),
    ({"events": [without("timestamp")]}, [("$.events[0]", "Object missing required field `timestamp`")]),
    ({"events": [changed(extra=1)]}, [("$.events[0]", "Object contains unknown field `extra`")]),
    ({"events": [changed(email=None)]}, [("$.events[0].email", "Expected `str`, got `null`")]),
    ({"events": [changed(event="entered")]}, [("$.events[0].event", "Invalid enum value 'entered'")]),
    ({"events": [changed(timestamp=5)]}, [("$.events[0].timestamp", "Expected `datetime`, got `int`")]),
    (
        {"events": [changed(timestamp="yesterday")]},
        [("$.events[0].timestamp", "Invalid RFC3339 encoded datetime")],
    ),
    (
        {"events": [changed(timestamp="2026-01-02T03:04:05")]},
        [("$.events[0].timestamp", "the offset from UTC is missing: write Z or +hh:mm")],
    ),
    (
        {"events": [changed(timestamp="2999-01-02T03:04:05Z")]},
        [("$.events[0].timestamp", "more than five minutes in the future")],
    ),
    (
        {"events": [changed(opted_in_at="2026-01-02T03:04:05")]},
        [("$.events[0].opted_in_at", "the offset from UTC is missing: write Z or +hh:mm")],
    ),
    (
        {"events": [changed(audience=" vip")]},
        [("$.events[0].audience", "1 to 100 printable characters without spaces around them")],
    ),
    (
        {"events": [changed(fields={"a": [1]})]},
        [("$.events[0].fields[...]", "Expected `bool | int | float | str | null`, got `array`")],
    ),
    ({"events": [1] * 1001}, [("$.events", "1001 events; at most 1000 a call")]),
    (
        {
            "events": [
                EVENT,
                changed(email=1),
                EVENT,
                changed(timestamp="2026-01-02T03:04:05", audience=""),
                "text",
            ]
        },
        [
            ("$.events[1].email", "Expected `str`, got `int`"),
            ("$.events[3].audience", "1 to 100 printable characters without spaces around them"),
            ("$.events[3].timestamp", "the offset from UTC is missing: write Z or +hh:mm"),
            ("$.events[4]", "Expected `object`, got `str`"),
        ],
    ),
]


@pytest.mark.parametrize(("body", "found"), SHAPES, ids=[found[0][0] + found[0][1] for _, found in SHAPES])
def test_every_fault_is_told_with_its_path_and_nothing_is_stored(client, fake_store, rung, body, found):
    answer = client.post(URL, json=body)
    assert answer.status_code == 422
    assert faults(answer) == found
    assert stored(fake_store) == []
    assert rung == []


def test_a_thousand_events_are_taken(make_app, api_settings):
    client = make_app(max_body_bytes=1_000_000).test_client()
    events = [changed(email=f"p{number}@example.com") for number in range(1000)]
    headers = {"Authorization": f"Bearer {api_settings.api_tokens[0]}"}
    assert client.post(URL, json={"events": events}, headers=headers).json["accepted"] == 1000
    refused = client.post(URL, json={"events": [*events, EVENT]}, headers=headers)
    assert faults(refused) == [("$.events", "1001 events; at most 1000 a call")]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "text/xml"]
)
def test_only_json_is_taken(client, content_type):
    answer = client.post(URL, data=json.dumps({"events": [EVENT]}), content_type=content_type)
    assert answer.status_code == 415
    assert "application/json" in answer.json["error"]["message"]


class Chunks:
    """A body without a length, as a server that understands chunks gives it."""

    def __init__(self, body: bytes) -> None:
        self._body = BytesIO(body)

    def read(self, size: int = -1) -> bytes:
        return self._body.read(min(size, 1000))


@pytest.mark.parametrize(
    ("more", "status"), [(0, 202), (1, 413), (2, 413), (100_000, 413)], ids=["limit", "one", "two", "many"]
)
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_a_body_is_read_up_to_the_limit_and_not_beyond(
    client, fake_store, api_settings, more, status, chunked
):
    body = json.dumps({"events": [EVENT]}).encode()
    body = body.ljust(api_settings.max_body_bytes + more)
    environ = {"wsgi.input": Chunks(body), "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    environ |= {} if chunked else {"CONTENT_LENGTH": str(len(body))}
    answer = client.post(URL, environ_overrides=environ)
    assert answer.status_code == status
    assert answer.is_json
    assert len(stored(fake_store)) == (status == 202)


def test_a_body_that_was_cut_short_is_refused(client):
    body = json.dumps({"events": [EVENT]}).encode()
    environ = {
        "wsgi.input": Chunks(body),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body) + 1),
    }
    answer = client.post(URL, environ_overrides=environ)
    assert (answer.status_code, answer.json["error"]["message"]) == (
        400,
        "the body is shorter than its Content-Length",
    )
