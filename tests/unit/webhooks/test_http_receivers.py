import json

import pytest
import redis

from listbridge.streams.log import tail
from listbridge.streams.schemas import CM_ACTIVITY, CM_USER
from webhooks.receiving import KNOWN_SECONDS, MAX_REMEMBERED, UNKNOWN_SECONDS, Receivers

SUBSCRIBE = {
    "Type": "Subscribe",
    "Date": "2010-12-14 11:32:00",
    "EmailAddress": "Ada@example.com",
    "Name": "Ada",
}


def delivery(*events, list_id="l1"):
    return {"ListID": list_id, "Events": list(events)}


def set_aside(store):
    """The reason and the raw text of everything in quarantine."""
    lines = [line for _, line in tail(store, "quarantine", CM_ACTIVITY, 100)]
    return [tuple(line.decode("utf-8", "replace").split("\t", 2)[1:]) for line in lines]


def stored(store, stream=CM_ACTIVITY):
    return [json.loads(line) for _, line in tail(store, "stream", stream, 100)]


def test_a_redelivered_webhook_is_counted_once(anonymous, import_receiver, fake_store, rung):
    first = anonymous.post(import_receiver, json=delivery(SUBSCRIBE))
    again = anonymous.post(import_receiver, json=delivery(SUBSCRIBE))
    assert (first.status_code, first.json["accepted"]) == (200, 2)
    assert (again.status_code, again.json) == (200, {"accepted": 0, "duplicates": 2, "quarantined": 0})
    assert len(stored(fake_store)) == 1
    assert rung == [("fold",)]


def test_a_delivery_without_a_content_type_is_read_as_json(anonymous, import_receiver):
    answer = anonymous.post(import_receiver, data=json.dumps(delivery(SUBSCRIBE)))
    assert (answer.status_code, answer.json["accepted"]) == (200, 2)


@pytest.mark.parametrize("content_type", ["text/xml", "application/xml; charset=utf-8", "text/plain"])
def test_xml_is_refused_with_the_remedy(anonymous, import_receiver, content_type):
    answer = anonymous.post(import_receiver, data=b"<Events/>", content_type=content_type)
    assert answer.status_code == 415
    assert "PayloadFormat json" in answer.json["error"]["message"]


def test_a_delivery_that_is_too_large_is_refused(anonymous, import_receiver):
    body = json.dumps(delivery(SUBSCRIBE)).ljust(20_001)
    answer = anonymous.post(import_receiver, data=body, content_type="application/json")
    assert answer.status_code == 413


