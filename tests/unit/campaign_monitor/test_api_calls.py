"""What each call puts on the wire, and what it makes of the answer."""

import base64

import pytest

from listbridge.campaign_monitor import (
    AlreadyExists,
    FieldValue,
    ImportResult,
    ImportRow,
    InvalidRequest,
    LimitExceeded,
    NotVisible,
    RowRefused,
    RuleGroup,
    SegmentRule,
    UnknownRefusal,
    UnreadableAnswer,
    WebhookTestFailed,
)
from listbridge.campaign_monitor.reports import REPORTS

ROW = ImportRow("ann+news@example.com", "Yes", name="Ann", custom_fields=(FieldValue("[a]", "one"),))
SENT_ROW = {
    "EmailAddress": "ann+news@example.com",
    "ConsentToTrack": "Yes",
    "Name": "Ann",
    "CustomFields": [{"Key": "[a]", "Value": "one"}],
}
FLAGS = {"Resubscribe": False, "RestartSubscriptionBasedAutoresponders": False}
GROUP = RuleGroup((SegmentRule("[a]", "EQUALS one"), SegmentRule("[a]", "EQUALS two")))
PAGING = "page=1&pagesize=1000&orderfield=date&orderdirection=asc"

COMMANDS = [
    # call, method, path, query, body
    (
        lambda api: api.update_options("l1", "[Ann's £]", ("a", "b")),
        "PUT",
        "/lists/l1/customfields/%5BAnn%27s%20%C2%A3%5D/options.json",
        "",
        {"KeepExistingOptions": True, "Options": ["a", "b"]},
    ),
    (
        lambda api: api.update_subscriber("l1", "ann+old@example.com", ROW),
        "PUT",
        "/subscribers/l1.json",
        "email=ann%2Bold%40example.com",
        SENT_ROW | FLAGS,
    ),
    (
        lambda api: api.unsubscribe("l1", "ann+news@example.com"),
        "POST",
        "/subscribers/l1/unsubscribe.json",
        "",
        {"EmailAddress": "ann+news@example.com"},
    ),
    (
        lambda api: api.delete_subscriber("l1", "ann+news@example.com"),
        "DELETE",
        "/subscribers/l1.json",
        "email=ann%2Bnews%40example.com",
        None,
    ),
    (
        lambda api: api.suppress("c1", ("ann@example.com", "bo@example.com")),
        "POST",
        "/clients/c1/suppress.json",
        "",
        {"EmailAddresses": ["ann@example.com", "bo@example.com"]},
    ),
    (
        lambda api: api.unsuppress("c1", "a b+c@example.com"),
        "PUT",
        "/clients/c1/unsuppress.json",
        "email=a%20b%2Bc%40example.com",
        None,
    ),
    (lambda api: api.activate_webhook("l1", "w1"), "PUT", "/lists/l1/webhooks/w1/activate.json", "", None),
    (
        lambda api: api.deactivate_webhook("l1", "w1"),
        "PUT",
        "/lists/l1/webhooks/w1/deactivate.json",
        "",
        None,
    ),
    (lambda api: api.test_webhook("l1", "w1"), "GET", "/lists/l1/webhooks/w1/test.json", "", None),
    (lambda api: api.delete_webhook("l1", "w1"), "DELETE", "/lists/l1/webhooks/w1.json", "", None),
]

CREATIONS = [
    (
        lambda api: api.create_custom_field("l1", "Lytics Audiences", "MultiSelectMany", ["a"]),
        "/lists/l1/customfields.json",
        {
            "FieldName": "Lytics Audiences",
            "DataType": "MultiSelectMany",
            "Options": ["a"],
            "VisibleInPreferenceCenter": False,
        },
        "[LyticsAudiences]",
    ),
    (
        lambda api: api.create_custom_field("l1", "age", "Number", visible_in_preference_center=True),
        "/lists/l1/customfields.json",
        {"FieldName": "age", "DataType": "Number", "VisibleInPreferenceCenter": True},
        "[age]",
    ),
    (
        lambda api: api.create_segment("l1", "Both", [GROUP]),
        "/segments/l1.json",
        {
            "Title": "Both",
            "RuleGroups": [
                {
                    "Rules": [
                        {"RuleType": "[a]", "Clause": "EQUALS one"},
                        {"RuleType": "[a]", "Clause": "EQUALS two"},
                    ]
                }
            ],
        },
        "0246c2aea610a3545d9780bf6ab89006",
    ),
    (
        lambda api: api.create_webhook("l1", "https://hooks.example/t", ("Subscribe", "Update")),
        "/lists/l1/webhooks.json",
        {"Events": ["Subscribe", "Update"], "Url": "https://hooks.example/t", "PayloadFormat": "json"},
        "943678317049bc13",
    ),
    (
        lambda api: api.add_subscriber("l1", ROW, resubscribe=True),
        "/subscribers/l1.json",
        SENT_ROW | FLAGS | {"Resubscribe": True},
        "ann+news@example.com",
    ),
]

