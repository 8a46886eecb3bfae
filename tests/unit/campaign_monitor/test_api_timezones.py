import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.campaign_monitor.errors import UnknownTimeZone
from listbridge.campaign_monitor.timezones import to_epoch_ms, to_text, zone, zone_name
from listbridge.campaign_monitor.zone_labels import ZONES

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = 60_000
HOUR = 60 * MINUTE

SOME_LABELS = [
    "(GMT) Casablanca",
    "(GMT) Coordinated Universal Time",
    "(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London",
    "(GMT+10:00) Canberra, Melbourne, Sydney",
    "(GMT+12:00) Coordinated Universal Time+12",
    "(GMT-02:00) Coordinated Universal Time-02",
    "(GMT-03:30) Newfoundland",
    "(GMT-12:00) International Date Line West",
]

# The zone's clocks differ from the label's offset in both halves of 2010, and why.
MOVED_BY_2010 = {"(GMT+12:00) Petropavlovsk-Kamchatsky - Old": "the zone went to +11 in March 2010"}


def utc_ms(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


def test_every_recorded_label_has_a_zone_that_zoneinfo_knows(recorded):
    labels = recorded("timezones", SOME_LABELS)
    assert {zone_name(label) for label in labels} <= available_timezones()


def test_every_zone_of_the_table_exists():
    assert set(ZONES.values()) <= available_timezones()


def test_the_winter_offset_of_a_recorded_label_is_that_of_its_zone(recorded):
    for label in recorded("timezones", SOME_LABELS):
        if label in MOVED_BY_2010:
            continue
        stated = _offset(label)
        clocks = {datetime(2010, month, 15, tzinfo=zone(label)).utcoffset() for month in (1, 7)}
        assert stated in clocks, label


def _offset(label: str) -> timedelta:
    digits = label.partition(")")[0].removeprefix("(GMT")
    sign = -1 if digits.startswith("-") else 1
    hours, _, minutes = digits.lstrip("+-").partition(":")
    return sign * timedelta(hours=int(hours or 0), minutes=int(minutes or 0))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("(GMT+10:00) Canberra, Melbourne, Sydney", "Australia/Sydney"),
        ("(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London", "Europe/London"),
        ("(GMT+00:00) Dublin, Edinburgh, Lisbon, London", "Europe/London"),
        ("(GMT-03:30) Newfoundland", "America/St_Johns"),
        ("(GMT+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Berlin"),
        ("(GMT+01:00) West Central Africa", "Africa/Lagos"),
        ("(GMT+11:00) Solomon Is., New Caledonia", "Pacific/Guadalcanal"),
        ("(GMT-03:00) Salvador", "America/Bahia"),
        ("(GMT-11:00) Samoa", "Pacific/Apia"),
        ("(GMT+13:00) Samoa", "Pacific/Apia"),
        ("(GMT+01:00) Casablanca", "Africa/Casablanca"),
        ("(GMT-04:00) Caracas", "America/Caracas"),
        ("(GMT-01:00) Cabo Verde Is.", "Atlantic/Cape_Verde"),
        ("(UTC+02:00) Athens, Bucharest", "Europe/Bucharest"),
        ("  (GMT-05:00)  eastern time (us & canada) ", "America/New_York"),
        ("(GMT-06:00) Guadalajara, Mexico City, Monterrey - New", "America/Mexico_City"),
    ],
)
def test_older_and_newer_spellings_mean_the_same_zone(label, name):
    assert zone_name(label) == name
    assert zone(label).key == name


