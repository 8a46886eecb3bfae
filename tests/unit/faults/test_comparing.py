"""What a reading after a gap may tell, by the reckoning of the faults."""

import pytest

from cli.demo.comparison import compare_profiles
from cli.demo.reckoning import Expected
from faults.comparing import _allow_repairs, repair_minutes
from listbridge.campaign_monitor.gaps import Gap, note
from listbridge.profiles.views import rfc3339

MINUTE = 60_000
AT = 1_000_000 * MINUTE


def records(state="Active"):
    return {
        "lists": [{"list_id": "l1", "subscribers": [{"email": "Ann@x.se", "state": state, "name": "Ann"}]}]
    }


@pytest.mark.parametrize(
    ("until", "minutes"),
    [
        (AT + 30_000, {AT - MINUTE}),
        (AT + 1_000, {AT - 2 * MINUTE, AT - MINUTE}),
        (AT + 59_000, {AT - MINUTE, AT}),
    ],
)
def test_the_minute_before_a_gaps_end_is_known_to_the_second(store, until, minutes):
    note(store, "l1", Gap(AT - 10 * MINUTE, until))
    assert repair_minutes(store, records()) == minutes


def test_without_a_gap_nothing_is_allowed(store):
    assert repair_minutes(store, records()) == set()


def differing(shown, minutes, state="Active"):
    expected = {"ann@x.se": Expected({}, {"cm_name": {"Anne"}}, updated_at=AT)}
    _allow_repairs(expected, records(state), minutes)
    held = {"ann@x.se": {"fields": {"cm_name": "Ann"}, "audiences": [], "updated_at": shown}}
    return compare_profiles(expected, {}, held).people


@pytest.mark.parametrize(
    ("at", "minutes", "state", "people"),
    [
        pytest.param(AT + MINUTE, {AT + MINUTE}, "Active", 0, id="as of the gap's end"),
        pytest.param(AT, {AT}, "Active", 0, id="another was told in the gap's minute"),
        pytest.param(AT + 2 * MINUTE, {AT + MINUTE}, "Active", 1, id="another minute"),
        pytest.param(AT + MINUTE, set(), "Active", 1, id="no gap"),
        pytest.param(AT + MINUTE, {AT + MINUTE}, "Unsubscribed", 1, id="who left is not told again"),
        pytest.param(AT, {AT - MINUTE}, "Active", 1, id="what was told since stays"),
        pytest.param(AT - MINUTE, {AT - MINUTE}, "Active", 1, id="nobody is told older than they were"),
    ],
)
def test_only_the_gaps_minute_is_right_beside_the_reckoned_one(at, minutes, state, people):
    assert differing(rfc3339(at), minutes, state) == people
