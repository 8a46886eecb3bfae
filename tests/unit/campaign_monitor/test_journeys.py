"""The reports of automated e-mails, as createsend-python's recordings have them."""

import pytest

from listbridge.campaign_monitor.errors import InvalidRequest
from listbridge.campaign_monitor.reports import Bounce, Click, Open, Sent, Unsubscribe

WHO = {"email_address": "asdf@example.com", "list_id": "l1", "date": "2019-08-19 10:23:00"}
PLACE = {
    "IPAddress": "198.148.196.144",
    "Latitude": -33.8591,
    "Longitude": 151.200195,
    "City": "Sydney",
    "Region": "New South Wales",
    "CountryCode": "AU",
    "CountryName": "Australia",
}
PLACE_READ = {
    "ip_address": "198.148.196.144",
    "latitude": -33.8591,
    "longitude": 151.200195,
    "city": "Sydney",
    "region": "New South Wales",
    "country_code": "AU",
    "country_name": "Australia",
}
ROW = {"EmailAddress": "asdf@example.com", "Date": "2019-08-19 10:23:00"}


def envelope(*rows):
    return {
        "Results": list(rows),
        "ResultsOrderedBy": "SentDate",
        "OrderDirection": "ASC",
        "PageNumber": 1,
        "PageSize": 1000,
        "RecordsOnThisPage": len(rows),
        "TotalNumberOfRecords": len(rows),
        "NumberOfPages": 1,
    }


@pytest.mark.parametrize(
    ("report", "row", "read"),
    [
        ("recipients", {"EmailAddress": ROW["EmailAddress"], "SentDate": ROW["Date"]}, Sent(**WHO)),
        ("opens", ROW | PLACE, Open(**WHO, **PLACE_READ)),
        ("clicks", ROW | PLACE | {"URL": "https://x.se"}, Click(**WHO, **PLACE_READ, url="https://x.se")),
        (
            "bounces",
            ROW | {"BounceType": "Soft", "Reason": "Soft Bounce - Dns Failure"},
            Bounce(**WHO, bounce_type="Soft", reason="Soft Bounce - Dns Failure"),
        ),
        (
            "unsubscribes",
            ROW | {"IPAddress": "198.148.196.144"},
            Unsubscribe(**WHO, ip_address="198.148.196.144"),
        ),
    ],
)
def test_a_row_is_that_of_a_campaign_with_the_list_of_the_journey(api, service, report, row, read):
    service.reply(200, envelope(row, {"Date": "no address"}))
    page = api.journey_report("e1", report, "l1")
    assert list(page.results) == [read]
    assert (page.is_last, len(page.unreadable)) == (True, 1)


def test_a_report_that_journeys_do_not_have_is_refused_before_it_is_asked_for(api, service):
    with pytest.raises(InvalidRequest, match="no report 'spam'"):
        api.journey_report("e1", "spam", "l1")
    assert not service.requests


def test_the_emails_of_a_journey_are_read_with_their_totals(api, service):
    email = {"EmailID": "e1", "Name": "1", "Bounced": 7, "Clicked": 1, "Opened": 12}
    email |= {"Sent": 11, "UniqueOpened": 4, "Unsubscribed": 1}
    journey = {"JourneyID": "j1", "Name": "New", "TriggerType": "On Subscription", "Status": "Active"}
    service.reply(200, journey | {"Emails": [email]})
    (read,) = api.journey_summary("j1").emails
    assert (read.email_id, read.sent, read.opened, read.unique_opened) == ("e1", 11, 12, 4)
    assert (read.clicked, read.bounced, read.unsubscribed) == (1, 7, 1)
