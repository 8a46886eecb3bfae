"""What makes two things that Campaign Monitor tells one event, and what makes them two."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from listbridge.campaign_monitor.events import (
    Account,
    custom_values,
    numbering,
    report_event,
    status_event,
    status_of,
)
from listbridge.campaign_monitor.incoming import Told, events_of
from listbridge.campaign_monitor.models import Campaign, StoredValue, Subscriber
from listbridge.campaign_monitor.reports import Bounce, Click, Open, Recipient, SpamComplaint, Unsubscribe
from listbridge.streams.events import Event, Unreadable

ACCOUNT = Account("c1", "Client One", ZoneInfo("Australia/Sydney"), {"l1": "Newsletter", "l2": "Deals"})
CAMPAIGN = Campaign(campaign_id="k1", name="Spring", sent_date="2024-03-01 09:00:00")
AT = "2024-03-01 10:05:00"
WHO = {"email_address": "Ann@Example.com", "list_id": "l1"}
PLACE = {"city": "Sydney", "region": "NSW", "country_code": "AU", "country_name": "Australia"}

OPEN = Open(**WHO, date=AT, ip_address="100.64.1.1", latitude=-33.8, longitude=151.2, **PLACE)
CLICK = Click(**WHO, date=AT, ip_address="100.64.1.1", url="https://a.example/x", **PLACE)
BOUNCE = Bounce(**WHO, date=AT, bounce_type="Hard", reason="Hard Bounce")
UNSUBSCRIBE = Unsubscribe(**WHO, date=AT, ip_address="100.64.1.1")
SPAM = SpamComplaint(**WHO, date=AT)
RECIPIENT = Recipient(**WHO)
PERSON = Subscriber(
    email_address="Ann@Example.com",
    name="Ann",
    date=AT,
    state="Active",
    list_joined_date="2024-02-01 08:00:00",
    custom_fields=(StoredValue("[Tier]", "Gold"), StoredValue("[Interests]", "Ski")),
)

REPORT_OF: dict[type, str] = {
    Open: "opens",
    Click: "clicks",
    Bounce: "bounces",
    Unsubscribe: "unsubscribes",
    SpamComplaint: "spam",
    Recipient: "recipients",
}
ROWS = [OPEN, CLICK, BOUNCE, UNSUBSCRIBE, SPAM, RECIPIENT]
CHANGED_VALUES: dict[str, Any] = {
    "email_address": "bob@example.com",
    "list_id": "l2",
    "date": "2024-03-01 10:06:00",
    "ip_address": "100.64.1.2",
    "url": "https://a.example/y",
    "city": "Perth",
    "region": "WA",
    "country_code": "NZ",
    "country_name": "New Zealand",
    "latitude": 1.0,
    "longitude": None,
    "bounce_type": "Soft",
    "reason": "Mailbox full",
}
IDENTIFYING = {
    Open: {"email_address", "list_id", "date", "ip_address"},
    Click: {"email_address", "list_id", "date", "ip_address", "url"},
    Bounce: {"email_address", "list_id", "date"},
    Unsubscribe: {"email_address", "list_id", "date"},
    SpamComplaint: {"email_address", "list_id", "date"},
    Recipient: {"email_address", "list_id"},
}


def event(row: Any, account: Account = ACCOUNT, campaign: Campaign = CAMPAIGN, number: Any = None) -> Event:
    made = report_event(account, campaign, REPORT_OF[type(row)], row, number or numbering())
    assert isinstance(made, Event)
    return made


def status(person: Subscriber, account: Account = ACCOUNT, list_id: str = "l1") -> Event:
    made = status_event(account, list_id, person)
    assert isinstance(made, Event)
    return made


def webhook(account: Account = ACCOUNT, own: bool = False, **told: Any) -> list[Event]:
    fields = {"address": "ann@example.com", "date": AT, **told}
    return events_of(account, "l1", "ann@example.com", Told(**fields), own=own)


def in_zone(name: str) -> Account:
    return replace(ACCOUNT, zone=ZoneInfo(name))


def named(row: Any) -> str:
    return REPORT_OF[type(row)]


@pytest.mark.parametrize(
    ("row", "field"), [(row, field) for row in ROWS for field in type(row).__struct_fields__], ids=str
)
def test_a_field_of_a_report_row_makes_another_event_or_does_not(row, field):
    other = msgspec.structs.replace(row, **{field: CHANGED_VALUES[field]})
    assert (event(other).id != event(row).id) == (field in IDENTIFYING[type(row)])


@pytest.mark.parametrize(
    ("field", "value", "another"),
    [
        ("email_address", "bob@example.com", True),
        ("email_address", "ANN@example.com", False),
        ("name", "Anne", True),
        ("date", "2024-03-01 10:06:00", True),
        ("state", "Unsubscribed", True),
        ("custom_fields", (), True),
        ("custom_fields", (StoredValue("interests", "Ski"), StoredValue("tier", "Gold")), False),
        ("list_joined_date", "", False),
        ("reads_email_with", "Gmail", False),
        ("mobile_number", "+61400000000", False),
    ],
)
def test_a_field_of_a_list_row_makes_another_event_or_does_not(field, value, another):
    other = msgspec.structs.replace(PERSON, **{field: value})
    assert (status(other).id != status(PERSON).id) == another


def test_a_state_in_another_list_is_another_event():
    assert status(PERSON).id != status(PERSON, list_id="l2").id


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_changed_time_zone_or_client_name_makes_no_new_event(row):
    there = event(row, replace(in_zone("America/New_York"), client_name="New name"))
    assert (there.id, there.seen_day) == (event(row).id, event(row).seen_day)
    assert there.time != event(row).time


@pytest.mark.parametrize("row", [OPEN, CLICK, BOUNCE, RECIPIENT], ids=named)
def test_the_same_row_of_another_campaign_is_another_event(row):
    other = msgspec.structs.replace(CAMPAIGN, campaign_id="k2")
    assert event(row).id != event(row, campaign=other).id


def test_a_renamed_campaign_makes_no_new_event():
    assert event(OPEN).id == event(OPEN, campaign=msgspec.structs.replace(CAMPAIGN, name="Summer")).id


def test_a_changed_time_zone_makes_no_new_state():
    there = status(PERSON, in_zone("America/New_York"))
    assert (there.id, there.seen_day) == (status(PERSON).id, status(PERSON).seen_day)


def test_a_changed_time_zone_makes_no_new_event_of_a_webhook():
    here, there = (
        webhook(account, type="Update", state="Active") for account in (ACCOUNT, in_zone("America/New_York"))
    )
    assert [(one.id, one.seen_day) for one in here] == [(one.id, one.seen_day) for one in there]


@pytest.mark.parametrize("row", [OPEN, CLICK], ids=named)
def test_equal_rows_of_one_reading_are_told_apart_by_their_ordinal(row):
    number = numbering()
    moved = msgspec.structs.replace(row, city="Perth")
    ids = [event(each, number=number).id for each in (row, moved, row)]
    assert len(set(ids)) == 3
    again = numbering()
    assert [event(each, number=again).id for each in (moved, row, row)] == ids


def test_rows_that_are_not_equal_do_not_share_ordinals():
    number = numbering()
    for _ in range(3):
        event(OPEN, number=number)
    other = msgspec.structs.replace(OPEN, ip_address="100.64.9.9")
    assert event(other, number=number).id == event(other).id


@pytest.mark.parametrize("row", [BOUNCE, UNSUBSCRIBE, SPAM, RECIPIENT], ids=named)
def test_what_can_happen_only_once_a_minute_has_no_ordinal(row):
    number = numbering()
    assert event(row, number=number).id == event(row, number=number).id


def test_one_opt_out_told_by_the_report_and_by_the_webhook_is_one_event():
    activity, _ = webhook(type="Deactivate", state="Unsubscribed")
    assert activity.id == event(UNSUBSCRIBE).id


@pytest.mark.parametrize("date", ["2024-03-01 10:05", "2024-03-01 10:05:00"])
def test_the_seconds_that_some_answers_leave_out_make_no_second_opt_out(date):
    activity, _ = webhook(type="Deactivate", state="Unsubscribed", date=date)
    assert activity.id == event(UNSUBSCRIBE).id


def test_a_complaint_is_another_event_than_an_unsubscription_of_the_same_minute():
    assert event(SPAM).id != event(UNSUBSCRIBE).id
    assert event(SPAM).id == webhook(type="Deactivate", state="Spam")[0].id


def test_an_opt_out_from_another_list_is_another_event():
    assert event(UNSUBSCRIBE).id != event(msgspec.structs.replace(UNSUBSCRIBE, list_id="l2")).id


def test_a_state_told_by_the_list_and_by_a_webhook_is_one_event():
    fields = (StoredValue("interests", "Ski"), StoredValue("tier", "Gold"))
    told = webhook(type="Update", state="Active", name="Ann", fields=fields)
    assert told[1].id == status(PERSON).id


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"old_address": "old@example.com"}, True),
        ({"state": "Unsubscribed"}, True),
        ({"name": "Anne"}, True),
        ({"fields": (StoredValue("[Tier]", "Gold"),)}, True),
        ({"date": "2024-03-01 10:06:00"}, True),
        ({"type": "Subscribe"}, True),
        ({"signup_ip": "TypeManual"}, False),
        ({"old_address": "ANN@example.com"}, False),
    ],
)
def test_a_field_of_a_webhook_makes_another_event_or_does_not(change, another):
    base = {"type": "Update", "state": "Active", "name": "Ann", "old_address": "ann@example.com"}
    assert (webhook(**base)[0].id != webhook(**base | change)[0].id) == another


def test_our_own_write_coming_back_is_the_same_event_with_an_origin():
    ours, told = (webhook(type="Update", state="Active", own=own) for own in (True, False))
    assert [one.id for one in ours] == [one.id for one in told]
    assert [one.values["origin"] for one in ours + told] == ["self", "self", None, None]


WHO_VALUES = {
    "email": "Ann@Example.com",
    "list_id": "l1",
    "list_name": "Newsletter",
    "client_id": "c1",
    "client_name": "Client One",
}
CAMPAIGN_VALUES = {"campaign_id": "k1", "campaign_name": "Spring"}
PLACE_VALUES = {
    "ip": "100.64.1.1",
    "city": "Sydney",
    "region": "NSW",
    "cc": "AU",
    "country": "Australia",
}


@pytest.mark.parametrize(
    ("row", "values"),
    [
        (OPEN, {"event": "open", "url": None, **PLACE_VALUES, "latitude": -33.8, "longitude": 151.2}),
        (
            CLICK,
            {
                "event": "click",
                "url": "https://a.example/x",
                **PLACE_VALUES,
                "latitude": None,
                "longitude": None,
            },
        ),
        (BOUNCE, {"event": "bounce", "status": "hard", "reason": "Hard Bounce"}),
        (
            UNSUBSCRIBE,
            {"event": "deactivate", "status": "unsubscribe", "state": "Unsubscribed", "ip": "100.64.1.1"},
        ),
        (SPAM, {"event": "deactivate", "status": "spam", "state": "Spam", "ip": None}),
        (RECIPIENT, {"event": "sent"}),
    ],
    ids=lambda each: REPORT_OF.get(type(each), ""),
)
def test_every_field_of_a_report_row_is_kept(row, values):
    made = event(row)
    assert dict(made.values) == WHO_VALUES | CAMPAIGN_VALUES | values
    assert (made.stream, made.key) == ("cm_activity", "ann@example.com")


@pytest.mark.parametrize(
    ("made", "time"),
    [
        (event(OPEN), 1709247900000),  # 2024-02-29T23:05Z
        (event(RECIPIENT), 1709244000000),  # the campaign's own time, 22:00Z
        (status(PERSON), 1709247900000),
    ],
)
def test_times_are_read_in_the_clients_zone(made, time):
    assert made.time == time


def test_every_field_of_a_list_row_is_kept():
    made = status(PERSON)
    assert dict(made.values) == WHO_VALUES | {
        "name": "Ann",
        "state": "Active",
        "status": "active",
        "custom_fields": {"tier": "Gold", "interests": "Ski"},
        "joined_at": 1706734800000,  # 2024-01-31T21:00Z
        "origin": None,
    }
    assert (made.stream, made.key) == ("cm_user", "ann@example.com")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("Active", "active"),
        ("Unconfirmed", "unconfirmed"),
        ("Unsubscribed", "unsubscribed"),
        ("Bounced", "bounced"),
        ("Deleted", "deleted"),
        ("Spam", "unsubscribed"),
        ("Suppressed", "unsubscribed"),
        ("Dormant", "dormant"),
    ],
)
def test_a_state_becomes_a_status(state, expected):
    assert status_of(state) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([("[Interests]", "Ski"), ("[Interests]", "Beach")], {"interests": "Beach, Ski"}),
        ([("Home airport", "SYD"), ("[HomeAirport]", "")], {"homeairport": "SYD"}),
        ([("[Tier]", None), ("[Tier]", "")], {}),
        ([], {}),
    ],
)
def test_custom_fields_are_compared_by_key_and_joined(values, expected):
    assert custom_values(StoredValue(key, value) for key, value in values) == expected


@pytest.mark.parametrize("address", ["", "nobody", "two@example.com, three@example.com", "a@b@c"])
def test_a_row_without_a_readable_address_is_set_aside_as_it_came(address):
    row = msgspec.structs.replace(OPEN, email_address=address)
    person = msgspec.structs.replace(PERSON, email_address=address)
    made = [report_event(ACCOUNT, CAMPAIGN, "opens", row, numbering()), status_event(ACCOUNT, "l1", person)]
    unreadable = [one for one in made if isinstance(one, Unreadable)]
    assert [one.stream for one in unreadable] == ["cm_activity", "cm_user"]
    assert msgspec.json.decode(unreadable[0].raw)["EmailAddress"] == address
    assert {one.reason for one in unreadable} == {"the e-mail address is not readable"}
