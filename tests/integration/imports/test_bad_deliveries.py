"""Deliveries that no documentation promises, at a real store: all of what can be read is kept, once."""

import json
from zoneinfo import ZoneInfo

import pytest

from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.incoming import receive
from listbridge.streams.log import events_in, tail

ACCOUNT = Account("c1", "Client", ZoneInfo("Australia/Sydney"), {"l1": "Newsletter"})


def event(number, **more):
    who = {"EmailAddress": f"p{number}@example.org", "Name": "A name", "Date": "2025-03-04 05:06:00"}
    return {"Type": "Deactivate", "State": "Unsubscribed", "CustomFields": [], **who, **more}


def body(events, list_id="l1"):
    return json.dumps({"ListID": list_id, "Events": events}).encode()


@pytest.mark.parametrize("count", [1000, 1001, 5000])
def test_a_large_delivery_is_taken_whole(store, count):
    counts = receive(store, ACCOUNT, body([event(number) for number in range(count)]))
    assert (counts.accepted, counts.quarantined) == (2 * count, 0)
    assert (events_in(store, "cm_activity"), events_in(store, "cm_user")) == (count, count)


def test_one_half_of_a_character_among_a_thousand_keeps_nobody_from_opting_out(store):
    events = [event(number) for number in range(999)]
    events.insert(500, event("cut", Name="A name \ud83d"))
    counts = receive(store, ACCOUNT, body(events))
    assert (counts.accepted, counts.quarantined) == (2000, 0)


def test_zero_characters_do_no_harm(store):
    counts = receive(
        store, ACCOUNT, body([event(1, Name="A\0name"), event(2, EmailAddress="a\0@example.org")])
    )
    assert counts.accepted + counts.quarantined in (3, 4)
    assert "p1@example.org" in {
        json.loads(line)["email"] for _, line in tail(store, "stream", "cm_activity", 9)
    }


def test_an_unknown_type_is_kept_aside_and_the_rest_is_taken(store):
    counts = receive(store, ACCOUNT, body([event(1), event(2, Type="Forward"), event(3)]))
    assert (counts.accepted, counts.quarantined) == (4, 1)


def test_a_delivery_for_another_list_is_kept_aside(store):
    counts = receive(store, ACCOUNT, body([event(1)], list_id="l9"))
    assert (counts.accepted, counts.quarantined) == (0, 1)


def test_the_same_delivery_fifty_times_is_counted_once(store):
    sent = body([event(number) for number in range(20)] + [event(99, Type="Forward")])
    counts = [receive(store, ACCOUNT, sent) for _ in range(50)]
    assert (counts[0].accepted, counts[0].quarantined) == (40, 1)
    assert {(each.accepted, each.quarantined) for each in counts[1:]} == {(0, 0)}
    assert events_in(store, "cm_activity") == 20


def test_the_same_opt_out_told_by_several_webhooks_at_once_is_one(store):
    other = Account("c1", "Client", ACCOUNT.zone, {"l1": "Newsletter", "l2": "Other"})
    first = receive(store, ACCOUNT, body([event(1)]))
    assert receive(store, other, body([event(1)])).accepted == 0
    assert first.accepted == 2