PAGES = [
    (
        lambda api: api.subscribers(
            "l1", "unsubscribed", date="2024-01-02 03:04", page=2, include_tracking=True
        ),
        "/lists/l1/unsubscribed.json",
        "page=2&pagesize=1000&orderfield=date&orderdirection=asc&date=2024-01-02%2003%3A04"
        "&includetrackingpreference=true",
    ),
    (
        lambda api: api.subscribers(
            "l1", "active", page_size=10, order_field="email", order_direction="desc"
        ),
        "/lists/l1/active.json",
        "page=1&pagesize=10&orderfield=email&orderdirection=desc&includetrackingpreference=false",
    ),
    (
        lambda api: api.campaigns("c1", sent_from="2024-01-02", sent_to="2024-02-03"),
        "/clients/c1/campaigns.json",
        "page=1&pagesize=1000&orderdirection=asc&sentFromDate=2024-01-02&sentToDate=2024-02-03",
    ),
    (lambda api: api.suppression_list("c1"), "/clients/c1/suppressionlist.json", PAGING),
    (lambda api: api.report("k1", "opens"), "/campaigns/k1/opens.json", PAGING),
    (
        lambda api: api.report("k1", "clicks", date="2024-01-02 03:04"),
        "/campaigns/k1/clicks.json",
        PAGING + "&date=2024-01-02%2003%3A04",
    ),
    (
        lambda api: api.journey_report("e1", "recipients", "l1", date="2024-01-02 03:04"),
        "/journeys/email/e1/recipients.json",
        "page=1&pagesize=1000&orderdirection=asc&date=2024-01-02%2003%3A04",
    ),
    (
        lambda api: api.report("k1", "recipients", order_field="list"),
        "/campaigns/k1/recipients.json",
        "page=1&pagesize=1000&orderfield=list&orderdirection=asc",
    ),
]

VALUES = [
    (lambda api: api.system_date(), "/systemdate.json", "", {"SystemDate": "2010-10-15 09:27:00"}),
    (lambda api: api.clients(), "/clients.json", "", []),
    (lambda api: api.lists("c1"), "/clients/c1/lists.json", "", []),
    (
        lambda api: api.lists_for_email("c1", "ann+x@example.com"),
        "/clients/c1/listsforemail.json",
        "email=ann%2Bx%40example.com",
        [],
    ),
    (lambda api: api.list("l1"), "/lists/l1.json", "", {"ListID": "l1", "Title": "One"}),
    (
        lambda api: api.list_stats("l1"),
        "/lists/l1/stats.json",
        "",
        dict.fromkeys(["TotalActiveSubscribers", "TotalUnsubscribes", "TotalDeleted", "TotalBounces"], 0),
    ),
    (lambda api: api.custom_fields("l1"), "/lists/l1/customfields.json", "", []),
    (lambda api: api.list_segments("l1"), "/lists/l1/segments.json", "", []),
    (
        lambda api: api.segment("s1"),
        "/segments/s1.json",
        "",
        {"ListID": "l1", "SegmentID": "s1", "Title": "One"},
    ),
    (lambda api: api.webhooks("l1"), "/lists/l1/webhooks.json", "", []),
    (
        lambda api: api.campaign_lists_and_segments("k1"),
        "/campaigns/k1/listsandsegments.json",
        "",
        {"Lists": [], "Segments": []},
    ),
    (lambda api: api.journeys("c1"), "/clients/c1/journeys.json", "", []),
    (
        lambda api: api.journey_summary("j1"),
        "/journeys/j1.json",
        "",
        {"JourneyID": "j1", "Name": "One", "Emails": []},
    ),
    (
        lambda api: api.campaign_summary("k1"),
        "/campaigns/k1/summary.json",
        "",
        dict.fromkeys(["Recipients", "TotalOpened", "Clicks", "Unsubscribed", "Bounced", "UniqueOpened"], 0),
    ),
    (
        lambda api: api.client("c1"),
        "/clients/c1.json",
        "",
        {"BasicDetails": {"ClientID": "c1", "CompanyName": "One", "TimeZone": "(GMT) Casablanca"}},
    ),
]


