"""Recorded answers of the real service become values, every field."""

import msgspec
import pytest

from listbridge.campaign_monitor.answers import Answer, decode, decode_page
from listbridge.campaign_monitor.calls.subscribers import import_result
from listbridge.campaign_monitor.models import (
    Campaign,
    CampaignSummary,
    Client,
    CustomField,
    FieldValue,
    ImportFailure,
    ImportResult,
    ImportRow,
    ListDetails,
    ListMembership,
    ListsAndSegments,
    ListStats,
    Model,
    NamedClient,
    NamedList,
    NamedSegment,
    Page,
    RuleGroup,
    Segment,
    SegmentRule,
    StoredValue,
    Subscriber,
    SuppressedAddress,
    SystemDate,
    Webhook,
    api_name,
)
from listbridge.campaign_monitor.reports import (
    REPORTS,
    Bounce,
    Click,
    Open,
    Recipient,
    SpamComplaint,
    Unsubscribe,
)

LIST = "512a3bc577a58fdf689c654329b50fa0"
PLACE = {
    "IPAddress": "192.168.126.87",
    "Latitude": -33.8683,
    "Longitude": 151.2086,
    "City": "Sydney",
    "Region": "New South Wales",
    "CountryCode": "AU",
    "CountryName": "Australia",
}
SEEN = {"EmailAddress": "subs+6576576576@example.com", "ListID": LIST, "Date": "2010-10-11 08:29:00"}


def body_of(value, status=200, endpoint="GET /x"):
    return Answer(endpoint, status, {}, msgspec.json.encode(value))


# name of the recording, shape, and an answer of the same shape
ROWS = [
    ("active_subscribers", Subscriber, {"EmailAddress": "a@b.example", "Date": "", "State": "Active"}),
    ("active_subscribers_with_tracking_preference", Subscriber, None),
    ("unconfirmed_subscribers", Subscriber, None),
    ("unsubscribed_subscribers", Subscriber, None),
    ("bounced_subscribers", Subscriber, None),
    ("deleted_subscribers", Subscriber, None),
    ("segment_subscribers", Subscriber, None),
    ("suppressionlist", SuppressedAddress, {"EmailAddress": "a@b.example", "Date": "2010-10-26 10:55:31"}),
    ("campaigns", Campaign, {"CampaignID": "c", "Name": "n", "SentDate": "2010-10-12 12:58:00"}),
    ("campaign_recipients", Recipient, {"EmailAddress": "a@b.example", "ListID": LIST}),
    ("campaign_opens", Open, SEEN | PLACE),
    ("campaign_clicks", Click, SEEN | PLACE | {"URL": "https://example.com/"}),
    ("campaign_bounces", Bounce, SEEN | {"BounceType": "Soft", "Reason": "Soft Bounce - General"}),
    ("campaign_unsubscribes", Unsubscribe, SEEN | {"IPAddress": "192.168.126.87"}),
    ("campaign_spam", SpamComplaint, SEEN),
]

VALUES = [
    ("clients", tuple[NamedClient, ...], [{"ClientID": "c", "Name": "One"}]),
    (
        "client_details",
        Client,
        {"BasicDetails": {"ClientID": "c", "CompanyName": "One", "TimeZone": "(GMT) X"}},
    ),
    ("systemdate", SystemDate, {"SystemDate": "2010-10-15 09:27:00"}),
    ("lists", tuple[NamedList, ...], [{"ListID": LIST, "Name": "One"}]),
    ("listsforemail", tuple[ListMembership, ...], []),
    ("list_details", ListDetails, {"ListID": LIST, "Title": "One"}),
    ("custom_fields", tuple[CustomField, ...], []),
    ("custom_fields_utf8", tuple[CustomField, ...], []),
    ("list_webhooks", tuple[Webhook, ...], []),
    ("segments", tuple[NamedSegment, ...], []),
    ("segment_details", Segment, {"ListID": LIST, "SegmentID": "s", "Title": "One"}),
    ("subscriber_details", Subscriber, {"EmailAddress": "a@b.example", "Date": "", "State": "Active"}),
    (
        "subscriber_details_with_tracking_preference",
        Subscriber,
        {"EmailAddress": "", "Date": "", "State": ""},
    ),
    ("campaign_listsandsegments", ListsAndSegments, {"Lists": [], "Segments": []}),
    ("create_segment", str, "0246c2aea610a3545d9780bf6ab890061234"),
    ("create_list_webhook", str, "6a783d359bd44ef62c6ca0d3eda4412a"),
    ("create_custom_field", str, "[newdatefield]"),
    ("add_subscriber", str, "subscriber@example.com"),
]


