from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.workflows.models import QuietHours
from listbridge.workflows.quiet import quiet_until

BERLIN = "Europe/Berlin"


def at(text, zone=BERLIN):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def hours(window, zone=BERLIN):
    start, _, end = window.partition("-")
    return QuietHours(zone=zone, start=start, end=end)


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        ("12:00-13:00", "2026-01-05T11:59:59", None),
        ("12:00-13:00", "2026-01-05T12:00", "2026-01-05T13:00"),
        ("12:00-13:00", "2026-01-05T12:59:59", "2026-01-05T13:00"),
        ("12:00-13:00", "2026-01-05T13:00", None),
        ("21:00-08:00", "2026-01-05T20:59", None),
        ("21:00-08:00", "2026-01-05T21:00", "2026-01-06T08:00"),
        ("21:00-08:00", "2026-01-06T00:00", "2026-01-06T08:00"),
        ("21:00-08:00", "2026-01-06T07:59", "2026-01-06T08:00"),
        ("21:00-08:00", "2026-01-06T08:00", None),
        ("21:00-00:00", "2026-01-05T23:59", "2026-01-06T00:00"),
        # The clocks go forward at 2:00 on 29 March and back at 3:00 on 25 October.
        ("21:00-08:00", "2026-03-28T22:00", "2026-03-29T08:00"),
        ("21:00-08:00", "2026-10-24T22:00", "2026-10-25T08:00"),
    ],
)
def test_the_window_and_its_end(window, now, until):
    assert quiet_until(hours(window), at(now)) == (at(until) if until else None)


@pytest.mark.parametrize(
    ("window", "day", "shortest"),
    [
        ("01:00-02:30", "2026-03-29", 60),
        ("02:30-05:00", "2026-03-29", 90),
        ("01:00-02:30", "2026-10-25", 150),
    ],
)
def test_on_the_day_of_a_change_the_window_is_one_stretch_and_never_too_short(window, day, shortest):
    begin = int(datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(BERLIN)).timestamp() * 1000)
    quiet = [
        minute for minute in range(12 * 60) if quiet_until(hours(window), begin + minute * 60_000) is not None
    ]
    assert quiet == list(range(quiet[0], quiet[-1] + 1))
    assert shortest <= len(quiet) <= shortest + 60


def test_without_quiet_hours_it_is_never_quiet():
    assert quiet_until(None, at("2026-01-05T12:00")) is None


clock = st.times().map(lambda time: f"{time:%H:%M}")


@given(
    start=clock,
    end=clock,
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    now=st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_when_it_is_quiet_it_stays_so_until_the_end_that_was_told(start, end, zone, now):
    if start == end:
        return
    window, moment = QuietHours(zone=zone, start=start, end=end), int(now.timestamp() * 1000)

    until = quiet_until(window, moment)

    if until is None:
        local = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone))
        inside = start <= f"{local:%H:%M}" < end if start < end else not end <= f"{local:%H:%M}" < start
        near_a_change = local.utcoffset() != (local + timedelta(days=1)).utcoffset() or (
            local.utcoffset() != (local - timedelta(days=1)).utcoffset()
        )
        assert not inside or near_a_change
    else:
        assert moment < until <= moment + 27 * 3_600_000
        assert quiet_until(window, until - 1) == until
