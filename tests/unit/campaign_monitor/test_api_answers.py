import time

import msgspec
import pytest

from listbridge.campaign_monitor.answers import (
    Answer,
    decode,
    decode_page,
    error_of,
    preview,
    quota_of,
    retry_after_seconds,
)
from listbridge.campaign_monitor.errors import (
    AddressTooFast,
    InvalidRequest,
    RateLimited,
    RowRefused,
    ServerProblem,
    UnreadableAnswer,
)
from listbridge.campaign_monitor.models import Campaign, ListStats, Page, Subscriber

READ, WRITE = "GET /subscribers/{list}", "POST /subscribers/{list}"

SUBSCRIBER = {
    "EmailAddress": "ann@example.com",
    "Name": "Ann Other",
    "Date": "2010-10-25 10:28:00",
    "ListJoinedDate": "2010-10-24 10:28:00",
    "State": "Active",
    "CustomFields": [{"Key": "a", "Value": "one"}, {"Key": "a", "Value": "two"}, {"Key": "n", "Value": "24"}],
    "ReadsEmailWith": "Gmail",
    "ConsentToTrack": "Yes",
}


def answer(status=200, body=b"", endpoint=READ, **headers):
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(endpoint, status, given, content)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_2xx_is_no_error(status):
    assert error_of(answer(status)) is None


def test_an_error_keeps_status_code_message_and_endpoint():
    error = error_of(answer(400, {"Code": 203, "Message": "Subscriber not in list"}))
    assert type(error) is RowRefused
    assert (error.status, error.code, error.endpoint) == (400, 203, READ)
    assert error.message == "Subscriber not in list"


def test_the_result_data_of_an_error_is_kept_but_not_shown():
    error = error_of(
        answer(400, {"Code": 277, "Message": "bad", "ResultData": [{"Subject": "ann@example.com"}]})
    )
    assert type(error) is InvalidRequest
    assert error.result_data == [{"Subject": "ann@example.com"}]
    assert "ann" not in str(error)


def test_an_error_with_a_body_that_is_not_the_apis_is_decided_by_its_status():
    error = error_of(
        answer(504, b"<html><h1>Gateway</h1>for ann@example.com</html>", Content_Type="text/html")
    )
    assert type(error) is ServerProblem
    assert error.code is None
    assert "Gateway Timeout" in str(error)
    assert "text/html" in str(error)
    assert "ann" not in str(error)


@pytest.mark.parametrize(
    ("endpoint", "status", "code", "ambiguous"),
    [
        (WRITE, 500, 500, True),
        (WRITE, 502, None, True),
        (WRITE, 504, None, True),
        (READ, 500, 500, False),
        (WRITE, 429, 429, False),
        (WRITE, 400, 1, False),
        (WRITE, 401, 100, False),
        (WRITE, 404, None, False),
        (WRITE, 302, None, False),
    ],
)
def test_only_a_write_that_the_server_failed_at_may_have_been_applied(endpoint, status, code, ambiguous):
    body = b"<html>" if code is None else {"Code": code, "Message": "m"}
    assert error_of(answer(status, body, endpoint)).may_have_been_applied is ambiguous


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"X-RateLimit-Reset": "348"}, 348),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7", "X-RateLimit-Reset": "5"}, 7),
        ({"X-RateLimit-Reset": "0"}, 0),
        ({"X-RateLimit-Reset": "-3"}, None),
        ({"X-RateLimit-Reset": "1790000000"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "nan"}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 10),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT"}, None),
        ({"Retry-After": "whenever", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, None),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(headers, seconds):
    assert retry_after_seconds(headers) == seconds


def test_a_429_without_headers_leaves_the_wait_open():
    error = error_of(answer(429, {"Code": 429, "Message": "Rate limit exceeded"}))
    assert type(error) is RateLimited
    assert error.retry_after_seconds is None


def test_a_429_with_headers_says_how_long_to_wait():
    assert error_of(answer(429, b"", X_RateLimit_Reset="12")).retry_after_seconds == 12


@pytest.mark.parametrize("endpoint", ["POST /subscribers/{list}", "PUT /subscribers/{list}"])
def test_a_429_to_a_write_of_one_address_is_about_the_address_unless_it_tells_a_limit(endpoint):
    body = {"Code": 429, "Message": "Subscriber was added too many times too quickly, try again later."}
    assert type(error_of(answer(429, body, endpoint=endpoint))) is AddressTooFast
    for header in ("X_RateLimit_Limit", "X_RateLimit_Reset", "Retry_After"):
        assert type(error_of(answer(429, body, endpoint=endpoint, **{header: "9"}))) is RateLimited
    assert type(error_of(answer(429, body, endpoint=f"{endpoint}/import"))) is RateLimited


@pytest.mark.parametrize(
    ("limit", "left", "reset", "quota"),
    [
        ("60", "12", "348", (60, 12, 348.0)),
        ("60", "0", "0.25", (60, 0, 0.25)),
        (None, "12", "348", None),
        ("60", None, "348", None),
        ("60", "12", None, None),
        ("60", "61", "348", None),
        ("0", "0", "348", None),
        ("-1", "-2", "348", None),
        ("60", "-1", "348", None),
        ("60", "12", "-1", None),
        ("60", "12", "1700000000", None),
        ("nan", "12", "348", None),
        ("60", "nan", "348", None),
        ("60", "12", "nan", None),
        ("inf", "12", "348", None),
        ("many", "12", "348", None),
    ],
)
def test_a_quota_is_read_from_the_headers_when_all_of_them_make_sense(limit, left, reset, quota):
    headers = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": left, "X-RateLimit-Reset": reset}
    assert quota_of({name: value for name, value in headers.items() if value is not None}) == quota


def test_numbers_may_come_as_strings():
    stats = dict.fromkeys(
        ("TotalActiveSubscribers", "TotalUnsubscribes", "TotalDeleted", "TotalBounces"), "3"
    )
    assert decode(answer(body=stats), ListStats).total_bounces == 3


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"EmailAddress":1}', b"[]", b"\xff\xfe", b"null", b'{"EmailAddress":"a@b.example"}'],
)
@pytest.mark.parametrize(("endpoint", "ambiguous"), [(READ, False), (WRITE, True)])
def test_an_answer_of_another_shape_is_retriable_and_ambiguous_for_a_write(body, endpoint, ambiguous):
    with pytest.raises(UnreadableAnswer) as caught:
        decode(answer(body=body, endpoint=endpoint), Subscriber)
    assert caught.value.may_have_been_applied is ambiguous
    assert caught.value.endpoint == endpoint
    assert caught.value.__suppress_context__