@pytest.mark.parametrize(("call", "method", "path", "query", "body"), COMMANDS)
def test_a_command_is_one_request_and_takes_an_empty_answer(api, service, call, method, path, query, body):
    service.reply(200)
    assert call(api) is None
    request = service.last
    assert (request.method, request.path, request.query) == (method, "/api/v3.3" + path, query)
    assert (request.json if request.body else None) == body
    assert len(service.requests) == 1


@pytest.mark.parametrize(("call", "path", "body", "created"), CREATIONS)
def test_a_creation_returns_what_the_service_names_it(api, service, call, path, body, created):
    service.reply(201, created)
    assert call(api) == created
    assert (service.last.method, service.last.path) == ("POST", "/api/v3.3" + path)
    assert service.last.json == body


@pytest.mark.parametrize(("call", "path", "query"), PAGES)
def test_a_page_is_asked_for_with_all_its_parameters(api, service, call, path, query):
    service.reply_page([])
    assert call(api).is_empty
    assert (service.last.method, service.last.path, service.last.query) == ("GET", "/api/v3.3" + path, query)


@pytest.mark.parametrize(("call", "path", "query", "answer"), VALUES)
def test_a_value_is_read(api, service, call, path, query, answer):
    service.reply(200, answer)
    assert call(api) is not None
    assert (service.last.method, service.last.path, service.last.query) == ("GET", "/api/v3.3" + path, query)


def test_every_call_carries_the_key_as_user_name_and_asks_for_json(api, service):
    service.reply(200, [])
    api.clients()
    scheme, _, code = service.last.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(code)) == ("Basic", b"secret-key:x")
    assert service.last.headers["Accept"] == "application/json"
    assert service.last.headers["User-Agent"].startswith("listbridge/")


def test_a_body_is_sent_as_json_in_utf_8(api, service):
    service.reply(200)
    api.unsubscribe("l1", "jörg@müller.example")
    assert service.last.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "jörg@müller.example".encode() in service.last.body


@pytest.mark.parametrize("report", REPORTS)
def test_the_rows_of_a_report_are_of_its_kind(api, service, report):
    row = {"EmailAddress": "a@b.example", "ListID": "l1", "Date": "2024-01-01 00:00:00", "BounceType": "Hard"}
    service.reply_page([row | {"URL": "https://example.com/"}])
    assert type(api.report("k1", report).results[0]) is REPORTS[report].row


# People


def test_a_person_who_was_never_in_the_list_is_none(api, service):
    service.reply(400, {"Code": 203, "Message": "Subscriber not in list or has already been removed."})
    assert api.subscriber("l1", "ann+x@example.com") is None
    assert service.last.query == "email=ann%2Bx%40example.com&includetrackingpreference=false"


def test_another_refusal_of_a_person_is_an_error(api, service):
    service.reply(400, {"Code": 1, "Message": "Please provide a valid email address."})
    with pytest.raises(RowRefused) as caught:
        api.subscriber("l1", "ann")
    assert caught.value.code == 1


def test_an_import_sends_rows_and_flags_and_reads_what_was_stored(api, service):
    service.reply(
        201, {"TotalUniqueEmailsSubmitted": 1, "TotalExistingSubscribers": 0, "TotalNewSubscribers": 1}
    )
    assert api.import_subscribers("l1", [ROW], queue_autoresponders=True) == ImportResult(1, 0, 1)
    assert service.last.path == "/api/v3.3/subscribers/l1/import.json"
    assert service.last.json == FLAGS | {
        "Subscribers": [SENT_ROW],
        "QueueSubscriptionBasedAutoResponders": True,
    }