def test_field_names_are_the_apis():
    assert api_name("email_address") == "EmailAddress"
    assert api_name("web_version_url") == "WebVersionURL"
    assert api_name("list_id") == "ListID"
    assert api_name("ip_address") == "IPAddress"


@pytest.mark.parametrize(("name", "shape", "otherwise"), VALUES, ids=[row[0] for row in VALUES])
def test_a_recorded_answer_keeps_everything_that_its_model_names(recorded, name, shape, otherwise):
    given = recorded(name, otherwise)
    assert_kept(msgspec.to_builtins(decode(body_of(given), shape)), given)


@pytest.mark.parametrize(("name", "row", "otherwise"), ROWS, ids=[row[0] for row in ROWS])
def test_a_recorded_page_keeps_every_row_and_field_that_its_model_names(
    recorded, page_of, name, row, otherwise
):
    given = recorded(name, page_of([otherwise] if otherwise else []))
    page = decode_page(body_of(given), row)
    assert page.unreadable == ()
    assert len(page.results) == len(given["Results"])
    assert_kept(msgspec.to_builtins(page), given)


def assert_kept(decoded, given):
    """Everything in `decoded` that was given is as it was given."""
    if isinstance(decoded, dict):
        for name in decoded.keys() & given.keys():
            assert_kept(decoded[name], given[name])
    elif isinstance(decoded, list | tuple):
        assert len(decoded) == len(given)
        for one, other in zip(decoded, given, strict=True):
            assert_kept(one, other)
    else:
        assert decoded == given


@pytest.mark.parametrize(("name", "row", "otherwise"), ROWS, ids=[row[0] for row in ROWS])
def test_no_field_of_a_recorded_row_is_left_behind(recorded, page_of, name, row, otherwise):
    given = recorded(name, page_of([otherwise] if otherwise else []))
    known = {field.encode_name for field in msgspec.structs.fields(row)}
    assert {field for one in given["Results"] for field in one} <= known


def test_the_values_of_a_field_of_many_options_are_the_same_key_repeated(recorded, page_of):
    row = {
        "EmailAddress": "a@b.example",
        "Date": "2010-10-25 10:28:00",
        "State": "Active",
        "CustomFields": [
            {"Key": "website", "Value": "https://example.com"},
            {"Key": "multi select field", "Value": "option one"},
            {"Key": "multi select field", "Value": "option two"},
        ],
    }
    page = decode_page(body_of(recorded("active_subscribers", page_of([row]))), Subscriber)
    assert page.results[0].custom_fields[1:3] == (
        StoredValue("multi select field", "option one"),
        StoredValue("multi select field", "option two"),
    )


def test_a_campaign_was_sent_to_its_lists_and_to_those_of_its_segments(recorded):
    segment = {"ListID": "2bea949d0bf96148c3e6a209d2e82060", "SegmentID": "s", "Title": "Some"}
    otherwise = {
        "Lists": [{"ListID": "a58ee1d3039b8bec838e6d1482a8a965", "Name": "One"}],
        "Segments": [segment],
    }
    sent_to = decode(body_of(recorded("campaign_listsandsegments", otherwise)), ListsAndSegments)
    assert sent_to.list_ids == {"a58ee1d3039b8bec838e6d1482a8a965", "2bea949d0bf96148c3e6a209d2e82060"}


def test_a_clients_api_key_is_not_decoded():
    given = {"ApiKey": "639d8cc2", "BasicDetails": {"ClientID": "c", "CompanyName": "o", "TimeZone": "z"}}
    assert "639d8cc2" not in repr(decode(body_of(given), Client))


def test_webhook_ids_may_have_16_or_32_digits(recorded):
    row = {"Events": ["Update"], "Url": "https://x.example", "Status": "Active", "PayloadFormat": "Json"}
    given = [row | {"WebhookID": "943678317049bc13"}, row | {"WebhookID": "6a783d359bd44ef62c6ca0d3eda4412a"}]
    assert [len(hook.webhook_id) for hook in decode(body_of(given), tuple[Webhook, ...])] == [16, 32]


