"""Every answer has the field names, the order and the types of a recorded one.

Recorded answers lie beside the repository where they are present; the main ones are written out
here too.
"""

import json
from pathlib import Path

import pytest
import requests

from simulator.server import SimulatorServer

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "createsend_fixtures"

PAGE = {
    "ResultsOrderedBy": "email",
    "OrderDirection": "asc",
    "PageNumber": 1,
    "PageSize": 1000,
    "RecordsOnThisPage": 5,
    "TotalNumberOfRecords": 5,
    "NumberOfPages": 1,
}
SUBSCRIBER = {
    "EmailAddress": "s",
    "Name": "s",
    "Date": "s",
    "ListJoinedDate": "s",
    "State": "s",
    "CustomFields": [{"Key": "s", "Value": "s"}],
    "ReadsEmailWith": "s",
}
GEO = {
    "IPAddress": "s",
    "Latitude": 1.5,
    "Longitude": 1.5,
    "City": "s",
    "Region": "s",
    "CountryCode": "s",
    "CountryName": "s",
}
CAMPAIGN = {
    **dict.fromkeys(("WebVersionURL", "WebVersionTextURL", "CampaignID", "Subject", "Name"), "s"),
    **dict.fromkeys(("FromName", "FromEmail", "ReplyTo", "SentDate"), "s"),
    "TotalRecipients": 1,
}
LITERALS = {
    "clients": [{"ClientID": "s", "Name": "s"}],
    "lists": [{"ListID": "s", "Name": "s"}],
    "segments": [{"ListID": "s", "SegmentID": "s", "Title": "s"}],
    "campaigns": {"Results": [CAMPAIGN, {**CAMPAIGN, "Tags": ["s"]}], **PAGE},
    "active_subscribers": {"Results": [SUBSCRIBER], **PAGE},
    "unsubscribed_subscribers": {"Results": [SUBSCRIBER], **PAGE},
    "subscriber_details": SUBSCRIBER,
    "custom_fields": [
        {
            "FieldName": "s",
            "Key": "s",
            "DataType": "s",
            "FieldOptions": ["s"],
            "VisibleInPreferenceCenter": True,
        }
    ],
    "list_webhooks": [{"WebhookID": "s", "Events": ["s"], "Url": "s", "Status": "s", "PayloadFormat": "s"}],
    "suppressionlist": {
        "Results": [{"SuppressionReason": "s", "EmailAddress": "s", "Date": "s", "State": "s"}],
        **PAGE,
    },
    "campaign_recipients": {"Results": [{"EmailAddress": "s", "ListID": "s"}], **PAGE},
    "campaign_opens": {"Results": [{"EmailAddress": "s", "ListID": "s", "Date": "s", **GEO}], **PAGE},
    "campaign_clicks": {
        "Results": [{"EmailAddress": "s", "URL": "s", "ListID": "s", "Date": "s", **GEO}],
        **PAGE,
    },
    "campaign_unsubscribes": {
        "Results": [{"EmailAddress": "s", "ListID": "s", "Date": "s", "IPAddress": "s"}],
        **PAGE,
    },
}

ENDPOINTS = {
    "clients": "/clients.json",
    "systemdate": "/systemdate.json",
    "timezones": "/timezones.json",
    "countries": "/countries.json",
    "billingdetails": "/billingdetails.json",
    "client_details": "/clients/{client}.json",
    "lists": "/clients/{client}/lists.json",
    "segments": "/clients/{client}/segments.json",
    "campaigns": "/clients/{client}/campaigns.json",
    "tags": "/clients/{client}/tags.json",
    "listsforemail": "/clients/{client}/listsforemail.json?email={email}",
    "suppressionlist": "/clients/{client}/suppressionlist.json",
    "list_details": "/lists/{list}.json",
    "list_stats": "/lists/{list}/stats.json",
    "custom_fields": "/lists/{list}/customfields.json",
    "list_webhooks": "/lists/{list}/webhooks.json",
    "active_subscribers": "/lists/{list}/active.json",
    "active_subscribers_with_tracking_preference": (
        "/lists/{list}/active.json?includetrackingpreference=True"
    ),
    "unconfirmed_subscribers": "/lists/{list}/unconfirmed.json",
    "unsubscribed_subscribers": "/lists/{list}/unsubscribed.json",
    "bounced_subscribers": "/lists/{list}/bounced.json",
    "deleted_subscribers": "/lists/{list}/deleted.json",
    "segment_details": "/segments/{segment}.json",
    "segment_subscribers": "/segments/{segment}/active.json",
    "segment_subscribers_with_tracking_preference": (
        "/segments/{segment}/active.json?includetrackingpreference=true"
    ),
    "subscriber_details": "/subscribers/{list}.json?email={email}",
    "subscriber_details_with_tracking_preference": (
        "/subscribers/{list}.json?email={email}&includetrackingpreference=true"
    ),
    "subscriber_history": "/subscribers/{list}/history.json?email={reader}",
    "campaign_summary": "/campaigns/{campaign}/summary.json",
    "campaign_listsandsegments": "/campaigns/{campaign}/listsandsegments.json",
    "campaign_recipients": "/campaigns/{campaign}/recipients.json",
    "campaign_opens": "/campaigns/{campaign}/opens.json",
    "campaign_clicks": "/campaigns/{campaign}/clicks.json",
    "campaign_bounces": "/campaigns/{campaign}/bounces.json",
    "campaign_unsubscribes": "/campaigns/{campaign}/unsubscribes.json",
    "campaign_spam": "/campaigns/{campaign}/spam.json",
    "email_client_usage": "/campaigns/{campaign}/emailclientusage.json",
}


