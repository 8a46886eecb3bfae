"""Pages, orders and the `date` filter."""

import pytest

from simulator.errors import ApiError
from simulator.paging import PageRequest, cut, envelope, page_request, since
from simulator.reports import Report, SpamComplaint

FIELDS = ["email", "name", "date"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, PageRequest(1, 1000, "email", False)),
        ({"page": "3", "pagesize": "10"}, PageRequest(3, 10, "email", False)),
        ({"orderfield": "DATE", "orderdirection": "DESC"}, PageRequest(1, 1000, "date", True)),
    ],
)
def test_a_page_request_is_read(query, expected):
    assert page_request(query, FIELDS, "email") == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"page": "0"}, 800),
        ({"page": "x"}, 800),
        ({"pagesize": "9"}, 801),
        ({"pagesize": "1001"}, 801),
        ({"pagesize": "-5"}, 801),
        ({"orderfield": "city"}, 802),
        ({"orderdirection": "up"}, 803),
    ],
)
def test_a_wrong_page_request_has_its_code(query, code):
    with pytest.raises(ApiError) as caught:
        page_request(query, FIELDS, "email")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("number", "descending", "expected"),
    [
        (1, False, [0, 1, 2]),
        (3, False, [6]),
        (4, False, []),
        (1, True, [6, 5, 4]),
        (3, True, [0]),
        (4, True, []),
    ],
)
def test_a_page_is_cut_in_both_directions(number, descending, expected):
    assert list(cut(list(range(7)), PageRequest(number, 3, "email", descending))) == expected


def test_the_envelope_has_its_keys_in_the_recorded_order():
    page = envelope([1], 21, PageRequest(3, 10, "email", False))
    assert list(page.items()) == [
        ("Results", [1]),
        ("ResultsOrderedBy", "email"),
        ("OrderDirection", "asc"),
        ("PageNumber", 3),
        ("PageSize", 10),
        ("RecordsOnThisPage", 1),
        ("TotalNumberOfRecords", 21),
        ("NumberOfPages", 3),
    ]


@pytest.mark.parametrize("pages", [0, 1])
def test_the_pages_of_nothing_are_a_switch(pages):
    assert envelope([], 0, PageRequest(1, 10, "email", False), empty_pages=pages)["NumberOfPages"] == pages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2010-01-02", "2010-01-02 00:00:00"),
        ("2010-01-02 03:04", "2010-01-02 03:04:00"),
        ("2010-01-02 03:04:05", "2010-01-02 03:04:05"),
    ],
)
def test_three_forms_of_a_date_are_read(text, expected):
    assert since({"date": text}) == expected


@pytest.mark.parametrize("text", ["yesterday", "2010-13-01", "2010-1-1", "01/02/2010"])
def test_a_wrong_date_is_code_5(text):
    with pytest.raises(ApiError) as caught:
        since({"date": text})
    assert caught.value.code == 5


def complaints(*minutes):
    return [
        SpamComplaint(f"{minute}@example.org", "l", f"2026-01-01 10:{minute:02}:00") for minute in minutes
    ]


@pytest.mark.parametrize(("inclusive", "expected"), [(True, [2, 3]), (False, [3])])
def test_a_report_starts_at_or_after_the_date(inclusive, expected):
    report = Report(complaints(3, 1, 2))
    assert list(report.rows("date", "2026-01-01 10:02:00", inclusive=inclusive)) == complaints(*expected)


def test_a_late_row_takes_its_place_in_every_order():
    report = Report(complaints(1, 3))
    assert len(report.rows("email")) == 2
    report.add(complaints(2)[0])
    assert list(report.rows()) == complaints(1, 2, 3)
    assert len(report.rows("email")) == len(report.rows("list")) == 3
    assert report.people() == {"1@example.org", "2@example.org", "3@example.org"}
