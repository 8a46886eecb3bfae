from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.workflows.models import ImportConfig
from listbridge.workflows.schedule import MINUTE_MS, next_daily, next_run

BERLIN = "Europe/Berlin"
DAY_MS = 24 * 60 * MINUTE_MS


def at(text, zone=BERLIN):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ("2026-01-05T03:29:59", "2026-01-05T03:30"),
        ("2026-01-05T03:30", "2026-01-06T03:30"),
        ("2026-01-05T23:59", "2026-01-06T03:30"),
        ("2026-02-28T04:00", "2026-03-01T03:30"),
        ("2026-12-31T04:00", "2027-01-01T03:30"),
    ],
)
def test_a_daily_run_is_due_when_the_clocks_show_its_time(now, wanted):
    assert next_daily("03:30", BERLIN, at(now)) == at(wanted)


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        # The clocks go forward at 2:00 on 29 March, so that 2:30 is not there: it is 3:30 then.
        ("2026-03-29T00:10", "2026-03-29T03:30"),
        ("2026-03-29T03:30", "2026-03-30T02:30"),
        # They go back at 3:00 on 25 October, so that 2:30 is there twice: once is enough.
        ("2026-10-25T00:10", "2026-10-25T02:30"),
        ("2026-10-25T02:30", "2026-10-26T02:30"),
    ],
)
def test_a_time_that_a_day_has_never_or_twice_is_due_once(now, wanted):
    assert next_daily("02:30", BERLIN, at(now)) == at(wanted)


@given(
    st.sampled_from(["UTC", BERLIN, "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
    st.times().map(lambda each: each.strftime("%H:%M")),
    st.integers(at("2020-01-01T00:00"), at("2030-01-01T00:00")),
)
def test_there_is_a_daily_run_within_a_day_and_a_change_of_the_clocks(zone, of_day, now):
    due = next_daily(of_day, zone, now)
    assert now < due <= now + DAY_MS + 60 * MINUTE_MS
    assert next_daily(of_day, zone, due - 1) == due


@pytest.mark.parametrize(
    ("took", "after"),
    [(0, 10), (1, 10), (9, 10), (10, 20), (25, 30), (-5, 10)],
)
def test_beats_that_pass_during_a_run_are_left_out(took, after):
    config = ImportConfig(client_id="c", keep_updated=True, every_minutes=10)
    assert next_run(config, 1000, 1000 + took * MINUTE_MS) == 1000 + after * MINUTE_MS


def test_a_daily_import_does_not_go_by_minutes():
    config = ImportConfig(client_id="c", keep_updated=True, daily_at="03:30", daily_zone=BERLIN)
    began, now = at("2026-01-05T03:30"), at("2026-01-05T04:10")
    assert next_run(config, began, now) == at("2026-01-06T03:30")
