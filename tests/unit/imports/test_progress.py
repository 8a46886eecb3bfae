"""How far a run has come, by kind and in total."""

import pytest

from listbridge.imports import progress
from listbridge.imports.progress import Attempt, Reading, Sums, Tracker, forget, progress_of, summed
from listbridge.imports.protocol import Batch, Resource

NOW = 1_000_000


def reading(kind="opens", **known):
    return Reading(name=f"March: {kind}", kind=kind, **known)


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ({"expected": 0}, 1),
        ({"expected": 1000}, 1),
        ({"expected": 2500}, 3),
        ({"expected": 2500, "rows": 1000, "pages": 1}, 2),
        ({"expected": 2500, "rows": 2600, "pages": 3}, 1),
        ({"expected": 2500, "rows": 2600, "pages": 3, "is_done": True}, 0),
    ],
)
def test_the_pages_left_follow_from_the_rows_that_are_expected(known, left):
    assert reading(**known).pages_left == left


def test_rows_and_pages_are_added_up_by_kind_and_in_total():
    readings = [
        reading(expected=5000, rows=2000, pages=2),
        reading(expected=100, rows=120, pages=1, is_done=True),
        reading("clicks", expected=30),
    ]
    found = summed(readings, {"opens": 4, "spam": 1}, Attempt(began_at=NOW - 2000, is_listed=True), NOW)
    assert found.kinds == {
        "opens": Sums(resources=2, done=1, left_alone=4, rows=2120, rows_left=3000, pages=3, pages_left=3),
        "clicks": Sums(resources=1, rows_left=30, pages_left=1),
        "spam": Sums(left_alone=1),
    }
    assert found.total == Sums(
        resources=3, done=1, left_alone=5, rows=2120, rows_left=3030, pages=3, pages_left=4
    )
    assert (found.rows_per_second, found.seconds_left) == (1060.0, 3)
    assert [each.name for each in found.reading] == ["March: opens"]


@pytest.mark.parametrize(
    ("attempt", "readings", "left"),
    [
        ({"is_listed": False}, [reading(rows=5, pages=1)], None),
        ({"is_listed": True}, [reading()], None),
        ({"is_listed": True}, [reading(is_done=True)], 0),
        ({"is_listed": True, "rows": 1000, "pages": 1}, [reading(rows=1000, pages=1)], None),
        ({"is_listed": True, "rows": 1000, "pages": 1}, [reading(expected=9000, rows=3000, pages=3)], 6),
    ],
)
def test_the_time_left_is_told_when_all_is_known_and_something_was_read(attempt, readings, left):
    found = summed(readings, {}, Attempt(began_at=NOW - 2000, **attempt), NOW)
    assert found.seconds_left == left


@pytest.fixture
def at_once(monkeypatch):
    """Everything is written when it is told."""
    monkeypatch.setattr(progress, "WRITTEN_EVERY_SECONDS", 0)


def test_what_is_told_often_is_written_now_and_then(fake_store, monkeypatch):
    resource, writes = Resource("a", ("a",), None, kind="opens"), []
    tracker = Tracker(fake_store, "w")
    hset = fake_store.client.hset
    monkeypatch.setattr(fake_store.client, "hset", lambda *args, **more: writes.append(hset(*args, **more)))
    tracker.found(resource, 10_000)
    for _ in range(10):
        tracker.read(resource, Batch("5", rows=1000, pages=1))
    assert not writes

    tracker.flush()

    assert len(writes) == 1
    assert progress_of(fake_store, "w", NOW).total.rows == 10_000


def test_a_run_that_goes_on_keeps_what_was_read_and_a_new_one_starts_at_nothing(fake_store, at_once):
    one, other = Resource("a", ("a",), None, kind="opens"), Resource("b", ("b",), None, kind="opens")
    assert progress_of(fake_store, "w", NOW) is None
    tracker = Tracker(fake_store, "w")
    for each in (one, other):
        tracker.found(each, 10)
    tracker.read(one, Batch("5", rows=7, pages=2))
    tracker.done(one)

    again = Tracker(fake_store, "w")
    again.found(other, 10)
    again.read(other, Batch("5", rows=3))
    again.left_alone(other)
    again.listed()
    found = progress_of(fake_store, "w", NOW)
    assert (found.total.rows, found.total.pages, found.total.done, found.total.left_alone) == (10, 3, 1, 1)

    forget(fake_store, "w")
    assert progress_of(fake_store, "w", NOW) is None