def test_refused_rows_of_an_import_are_a_result_and_not_an_error(api, service):
    failure = {"EmailAddress": "ann+news@example.com", "Code": 206, "Message": "Is Unsubscribed"}
    data = {
        "TotalUniqueEmailsSubmitted": 1,
        "TotalExistingSubscribers": 0,
        "TotalNewSubscribers": 0,
        "FailureDetails": [failure],
    }
    service.reply(400, {"Code": 210, "Message": "Subscriber Import had some failures", "ResultData": data})
    assert [row.code for row in api.import_subscribers("l1", [ROW]).failure_details] == [206]


def test_an_import_whose_failures_cannot_be_read_may_have_been_applied(api, service):
    service.reply(400, {"Code": 210, "Message": "Subscriber Import had some failures"})
    with pytest.raises(UnreadableAnswer) as caught:
        api.import_subscribers("l1", [ROW])
    assert caught.value.may_have_been_applied
    assert caught.value.code == 210


def test_an_import_that_is_refused_whole_is_an_error(api, service):
    service.reply(400, {"Code": 4242, "Message": "Failed to deserialize your request."})
    with pytest.raises(UnknownRefusal) as caught:
        api.import_subscribers("l1", [ROW])
    assert not caught.value.may_have_been_applied


# Refusals and limits


@pytest.mark.parametrize(
    ("call", "status", "code", "kind"),
    [
        (lambda api: api.create_custom_field("l1", "age", "Number"), 400, 255, AlreadyExists),
        (lambda api: api.create_segment("l1", "One", []), 400, 275, AlreadyExists),
        (lambda api: api.test_webhook("l1", "w1"), 400, 610, WebhookTestFailed),
        (lambda api: api.list("l1"), 401, 102, NotVisible),
        (lambda api: api.unsuppress("c1", "a@b.example"), 400, 176, RowRefused),
    ],
)
def test_a_refusal_is_the_error_that_its_code_says(api, service, call, status, code, kind):
    service.reply(status, {"Code": code, "Message": "no"})
    with pytest.raises(kind) as caught:
        call(api)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.import_subscribers("l1", []),
        lambda api: api.import_subscribers("l1", [ROW] * 1001),
        lambda api: api.create_custom_field("l1", "x" * 101, "Text"),
        lambda api: api.create_custom_field("l1", " ", "Text"),
        lambda api: api.subscribers("l1", "active", page=0),
        lambda api: api.subscribers("l1", "active", page_size=9),
        lambda api: api.report("k1", "opens", page_size=1001),
        lambda api: api.report("k1", "opens", order_field="name"),
        lambda api: api.report("k1", "recipients", date="2024-01-01"),
        lambda api: api.list(""),
        lambda api: api.list(".."),
    ],
)
def test_what_the_api_cannot_take_is_refused_before_anything_is_sent(api, service, call):
    with pytest.raises(InvalidRequest):
        call(api)
    assert service.requests == []


def test_an_id_cannot_lead_to_another_path(api, service):
    service.reply(200, {"ListID": "l1", "Title": "One"})
    api.list("../clients/c1?x=")
    assert service.last.path == "/api/v3.3/lists/..%2Fclients%2Fc1%3Fx%3D.json"


def test_rows_with_too_long_a_value_are_named_before_anything_is_sent(api, service):
    long = ImportRow("bo@example.com", "Yes", custom_fields=(FieldValue("[bio]", "x" * 251),))
    fits = ImportRow("cy@example.com", "Yes", custom_fields=(FieldValue("[bio]", "x" * 250),))
    with pytest.raises(LimitExceeded) as caught:
        api.import_subscribers("l1", [ROW, long, fits, long])
    assert caught.value.rows == (1, 3)
    assert "[bio]" in str(caught.value)
    assert "bo@" not in str(caught.value)
    with pytest.raises(LimitExceeded):
        api.update_subscriber("l1", "bo@example.com", long)
    assert service.requests == []
