"""Times in text: what is read, and what names no time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.aggregation.times import parse_layout, parse_time, zone_named

READ = [
    ("Apr 7, 2014 4:58:55 PM", "2014-04-07T16:58:55Z"),
    ("10/13/2014", "2014-10-13T00:00:00Z"),
    ("01/02/2006", "2006-01-02T00:00:00Z"),
    ("3.31.2014", "2014-03-31T00:00:00Z"),
    ("4/7/14", "2014-04-07T00:00:00Z"),
    ("1/1/69", "1969-01-01T00:00:00Z"),
    ("1/1/68", "2068-01-01T00:00:00Z"),
    ("2014", "2014-01-01T00:00:00Z"),
    ("201404", "2014-04-01T00:00:00Z"),
    ("20140407", "2014-04-07T00:00:00Z"),
    ("20140407165855", "2014-04-07T16:58:55Z"),
    ("1396889935", "2014-04-07T16:58:55Z"),
    ("1396889935000", "2014-04-07T16:58:55Z"),
    ("1396889935000000", "2014-04-07T16:58:55Z"),
    ("1396889935000000000", "2014-04-07T16:58:55Z"),
    ("2020-07-15T08:55:43-07:00", "2020-07-15T15:55:43Z"),
    ("2014-04-07 16:58:55 +0000 UTC", "2014-04-07T16:58:55Z"),
    ("2014-04-07 16:58:55 EST", "2014-04-07T16:58:55Z"),
    ("Mon, 02 Jan 2006 15:04:05 MST", "2006-01-02T15:04:05Z"),
    (" 2016/07/04 ", "2016-07-04T00:00:00Z"),
    ("May 2012", "2012-05-01T00:00:00Z"),
]
UNREAD = [
    "",
    " ",
    "hello",
    "10",
    "Friday",
    "5pm",
    "12:30",
    "oct",
    "13/10/2014",
    "31.12.2014",
    "-5",
    "99999999",
]
UNREAD += ["2014-13-01", "2" * 5000, "123456789", "\u0663" * 10]


def _ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(("text", "moment"), READ)
def test_a_time_is_read_month_first_and_in_utc(text, moment):
    assert parse_time(text) == _ms(moment)


@pytest.mark.parametrize("text", UNREAD)
def test_text_that_names_no_time_has_none(text):
    assert parse_time(text) is None


def test_a_time_without_an_offset_is_in_the_zone_asked_for():
    zone = zone_named("America/Los_Angeles")
    assert parse_time("2014-04-07 09:58:55", zone) == _ms("2014-04-07T16:58:55Z")
    assert parse_time("2014-04-07T16:58:55Z", zone) == _ms("2014-04-07T16:58:55Z")


@pytest.mark.parametrize("name", ["Mars/Base", "../secret", "", "/etc/passwd", "a\0b"])
def test_a_zone_that_is_none_has_no_time(name):
    assert zone_named(name) is None


@pytest.mark.parametrize(
    ("layout", "text", "moment"),
    [
        ("02/01/2006", "07/04/2014", "2014-04-07T00:00:00Z"),
        ("1/2/06", "4/7/14", "2014-04-07T00:00:00Z"),
        ("Jan 2, 2006 3:04:05 PM", "Apr 7, 2014 4:58:55 PM", "2014-04-07T16:58:55Z"),
        ("2006-01-02T15:04:05.000Z07:00", "2014-04-07T16:58:55.500-07:00", "2014-04-07T23:58:55.500Z"),
    ],
)
def test_a_layout_says_how_a_time_is_written(layout, text, moment):
    assert parse_layout(layout, text) == _ms(moment)


def test_text_in_another_layout_has_no_time():
    assert parse_layout("02/01/2006", "2014-04-07") is None
    assert parse_layout("%d", "7") is None


@given(st.text(max_size=70) | st.text("0123456789:/.-+ TZapmJn,", max_size=30))
def test_any_text_has_a_time_of_the_calendar_or_none(text):
    time = parse_time(text)
    assert time is None or 0 <= datetime.fromtimestamp(time / 1000, UTC).year <= 9999
