"""What comes in over HTTP, folded on a real store, as a profile."""

import json
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor.webhooks import Receiver, digest
from listbridge.store import keys
from listbridge.streams.log import tail
from webhooks.app import create_app

LIST = "96c0bbdaa54760c8d9e62a2b7ffa2e13"

# The service's documentation of webhooks, with addresses filled in.
DOCUMENTED = json.dumps(
    {
        "Events": [
            {
                "CustomFields": [{"Key": "website", "Value": "http://example.org"}],
                "Date": "2010-12-14 11:32:00",
                "EmailAddress": "test@example.org",
                "Name": "Test Subscriber",
                "SignupIPAddress": "53.78.123.243",
                "Type": "Subscribe",
            },
            {
                "CustomFields": [{"Key": "website", "Value": "http://example.org"}],
                "Date": "2010-12-14 11:32:00",
                "OldEmailAddress": "test@example.org",
                "EmailAddress": "new@example.org",
                "Name": "Test Subscriber",
                "State": "Active",
                "Type": "Update",
            },
            {
                "CustomFields": [{"Key": "website", "Value": "http://example.org"}],
                "Date": "2010-12-14 11:32:00",
                "EmailAddress": "gone@example.org",
                "Name": "Test Subscriber",
                "State": "Unsubscribed",
                "Type": "Deactivate",
            },
        ],
        "ListID": LIST,
    }
).encode()
CONTENT_TYPE = "application/json; charset=utf-8"
AT = 1292286720000  # 2010-12-14 11:32 in Sydney is 00:32 UTC

WHO = {"list_id": LIST, "list_name": "News", "client_id": "c1", "client_name": "Client One"}
ACTIVITY = {
    "test@example.org": {
        **WHO,
        "_time": AT,
        "email": "test@example.org",
        "event": "subscribe",
        "name": "Test Subscriber",
        "state": "Active",
        "ip": "53.78.123.243",
        "custom_fields": [{"k": "website", "v": "http://example.org"}],
    },
    "new@example.org": {
        **WHO,
        "_time": AT,
        "email": "new@example.org",
        "event": "update",
        "old_email": "test@example.org",
        "name": "Test Subscriber",
        "state": "Active",
        "custom_fields": [{"k": "website", "v": "http://example.org"}],
    },
    "gone@example.org": {
        **WHO,
        "_time": AT,
        "email": "gone@example.org",
        "event": "deactivate",
        "status": "unsubscribe",
        "state": "Unsubscribed",
    },
}
STATES = {"test@example.org": "Active", "new@example.org": "Active", "gone@example.org": "Unsubscribed"}
STATUS = {"Active": "active", "Unsubscribed": "unsubscribed"}


@pytest.fixture
def rung():
    return []


@pytest.fixture
def app(context, rung):
    return create_app(context, lambda: rung.append("fold"))


@pytest.fixture
def client(app):
    made = app.test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = "Bearer a-token-for-the-tests"
    return made


@pytest.fixture
def folder(context):
    return Folder(context.store, context.program)


@pytest.fixture
def webhook(store):
    """The path at which the webhooks of an import arrive."""
    known = Receiver(
        client_id="c1",
        client_name="Client One",
        zone="Australia/Sydney",
        lists={LIST: "News"},
        token="",
        tokens=[digest("token")],
    )
    store.client.set(keys.receiver("w1"), msgspec.json.encode(known))
    return "/webhooks/campaign-monitor/w1/token"


def stored(store, stream):
    """The events of a stream by address, without what differs from run to run."""
    lines = [json.loads(line) for _, line in tail(store, "stream", stream, 100)]
    return {
        line["email"]: {name: value for name, value in line.items() if name not in ("_id", "_received")}
        for line in lines
    }