UNREADABLE = [
    (b"", "not a delivery"),
    (b"{", "not a delivery"),
    (b"<xml/>", "not a delivery"),
    (b"\xff\xfe", "not a delivery"),
    (b"[]", "not a delivery"),
    (b'{"ListID": "l1"}', "not a delivery"),
    (b'{"ListID": 5, "Events": []}', "not a delivery"),
    (b'{"ListID": "l1", "Events": [{"x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}]}", "not a delivery"),
    (b'{"ListID": "l1", "Events": [1]}', "not an event"),
    (b'{"ListID": "l1", "Events": [{"Type": "Subscribe"}]}', "not an event"),
    (json.dumps(delivery({**SUBSCRIBE, "Date": "last week"})).encode(), "a time is YYYY-MM-DD"),
    (json.dumps(delivery({**SUBSCRIBE, "Type": "Open"})).encode(), "the type of event 'Open'"),
    (json.dumps(delivery({**SUBSCRIBE, "EmailAddress": "nobody"})).encode(), "the e-mail address is not"),
    (json.dumps(delivery(SUBSCRIBE, list_id="l9")).encode(), "list l9 is not one of this import's"),
]


@pytest.mark.parametrize(("body", "reason"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read_is_set_aside_with_its_reason_and_taken(
    anonymous, import_receiver, fake_store, body, reason
):
    answer = anonymous.post(import_receiver, data=body, content_type="application/json")
    assert (answer.status_code, answer.json) == (200, {"accepted": 0, "duplicates": 0, "quarantined": 1})
    ((why, _),) = set_aside(fake_store)
    assert why.startswith(reason)
    assert stored(fake_store) == []


@pytest.mark.parametrize("cut", [b"Ada \\ud83d", b"Ada \\udc4b", b"Ada \xf0\x9f", b"Ada \xff"], ids=repr)
def test_a_name_that_was_cut_in_the_middle_of_a_character_does_not_hide_an_opt_out(
    anonymous, import_receiver, fake_store, cut
):
    gone = {**SUBSCRIBE, "Type": "Deactivate", "State": "Unsubscribed", "Name": "CUT"}
    body = json.dumps(delivery(gone, SUBSCRIBE)).encode().replace(b"CUT", cut)
    answer = anonymous.post(import_receiver, data=body, content_type="application/json")
    assert answer.json == {"accepted": 4, "duplicates": 0, "quarantined": 0}
    assert [line["status"] for line in stored(fake_store) if line["event"] == "deactivate"] == ["unsubscribe"]
    assert sorted(line["name"] for line in stored(fake_store, CM_USER)) == ["Ada", "Ada \ufffd"]


def test_one_bad_event_does_not_stop_the_others(anonymous, import_receiver, fake_store):
    body = delivery({"Type": 5}, SUBSCRIBE, {**SUBSCRIBE, "Date": "?"})
    assert anonymous.post(import_receiver, json=body).json == {
        "accepted": 2,
        "duplicates": 0,
        "quarantined": 2,
    }
    assert [line["email"] for line in stored(fake_store, CM_USER)] == ["Ada@example.com"]


def test_a_delivery_to_full_streams_is_to_come_again(anonymous, import_receiver, fake_store):
    fake_store.stream_limit_events = 2 * 16
    first = anonymous.post(import_receiver, json=delivery(SUBSCRIBE))
    later = {**SUBSCRIBE, "Date": "2026-03-01 10:00:00"}

    answer = anonymous.post(import_receiver, json=delivery(later))

    assert (first.status_code, answer.status_code) == (200, 503)
    assert "Retry-After" in answer.headers
    fake_store.stream_limit_events = 0
    assert anonymous.post(import_receiver, json=delivery(later)).json["accepted"] > 0


ERRORS = [
    redis.ConnectionError("Error 111"),
    redis.TimeoutError("Timeout reading"),
    redis.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.ReadOnlyError("You can't write against a read only replica."),
    redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    redis.ResponseError("MISCONF Errors writing to the AOF file"),
]


@pytest.mark.parametrize("known", [True, False], ids=["receiver known", "receiver unknown"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_delivery_comes_again_when_the_store_fails(
    anonymous, import_receiver, break_store, caplog, error, known
):
    if known:
        assert anonymous.get(import_receiver).status_code == 200
    break_store(error)
    answer = anonymous.post(import_receiver, json=delivery(SUBSCRIBE))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["error"]["status"] == 503
    assert type(error).__name__ in caplog.text
    assert "right" not in caplog.text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reads(monkeypatch):
    """The workflows whose receiver was read from the store."""
    from webhooks import receiving

    found, read = [], receiving.receiver
    monkeypatch.setattr(receiving, "receiver", lambda store, name: found.append(name) or read(store, name))
    return found


def test_a_known_receiver_is_read_once_in_five_seconds(fake_store, import_receiver, clock, reads):
    receivers = Receivers(fake_store, clock)
    for clock.now in (0, 1, KNOWN_SECONDS):
        assert receivers.admitted("w1", "right")
    assert reads == ["w1"]
    clock.now += 0.1
    assert receivers.admitted("w1", "right")
    assert reads == ["w1", "w1"]


@pytest.mark.parametrize("workflow_id", ["w1", "w9"], ids=["wrong token", "wrong workflow"])
def test_a_wrong_guess_costs_at_most_one_read_a_second(
    fake_store, import_receiver, clock, reads, workflow_id
):
    receivers = Receivers(fake_store, clock)
    for clock.now in (0, 0.5, UNKNOWN_SECONDS):
        assert not receivers.admitted(workflow_id, "wrong")
    assert reads == [workflow_id]
    clock.now += 0.1
    assert not receivers.admitted(workflow_id, "wrong")
    assert reads == [workflow_id] * 2


def test_a_webhook_made_just_now_is_received_after_a_second(fake_store, clock, request):
    receivers = Receivers(fake_store, clock)
    assert not receivers.admitted("w1", "right")
    request.getfixturevalue("import_receiver")
    clock.now = UNKNOWN_SECONDS + 0.1
    assert receivers.admitted("w1", "right").client_id == "c1"


def test_a_deleted_import_receives_for_five_seconds_at_most(fake_store, import_receiver, clock):
    receivers = Receivers(fake_store, clock)
    assert receivers.admitted("w1", "right")
    fake_store.client.flushall()
    clock.now = KNOWN_SECONDS + 0.1
    assert receivers.admitted("w1", "right") is None


def test_guesses_do_not_fill_the_memory(fake_store, clock):
    receivers = Receivers(fake_store, clock)
    for number in range(MAX_REMEMBERED + 10):
        receivers.admitted(f"w{number}", "x")
    assert len(receivers._remembered) <= MAX_REMEMBERED