def test_statistics_and_totals_are_read(recorded):
    stats = decode(
        body_of(
            recorded(
                "list_stats",
                {
                    "TotalActiveSubscribers": 6,
                    "NewActiveSubscribersYesterday": 8,
                    "TotalUnsubscribes": 2,
                    "TotalDeleted": 0,
                    "TotalBounces": 0,
                },
            )
        ),
        ListStats,
    )
    assert (stats.total_active_subscribers, stats.new_active_subscribers_yesterday) == (6, 8)
    names = ["Recipients", "TotalOpened", "Clicks", "Unsubscribed", "Bounced", "UniqueOpened"]
    given = recorded("campaign_summary", dict(zip(names, (5, 10, 0, 0, 0, 5), strict=True)))
    summary = decode(body_of(given), CampaignSummary)
    assert (summary.total_opened, summary.unique_opened) == (10, 5)


def test_a_clean_import_is_read(recorded):
    given = {
        "FailureDetails": [],
        "TotalUniqueEmailsSubmitted": 3,
        "TotalExistingSubscribers": 0,
        "TotalNewSubscribers": 3,
        "DuplicateEmailsInSubmission": [],
    }
    assert import_result(body_of(recorded("import_subscribers", given), 201)) == ImportResult(3, 0, 3)


def test_an_import_with_refused_rows_is_read_from_its_400(recorded):
    failure = {"EmailAddress": "example+1@example", "Code": 1, "Message": "Invalid Email Address"}
    given = {
        "ResultData": {
            "TotalUniqueEmailsSubmitted": 3,
            "TotalExistingSubscribers": 2,
            "TotalNewSubscribers": 0,
            "DuplicateEmailsInSubmission": [],
            "FailureDetails": [failure],
        },
        "Code": 210,
        "Message": "Subscriber Import had some failures",
    }
    result = import_result(body_of(recorded("import_subscribers_partial_success", given), 400))
    assert result.failure_details == (ImportFailure("example+1@example", 1, "Invalid Email Address"),)
    assert result.total_unique_emails_submitted == 3


def test_a_row_is_sent_with_what_it_has_and_nothing_more():
    assert msgspec.to_builtins(ImportRow("a@b.example", "Unchanged")) == {
        "EmailAddress": "a@b.example",
        "ConsentToTrack": "Unchanged",
    }


def test_an_empty_value_is_sent_with_its_clear():
    values = (FieldValue("[k]", "one"), FieldValue("[k]", "", clear=True))
    row = ImportRow("a@b.example", "Yes", name="", custom_fields=values, mobile_number="")
    assert msgspec.json.decode(msgspec.json.encode(row)) == {
        "EmailAddress": "a@b.example",
        "ConsentToTrack": "Yes",
        "Name": "",
        "MobileNumber": "",
        "CustomFields": [{"Key": "[k]", "Value": "one"}, {"Key": "[k]", "Value": "", "Clear": True}],
    }


def test_models_cannot_be_changed():
    rule = SegmentRule("Name", "PROVIDED")
    with pytest.raises(AttributeError):
        rule.clause = "EQUALS x"
    assert hash(RuleGroup((rule,))) == hash(RuleGroup((SegmentRule("Name", "PROVIDED"),)))


def test_every_report_has_rows_with_a_person_and_a_list_and_an_order_that_it_takes():
    for report in REPORTS.values():
        assert {"email_address", "list_id"} <= set(report.row.__struct_fields__)
        assert ("date" in report.row.__struct_fields__) is report.takes_date
        assert report.default_order in report.order_fields


def test_the_envelope_is_read_with_all_its_numbers(page_of):
    page: Page[Recipient] = decode_page(body_of(page_of([], 2, 3, 2200)), Recipient)
    assert (page.page_number, page.number_of_pages, page.total_number_of_records) == (2, 3, 2200)
    assert (page.results_ordered_by, page.order_direction, page.page_size) == ("date", "asc", 1000)


def test_all_models_share_one_base():
    assert issubclass(Subscriber, Model)
    assert issubclass(Page, Model)