@pytest.mark.parametrize(
    ("label", "hours"),
    [
        ("(GMT+12:00) Coordinated Universal Time+12", 12),
        ("(GMT-02:00) Coordinated Universal Time-02", -2),
        ("(GMT-08:00) Coordinated Universal Time-08", -8),
        ("(GMT-11:00) Coordinated Universal Time-11", -11),
        ("(GMT-12:00) International Date Line West", -12),
    ],
)
def test_zones_that_are_an_offset_have_the_sign_of_their_label(label, hours):
    assert datetime(2020, 1, 1, tzinfo=zone(label)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "label", ["(GMT+01:00) Atlantis", "Australia/Sydney", "", "(GMT+10:00)", "(GMT+10:00) "]
)
def test_an_unknown_label_is_an_error_that_names_it(label):
    with pytest.raises(UnknownTimeZone) as caught:
        zone(label)
    assert repr(label) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "label", "moment"),
    [
        ("2010-10-12 12:58:00", "(GMT) Coordinated Universal Time", utc_ms(2010, 10, 12, 12, 58)),
        ("2010-10-12 12:58", "(GMT) Coordinated Universal Time", utc_ms(2010, 10, 12, 12, 58)),
        ("2010-10-26 10:55:31", "(GMT+10:00) Brisbane", utc_ms(2010, 10, 26, 0, 55, 31)),
        ("2010-10-12 12:58:00", "(GMT+10:00) Canberra, Melbourne, Sydney", utc_ms(2010, 10, 12, 1, 58)),
        ("2010-07-12 12:58:00", "(GMT+10:00) Canberra, Melbourne, Sydney", utc_ms(2010, 7, 12, 2, 58)),
        ("2024-01-01 00:00:00", "(GMT+12:00) Coordinated Universal Time+12", utc_ms(2023, 12, 31, 12)),
        ("2024-01-01 00:00:00", "(GMT-03:30) Newfoundland", utc_ms(2024, 1, 1, 3, 30)),
        ("1969-12-31 23:59:00", "(GMT) Coordinated Universal Time", -MINUTE),
        ("0001-01-01 00:00:00", "(GMT) Coordinated Universal Time", -62_135_596_800_000),
    ],
)
def test_a_naive_time_is_read_in_the_clients_zone(text, label, moment):
    assert to_epoch_ms(text, zone(label)) == moment


def test_in_the_hour_that_comes_twice_the_earlier_reading_is_taken():
    assert to_epoch_ms("2024-11-03 01:30:00", NEW_YORK) == utc_ms(2024, 11, 3, 5, 30)
    assert to_epoch_ms("2024-11-03 02:00:00", NEW_YORK) == utc_ms(2024, 11, 3, 7, 0)


def test_a_time_that_clocks_skipped_is_read_with_the_offset_from_before():
    skipped = to_epoch_ms("2024-03-10 02:30:00", NEW_YORK)
    assert skipped == to_epoch_ms("2024-03-10 03:30:00", NEW_YORK) == utc_ms(2024, 3, 10, 7, 30)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2024-W01-1 00:00:00",
        "2024-02-30 00:00",
        "2024-01-01 24:00",
        "2024-01-01 00:00:00.5",
        "٢٠٢٤-01-01 00:00",
        "ann@example.com",
    ],
)
def test_a_text_that_is_not_a_time_of_the_api_is_refused(text):
    with pytest.raises(ValueError):
        to_epoch_ms(text, NEW_YORK)


def test_a_moment_becomes_the_text_of_its_minute():
    moment = utc_ms(2024, 7, 1, 12, 34, 56) + 789
    assert to_text(moment, NEW_YORK) == "2024-07-01 08:34"
    assert to_text(-1, zone("(GMT) Coordinated Universal Time")) == "1969-12-31 23:59"


@given(
    st.integers(utc_ms(2000, 1, 1) // MINUTE, utc_ms(2035, 1, 1) // MINUTE),
    st.sampled_from(sorted(set(ZONES.values()))),
)
def test_the_text_of_a_moment_reads_as_that_moment_or_as_the_earlier_reading_of_it(minute, name):
    there = ZoneInfo(name)
    back = to_epoch_ms(to_text(minute * MINUTE, there), there)
    assert back <= minute * MINUTE
    assert minute * MINUTE - back in {0, HOUR, 2 * HOUR, HOUR // 2, 24 * HOUR}
    assert to_text(back, there) == to_text(minute * MINUTE, there)


def test_a_thousand_times_are_converted_within_five_milliseconds():
    texts = [f"2024-{n % 12 + 1:02}-{n % 28 + 1:02} {n % 24:02}:{n % 60:02}:00" for n in range(1000)]

    def seconds() -> float:
        started = time.perf_counter()
        for text in texts:
            to_epoch_ms(text, NEW_YORK)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.005


def test_a_time_that_leaves_the_years_of_the_calendar_in_utc_is_refused():
    with pytest.raises(ValueError, match="years 1 to 9999"):
        to_epoch_ms("9999-12-31 23:59:00", ZoneInfo("America/New_York"))
