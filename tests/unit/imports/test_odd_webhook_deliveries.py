"""Deliveries of any size and with any characters are taken, and each event of them once."""

import pytest
from test_webhook_deliveries import ACCOUNT, body, event, quarantined, stored

from listbridge.campaign_monitor.incoming import receive
from listbridge.streams.log import events_in


def people(count):
    return [event(EmailAddress=f"p{number}@example.com") for number in range(count)]


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_delivery_of_a_thousand_events_or_more_is_taken(fake_store, count):
    counts = receive(fake_store, ACCOUNT, body(*people(count)))
    assert (counts.accepted, counts.quarantined) == (2 * count, 0)
    assert events_in(fake_store, "cm_user") == count


def test_one_lone_surrogate_among_a_thousand_events_spoils_none_of_them(fake_store):
    broken = body(*people(999), event(Name="NAME")).replace(b"NAME", b"Ada \\ud83d")
    counts = receive(fake_store, ACCOUNT, broken)
    assert (counts.accepted, counts.quarantined) == (2000, 0)


def test_characters_that_are_no_text_are_taken_as_they_come(fake_store):
    counts = receive(fake_store, ACCOUNT, body(event(Name="A\x00da\x1f")))
    assert (counts.accepted, counts.quarantined) == (2, 0)
    assert [one["name"] for one in stored(fake_store, "cm_user")] == ["A\x00da\x1f"]


def test_an_address_with_a_null_character_is_nobodys(fake_store):
    counts = receive(fake_store, ACCOUNT, body(event(EmailAddress="a\x00b@example.com"), event()))
    assert (counts.accepted, counts.quarantined) == (2, 1)
    assert quarantined(fake_store)[0][0] == "the e-mail address is not readable"


def test_the_same_delivery_fifty_times_is_counted_once(fake_store):
    for _ in range(50):
        receive(fake_store, ACCOUNT, body(*people(3)))
    assert len(stored(fake_store, "cm_user")) == 3
    assert len(stored(fake_store, "cm_activity")) == 3