def test_the_preview_of_a_body_is_short_and_names_nobody():
    body = msgspec.json.encode({"Results": [SUBSCRIBER] * 5})
    shown = preview(body)
    assert len(shown) < 90
    assert shown.startswith('\'{"Results":[{')
    assert not any(word in shown for word in ("ann", "Ann", "Other", "example.com"))
    assert "ann" not in preview(b"<p>ann@example.com</p>")
    assert "ann" not in preview(b'{"Name": "ann without an end')


def test_a_row_that_is_not_of_its_shape_is_set_aside_and_the_rest_of_its_page_is_read(page_of):
    rows = [SUBSCRIBER, SUBSCRIBER | {"Date": None}, SUBSCRIBER | {"Name": "Bo"}, "what?"]
    page = decode_page(answer(body=page_of(rows, total=4)), Subscriber)
    assert [row.name for row in page.results] == ["Ann Other", "Bo"]
    assert [msgspec.json.decode(row.raw) for row in page.unreadable] == [rows[1], rows[3]]
    assert "Date" in page.unreadable[0].reason
    assert page.total_number_of_records == 4
    assert not page.is_empty


def test_a_page_whose_envelope_is_not_one_is_unreadable(page_of):
    with pytest.raises(UnreadableAnswer, match="PageNumber"):
        decode_page(answer(body=page_of([SUBSCRIBER]) | {"PageNumber": "one"}), Subscriber)
    with pytest.raises(UnreadableAnswer):
        decode_page(answer(body=[]), Campaign)


def test_a_page_of_a_thousand_people_is_decoded_within_six_milliseconds(page_of):
    full = answer(body=page_of([SUBSCRIBER] * 1000))
    decode_page(full, Subscriber)

    def seconds() -> float:
        started = time.perf_counter()
        page = decode_page(full, Subscriber)
        assert len(page.results) == 1000
        return time.perf_counter() - started

    assert min(seconds() for _ in range(10)) < 0.006


def test_what_the_api_adds_to_a_row_is_passed_over():
    assert decode(answer(body=SUBSCRIBER | {"Shoe": {"Size": 43}}), Subscriber).name == "Ann Other"


@pytest.mark.parametrize(
    ("number", "pages", "last"), [(1, 0, True), (1, 1, True), (1, 2, False), (3, 2, True)]
)
def test_the_last_page_is_known_by_its_number(page_of, number, pages, last):
    page: Page[Subscriber] = decode_page(answer(body=page_of([], number, pages)), Subscriber)
    assert page.is_last is last
