"""What a run reads again, and what it leaves alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listbridge.campaign_monitor.reports import REPORTS
from listbridge.campaign_monitor.revisits import (
    COUNTS,
    DAY_MS,
    FOR_EVER_MS,
    HOUR_MS,
    LONGEST_REST_MS,
    WHOLE_EVERY_MS,
    basis,
    rest_ms,
    rows_counted,
    visit_ms,
    whole_after,
)
from listbridge.imports.cursors import Cursor, Look, cursors, look, save, together
from listbridge.imports.protocol import Resource
from listbridge.store import keys

NOW = 1_000 * DAY_MS
READ = Cursor("p", NOW - 5, NOW - 10, NOW - 10, 0, "7")


def resource(**known: object) -> Resource:
    return Resource("r", ("r",), "p", **{"basis": "7", "rest_ms": 100, **known})


@pytest.mark.parametrize(
    ("known", "cursor", "wanted"),
    [
        ({}, READ, Look.SKIP),
        ({"basis": "8"}, READ, Look.ON),
        ({"basis": ""}, READ, Look.ON),
        ({"basis": ""}, Cursor("p", NOW, NOW, NOW), Look.ON),
        ({"rest_ms": 10}, READ, Look.ON),
        ({"rest_ms": 11}, READ, Look.SKIP),
        ({}, Cursor(""), Look.ON),
        ({}, Cursor("p", NOW + 5, NOW + 1, NOW - 10, 0, "7"), Look.ON),
        ({}, Cursor("p", 0, NOW - 10, NOW - 10, 0, ""), Look.ON),
        ({"whole_after": NOW - 9}, READ, Look.WHOLE),
        ({"whole_after": NOW - 9, "basis": "8"}, READ, Look.WHOLE),
        ({"whole_after": NOW - 10}, READ, Look.SKIP),
        ({"whole_after": NOW + 1}, READ, Look.SKIP),
        ({"whole_after": NOW - 9}, Cursor("p", 0, NOW - 10, NOW - 10, NOW - 8, ""), Look.ON),
        ({"whole_after": NOW - 9}, Cursor("p", 0, 0, 0, NOW - 20, ""), Look.ON),
    ],
)
def test_a_resource_is_left_alone_only_while_nothing_can_have_changed(known, cursor, wanted):
    assert look(resource(**known), cursor, NOW) is wanted


def test_what_holds_of_all_names_holds_of_the_resource():
    one, other = Cursor("p", 9, 8, 7, 0, "x"), Cursor("p", 5, 6, 8, 3, "x")
    assert together([one, other]) == Cursor("p", 5, 6, 7, 0, "x")
    assert together([one, Cursor("p", 9, 8, 7, 0, "y")]).basis == ""
    assert together([one, None]).complete_from == 0
    assert together([None]) == Cursor("")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.builds(
        Cursor,
        st.sampled_from(["", "2024-03-01 09:00@Europe/Paris", "2024-01-01 00:00/3/2024-01-02 00:00"]),
        *[st.integers(0, 2**43)] * 4,
        st.sampled_from(["", "7,3@Europe/Paris"]),
        st.integers(0, 10**9),
        st.integers(0, 2**43),
    )
)
def test_a_cursor_is_read_as_it_was_kept(fake_store, cursor):
    save(fake_store, "account", Resource("r", ("x", "y"), None), cursor)
    assert cursors(fake_store, "account") == {"x": cursor, "y": cursor}


@pytest.mark.parametrize(
    ("kept", "cursor"),
    [("p\t5", Cursor("p", 5)), ("p\t5\t3", Cursor("p", 5, 3, 3)), ("\t0\t3", Cursor("", 0, 3, 3))],
)
def test_cursors_of_earlier_versions_are_understood(fake_store, kept, cursor):
    fake_store.client.hset(keys.cursors("account"), "x", kept)
    assert cursors(fake_store, "account") == {"x": cursor}


def test_every_report_has_counts_and_each_of_them_matters():
    assert COUNTS.keys() == REPORTS.keys()
    for report, names in COUNTS.items():
        counts = dict.fromkeys(names, 5)
        assert rows_counted(report, counts | {names[0]: 9}) == 9
        for name in names:
            assert basis(report, counts | {name: 6}, "UTC") != basis(report, counts, "UTC")
        assert basis(report, counts, "UTC") != basis(report, counts, "Europe/Paris")


@pytest.mark.parametrize(
    ("age", "rest", "visit"),
    [
        (0, 6 * HOUR_MS, 0),
        (3 * DAY_MS - 1, 6 * HOUR_MS, 0),
        (3 * DAY_MS, DAY_MS, 6 * HOUR_MS),
        (30 * DAY_MS, 7 * DAY_MS, DAY_MS),
        (180 * DAY_MS, LONGEST_REST_MS, DAY_MS),
        (FOR_EVER_MS, LONGEST_REST_MS, DAY_MS),
    ],
)
def test_the_younger_a_mailing_is_the_more_often_it_is_looked_at(age, rest, visit):
    assert (rest_ms(age), visit_ms(age)) == (rest, visit)


@pytest.mark.parametrize(
    ("age", "wanted"),
    [
        (0, 0),
        (3 * DAY_MS - 1, 0),
        (3 * DAY_MS, NOW + 3 * DAY_MS),
        (29 * DAY_MS, NOW + 3 * DAY_MS),
        (30 * DAY_MS, NOW + 30 * DAY_MS),
    ],
)
def test_a_report_is_read_wholly_again_at_three_and_at_thirty_days(age, wanted):
    assert whole_after(NOW, NOW + age, "r") == wanted


@given(st.text(max_size=20), st.integers(31, 4000), st.integers(0, DAY_MS))
def test_later_every_report_gets_its_turn_at_a_slow_pace(name, days, ms):
    now = NOW + days * DAY_MS + ms
    since = whole_after(NOW, now, name)
    assert NOW + 30 * DAY_MS <= since <= now
    assert now - since < 2 * WHOLE_EVERY_MS
    # A reading made at `now` is enough until the next turn, which comes in time.
    assert whole_after(NOW, now + WHOLE_EVERY_MS, name) >= now
    assert whole_after(NOW, now + 1, name) in (since, now + 1)