def test_the_documented_delivery_becomes_these_events(client, webhook, store, rung):
    answer = client.post(webhook, data=DOCUMENTED, content_type=CONTENT_TYPE)
    assert (answer.status_code, answer.json) == (200, {"accepted": 8, "duplicates": 0, "quarantined": 0})
    assert rung == ["fold"]
    assert stored(store, "cm_activity") == ACTIVITY
    assert stored(store, "cm_user") == {
        address: {
            **WHO,
            "_time": AT + (state == "Unsubscribed"),
            "email": address,
            "name": "Test Subscriber",
            "state": state,
            "status": STATUS[state],
            "custom_fields": [{"k": "website", "v": "http://example.org"}],
        }
        for address, state in STATES.items()
    }
    old, new = "test@example.org", "new@example.org"
    told = {"_time": AT, "list_id": LIST, "client_id": "c1"}
    assert stored(store, "links") == {
        old: told | {"email": old, "event": "moved_to", "other": new},
        new: told | {"email": new, "event": "moved_from", "other": old},
    }


def test_a_delivery_changes_profiles_and_a_repeated_one_changes_nothing(client, webhook, folder):
    client.post(webhook, data=DOCUMENTED, content_type=CONTENT_TYPE)
    assert folder.run().events == 8
    gone = client.get("/v1/profiles/gone@example.org").json
    assert gone["fields"]["cm_list_ids_status"] == {LIST: "unsubscribed"}
    assert gone["updated_at"] == "2010-12-14T00:32:00.001Z"
    for address in ("test@example.org", "new@example.org"):
        linked = client.get(f"/v1/profiles/{address}").json
        assert (linked["key"], linked["linked"]) == ("new@example.org", ["test@example.org"])
    again = client.post(webhook, data=DOCUMENTED, content_type=CONTENT_TYPE)
    assert again.json == {"accepted": 0, "duplicates": 8, "quarantined": 0}
    assert folder.run().events == 0
    assert client.get("/v1/profiles/gone@example.org").json == gone


def event(email, what, at, audience="vip"):
    return {"email": email, "audience": audience, "event": what, "timestamp": at}


def test_events_move_people_into_and_out_of_audiences(client, folder):
    people = [f"person{number}@example.com" for number in range(50)]
    enters = [event(each, "enter", "2026-01-01T10:00:00Z") for each in people]
    exits = [event(each, "exit", "2026-01-01T11:00:00Z") for each in people[:20]]
    # The exits come first: what counts is the time in the event.
    for body in (exits, enters):
        assert client.post("/v1/audiences/events", json={"events": body}).status_code == 202
        folder.run()
    assert client.get("/v1/audiences/vip").json == {"audience": "vip", "size": 30}
    assert client.get(f"/v1/profiles/{people[0]}").json["audiences"] == []
    assert client.get(f"/v1/profiles/{people[20]}").json == {
        "key": people[20],
        "fields": {"email": people[20], "email_domain": "example.com"},
        "audiences": ["vip"],
        "updated_at": "2026-01-01T10:00:00.000Z",
    }


def test_a_body_sent_by_many_at_once_is_counted_once(app, client, folder):
    body = {"events": [event(f"p{n}@example.com", "enter", "2026-01-01T10:00:00Z") for n in range(100)]}

    def send(_):
        headers = {"Authorization": "Bearer a-token-for-the-tests"}
        return app.test_client().post("/v1/audiences/events", json=body, headers=headers).json

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(8)))
    assert sum(each["accepted"] for each in answers) == 100
    assert sum(each["duplicates"] for each in answers) == 700
    assert folder.run().events == 100


def test_a_fold_is_asked_for_again_after_it_has_begun(client, folder, rung):
    for number in range(3):
        client.post(
            "/v1/audiences/events",
            json={"events": [event("a@example.com", "enter", f"2026-01-01T10:00:0{number}Z")]},
        )
    assert rung == ["fold"]
    folder.run()
    client.post(
        "/v1/audiences/events", json={"events": [event("a@example.com", "exit", "2026-01-01T10:00:09Z")]}
    )
    assert rung == ["fold", "fold"]
