import pytest

from listbridge.streams.claims import claim, entries_at, look, release, tries_left


@pytest.mark.parametrize(
    ("attempt", "entries"),
    [(1, 4096), (2, 4096), (3, 8), (4, 2), (5, 1), (6, 1), (7, 1), (8, 0), (9, 0), (1000, 0)],
)
def test_each_further_try_takes_less_until_the_next_entry_is_set_aside(attempt, entries):
    assert entries_at(attempt) == entries


@pytest.mark.parametrize(
    ("attempt", "left"), [(1, 0), (2, 0), (3, 2), (4, 2), (5, 3), (6, 4), (7, 5), (8, 6)]
)
def test_a_try_that_ended_well_gives_back_some_trust_and_leaves_a_suspect_alone(attempt, left):
    assert tries_left(attempt) == left


@pytest.mark.parametrize(("ended", "tries"), [("badly", 4), ("unfinished", 3), ("well", 2)])
def test_only_a_try_that_ends_its_worker_counts(fake_store, ended, tries):
    part = fake_store.parts[0]
    fake_store.client.xadd(part.stream("audience"), {"n": 1, "e": "{}", "t": 1})

    mine = claim(fake_store, "token", [(part, 4)])
    release(fake_store, "token", mine, ended=ended)

    [waiting] = look(fake_store, ["audience"], clear_bells=False)
    assert (waiting.part, waiting.tries, waiting.events) == (part, tries, 1)
    assert not fake_store.client.exists(part.fold_lease)
