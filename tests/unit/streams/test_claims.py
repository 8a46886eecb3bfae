import pytest

from listbridge.streams.claims import entries_at, tries_left


@pytest.mark.parametrize(
    ("attempt", "entries"),
    [(1, 32), (2, 32), (3, 8), (4, 2), (5, 1), (6, 1), (7, 1), (8, 0), (9, 0), (1000, 0)],
)
def test_each_further_try_takes_less_until_the_next_entry_is_set_aside(attempt, entries):
    assert entries_at(attempt) == entries


@pytest.mark.parametrize(
    ("attempt", "left"), [(1, 0), (2, 0), (3, 2), (4, 2), (5, 3), (6, 4), (7, 5), (8, 6)]
)
def test_a_try_that_ended_well_gives_back_some_trust_and_leaves_a_suspect_alone(attempt, left):
    assert tries_left(attempt) == left