def recorded(name):
    path = RECORDED / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else LITERALS.get(name)


def complaint(actual, expected, where="$"):
    """What is wrong with the shape of `actual`, or nothing."""
    if type(actual) is not type(expected):
        return f"{where}: {type(actual).__name__}, recorded {type(expected).__name__}"
    if isinstance(expected, dict):
        if list(actual) != list(expected):
            return f"{where}: {list(actual)}, recorded {list(expected)}"
        found = (complaint(actual[key], expected[key], f"{where}.{key}") for key in expected)
        return next(filter(None, found), None)
    if isinstance(expected, list) and expected:
        for position, item in enumerate(actual):
            wrong = [complaint(item, one, f"{where}[{position}]") for one in expected]
            if all(wrong):
                return wrong[0]
    return None


@pytest.fixture(scope="module")
def server():
    with SimulatorServer(people=300, activity_rows=4000) as running:
        yield running


@pytest.fixture(scope="module")
def session(server):
    with requests.Session() as opened:
        opened.auth = (server.api_key, "x")
        yield opened


@pytest.fixture(scope="module")
def known(server, session):
    client = next(iter(server.account.clients.values()))
    owner = next(iter(client.lists.values()))
    campaign = next(
        one for one in client.campaigns.values() if all(len(report) for report in one.reports.values())
    )
    hook = {"Events": ["Subscribe"], "Url": "https://example.org/hook", "PayloadFormat": "xml"}
    session.post(f"{server.api_url}/lists/{owner.list_id}/webhooks.json", json=hook)
    reader = next(
        row.EmailAddress
        for row in campaign.reports["opens"].rows()
        if owner.find(row.EmailAddress) is not None
    )
    filled = next(one for one in owner.subscribers.values() if one.values and one.state == "Active")
    return {
        "client": client.client_id,
        "list": owner.list_id,
        "segment": next(iter(owner.segments)),
        "campaign": campaign.campaign_id,
        "email": filled.email.replace("+", "%2B"),
        "reader": reader.replace("+", "%2B"),
    }


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if recorded(name) is not None])
def test_an_answer_has_the_recorded_shape(name, server, session, known):
    answer = session.get(server.api_url + ENDPOINTS[name].format(**known))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert body
    assert body.get("Results", True) if isinstance(body, dict) else True
    assert complaint(body, recorded(name)) is None


@pytest.mark.parametrize("name", sorted(LITERALS))
def test_the_main_answers_have_the_shape_written_here(name, server, session, known):
    body = session.get(server.api_url + ENDPOINTS[name].format(**known)).json()
    assert complaint(body, LITERALS[name]) is None


def test_import_answers_have_the_recorded_shape(server, session, known):
    url = f"{server.api_url}/subscribers/{known['list']}/import.json"
    good = {"EmailAddress": "new.one@example.org", "Name": "New", "ConsentToTrack": "Yes"}
    answer = session.post(url, json={"Subscribers": [good]})
    assert answer.status_code == 201
    assert answer.json() == {
        "FailureDetails": [],
        "TotalUniqueEmailsSubmitted": 1,
        "TotalExistingSubscribers": 0,
        "TotalNewSubscribers": 1,
        "DuplicateEmailsInSubmission": [],
    }
    answer = session.post(url, json={"Subscribers": [good, {**good, "EmailAddress": "example+1@example"}]})
    assert answer.status_code == 400
    body = answer.json()
    assert body == {
        "ResultData": {
            "TotalUniqueEmailsSubmitted": 2,
            "TotalExistingSubscribers": 1,
            "TotalNewSubscribers": 0,
            "DuplicateEmailsInSubmission": [],
            "FailureDetails": [
                {"EmailAddress": "example+1@example", "Code": 1, "Message": "Invalid Email Address"}
            ],
        },
        "Code": 210,
        "Message": "Subscriber Import had some failures",
    }
    assert list(body) == ["ResultData", "Code", "Message"]
    assert list(body["ResultData"])[-1] == "FailureDetails"
