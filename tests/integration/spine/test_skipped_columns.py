"""What columns skip is counted with the commit: once for each event, whatever happens on the way."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spine_helpers import (
    Killed,
    MortalStore,
    RepeatingStore,
    activity,
    let_leases_end,
    moved,
    profiles,
    stored,
)

from listbridge.aggregation.fold import Folder
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.fields import with_skips
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, active, plan
from listbridge.profiles.commit import skipped
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY

COLUMNS = """email(email) AS email
  , city AS town
  , latitude AS north
  , count(event) AS events
  , count(event) AS many IF 5 < reason
"""
OURS = ("town", "north", "events", "many")
KEYS = [f"person{n}@x.se" for n in range(9)]


@pytest.fixture
def programs(small):
    text = f"SELECT {COLUMNS} FROM cm_activity INTO USER BY email ALIAS own"
    activate(small, plan(small, (*with_files([]), MappingText("own", "own.lql", text))))
    return ActivePrograms(small)


def shown(store):
    """Our fields' skips, as `mapping show --skips` has them."""
    rows = {row["field"]: row["skipped"] for row in with_skips(active(store), skipped(store))}
    return {name: rows[name][CM_ACTIVITY] for name in OURS if rows[name][CM_ACTIVITY]}


def test_a_value_of_the_wrong_type_skips_its_columns_only(small, programs):
    good = activity("ann@x.se", 1, city="Lund", latitude=55.7)
    bad = activity("ann@x.se", 2, city=5, latitude="north")
    half = activity("ann@x.se", 3, city="Malmö", latitude=True)
    append(small, [good, bad, half])

    Folder(small, programs).run()

    assert [bool(each.get("_bad")) for each in stored(small, CM_ACTIVITY)] == [False, True, True]
    assert shown(small) == {"town": 1, "north": 2}
    [(_, fields)] = profiles(small, programs.current()).values()
    assert (fields["town"], fields["north"], fields["events"], fields["cm_openct"]) == ("Malmö", 55.7, 3, 3)


def test_a_condition_that_cant_be_evaluated_is_a_skip_and_one_that_is_false_is_none(small, programs):
    reasons = ["soon", "12", "1", None]
    append(small, [activity("ann@x.se", n, city="x", latitude=1.0, reason=r) for n, r in enumerate(reasons)])

    Folder(small, programs).run()

    assert shown(small) == {"many": 1}
    [(_, fields)] = profiles(small, programs.current()).values()
    assert fields["many"] == 1


def test_skips_of_all_partitions_add_up_over_several_folds(small, programs):
    assert len({small.part(key).number for key in KEYS}) == small.partitions
    for minute in range(3):
        append(small, [activity(key, minute, city=minute, latitude=1.0) for key in KEYS])
        Folder(small, programs).run()

    assert shown(small) == {"town": 3 * len(KEYS)}


def test_an_event_that_is_told_again_is_skipped_once(small, programs):
    for _ in range(2):
        append(small, [activity("ann@x.se", 1, city=5, latitude=1.0)])
        Folder(small, programs).run()

    assert shown(small) == {"town": 1}


def test_a_commit_whose_answers_are_lost_counts_its_skips_once(small, programs):
    append(small, [activity(key, 1, city=5, latitude="x", reason="soon") for key in KEYS])

    Folder(RepeatingStore(small.client, small.partitions), programs).run()

    assert shown(small) == {"town": len(KEYS), "north": len(KEYS), "many": len(KEYS)}


def test_a_worker_that_is_killed_anywhere_leaves_no_skip_out_and_counts_none_twice(small, programs):
    append(small, [activity(key, 1, city=5, latitude=1.0) for key in KEYS])
    life = 1
    while True:
        mortal = MortalStore(small, life)
        try:
            Folder(mortal, programs).run()
        except Killed:
            let_leases_end(small)
            life += 1
            assert life < 60
            append(small, [activity(key, life, city=5, latitude=1.0) for key in KEYS])
            continue
        break

    assert life > 3
    # Whose fold was killed again and again is set aside, and skipped by nothing.
    aside = sum(small.client.xlen(part.quarantine(CM_ACTIVITY)) for part in small.parts)
    assert shown(small) == {"town": life * len(KEYS) - aside}


VALUES = st.fixed_dictionaries(
    {
        "city": st.sampled_from([None, "", "Lund", 5, ["Lund"]]),
        "latitude": st.sampled_from([None, 1.5, 2, "x", True, float("nan")]),
        "reason": st.sampled_from([None, "", "1", "12", "soon", 12]),
    }
)


def skips(values):
    """Which of our columns the event skips."""
    city, north, reason = (values[name] for name in ("city", "latitude", "reason"))
    is_number = type(north) in (int, float) and north == north
    return {
        "town": not (isinstance(city, str) and city),
        "north": not is_number,
        "many": reason == "soon",
    }


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES, st.booleans()), min_size=1, max_size=20))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_events_in_any_batches_are_skipped_as_often_as_one_by_one(small, programs, told):
    for part in small.parts:
        names = [part.stream(stream) for stream in programs.current().streams]
        small.client.delete(part.skips, part.profiles, part.offsets, part.version, *names)
        for name in small.client.scan_iter(match=f"{part.seen('*', 0)[:-1]}*"):
            small.client.delete(name)
    folder = Folder(small, programs)
    for minute, (key, values, fold) in enumerate(told):
        append(small, [activity(key, minute, **values), moved(key, minute)])
        if fold:
            folder.run()
    folder.run()

    expected = {name: sum(skips(values)[name] for _, values, _ in told) for name in ("town", "north", "many")}
    assert shown(small) == {name: count for name, count in expected.items() if count}
