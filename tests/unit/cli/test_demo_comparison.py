"""The demo's comparison must see what is wrong: each kind of difference is put in and found."""

from __future__ import annotations

from copy import deepcopy

import pytest

from cli.demo.comparison import Feed, compare_lists, compare_profiles
from cli.demo.reckoning import expected_audiences, expected_profiles

ZONE = "Australia/Sydney"
OPEN = {
    "EmailAddress": "Ann@example.com",
    "ListID": "l1",
    "Date": "2026-01-04 10:30:00",
    "IPAddress": "1.2.3.4",
    "City": "Sydney",
    "Region": "New South Wales",
    "CountryCode": "AU",
}
RECORDS = {
    "clients": [{"client_id": "c1", "name": "Meridian", "time_zone": ZONE, "suppressed": []}],
    "lists": [
        {
            "list_id": "l1",
            "name": "News",
            "client_id": "c1",
            "fields": [{"name": "Lytics Audiences", "key": "[LyticsAudiences]"}],
            "subscribers": [
                {
                    "email": "Ann@example.com",
                    "name": "Ann",
                    "state": "Active",
                    "date": "2025-12-01 09:00:00",
                    "values": {"[LyticsAudiences]": ["vip"]},
                }
            ],
        }
    ],
    "campaigns": [
        {"campaign_id": "k1", "name": "Sale", "client_id": "c1", "sent_date": "2026-01-04 08:00:00"}
    ],
    "reports": {
        "k1": {
            "recipients": [{"EmailAddress": "Ann@example.com", "ListID": "l1"}],
            "opens": [OPEN, OPEN],
            "clicks": [OPEN | {"URL": "https://www.example.com/a%20b?x=1"}],
            "unsubscribes": [],
        }
    },
    "webhook_events": [],
}
EVENTS = [
    {
        "email": "Ann@example.com",
        "audience": "vip",
        "event": "exit",
        "timestamp": "2026-01-01T00:00:00.000+00:00",
    },
    {
        "email": "ann@example.com",
        "audience": "vip",
        "event": "enter",
        "timestamp": "2026-01-02T00:00:00.000+00:00",
    },
]
PROFILE = {
    "key": "ann@example.com",
    "audiences": ["vip"],
    "updated_at": "2026-01-03T23:30:00.000Z",
    "fields": {
        "email": "ann@example.com",
        "email_domain": "example.com",
        "cm_name": "Ann",
        "city": "Sydney",
        "region": "New South Wales",
        "country_code": "AU",
        "cm_sendct": 1,
        "cm_openct": 2,
        "cm_clickct": 1,
        "cm_email_event": {"sent": 1, "open": 2, "click": 1},
        "cm_firstopen_ts": "2026-01-03T23:30:00.000Z",
        "cm_lastopen_ts": "2026-01-03T23:30:00.000Z",
        "cm_firstclick_ts": "2026-01-03T23:30:00.000Z",
        "cm_lastclick_ts": "2026-01-03T23:30:00.000Z",
        "last_active_ts": "2026-01-03T23:30:00.000Z",
        "channels": ["email"],
        "cm_campaign_ids": ["k1"],
        "cm_campaign_names": ["Sale"],
        "cm_client_ids": ["c1"],
        "cm_client_names": ["Meridian"],
        "cm_listids": ["l1"],
        "cm_list_names": ["News"],
        "cm_list_ids_status": {"l1": "active"},
        "cm_list_names_status": {"News": "active"},
        "cm_email_urls": ["https://www.example.com/a%20b?x=1"],
        "cm_hourlyopen": {"23": 2},
        "cm_hourofweek": {"167": 2},
        "cm_monthly": {"2601": 3},
        "cm_campaign_clicks": {"k1": 1},
        "audience_enters": 1,
        "hashedurls": {"0": 1},
    },
}


@pytest.fixture
def held():
    expected = expected_profiles(RECORDS, EVENTS)
    profile = deepcopy(PROFILE)
    profile["fields"]["hashedurls"] = expected["ann@example.com"].fields["hashedurls"]
    return {"ann@example.com": profile}


def differences(held):
    return compare_profiles(expected_profiles(RECORDS, EVENTS), expected_audiences(EVENTS), held)


def test_the_reckoning_agrees_with_a_profile_worked_out_by_hand(held):
    assert differences(held).examples == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fields", "cm_openct"), 3),
        (("fields", "city"), "Rome"),
        (("fields", "cm_hourofweek"), {"166": 2}),
        (("fields", "cm_monthly"), {"2601": 2}),
        (("fields", "cm_monthly"), {"2601": 6}),
        (("fields", "cm_campaign_clicks"), {"k1": 2}),
        (("fields", "cm_campaign_clicks"), {"k2": 1}),
        (("fields", "audience_enters"), 2),
        (("fields", "unknown_field"), 1),
        (("audiences",), []),
        (("updated_at",), "2026-01-04T10:30:00.000Z"),
    ],
)
def test_a_wrong_value_is_found(held, path, value):
    target = held["ann@example.com"]
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    assert differences(held).people == 1


@pytest.mark.parametrize("name", ["cm_monthly", "cm_campaign_clicks", "audience_enters", "cm_sendct"])
def test_a_missing_field_is_found(held, name):
    del held["ann@example.com"]["fields"][name]
    assert differences(held).fields == {name: 1}


def test_a_missing_and_an_unexpected_profile_are_found(held):
    held["bob@example.com"] = held.pop("ann@example.com")
    assert differences(held).people == 2


FEEDS = [Feed("l1", ("vip",))]


def test_a_list_that_holds_what_it_should_has_no_difference():
    assert compare_lists(RECORDS, FEEDS, {"ann@example.com": {"vip"}}, "Lytics Audiences").people == 0


@pytest.mark.parametrize(
    "audiences", [{}, {"ann@example.com": set()}, {"ann@example.com": {"vip"}, "bob@example.com": {"vip"}}]
)
def test_a_list_that_holds_too_much_or_too_little_differs(audiences):
    assert compare_lists(RECORDS, FEEDS, audiences, "Lytics Audiences").people == 1
