"""A store of an older schema is brought up step by step; one of a newer schema is left alone."""

import pytest

from listbridge.store import keys, store, upgrades
from listbridge.store.store import SCHEMA_VERSION, StoreError
from listbridge.store.upgrades import upgrade


@pytest.fixture
def old(fake_store):
    fake_store.client.hset(keys.META, "schema", 1)
    return fake_store


def schema(held):
    return int(held.client.hget(keys.META, "schema"))


def test_each_step_is_taken_once_and_in_order(old):
    taken = []
    steps = {1: lambda _: taken.append(1), 2: lambda _: taken.append(2), 3: lambda _: taken.append(3)}

    assert upgrade(old, 1, 3, steps)

    assert (taken, schema(old)) == ([1, 2], 3)


def test_an_upgrade_that_was_cut_off_goes_on_from_its_step(old):
    taken = []

    def fails(_):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        upgrade(old, 1, 3, {1: taken.append, 2: fails})
    assert schema(old) == 2

    upgrade(old, schema(old), 3, {2: taken.append})
    assert (taken, schema(old)) == ([old, old], 3)


def test_two_programs_at_once_raise_the_schema_once(old):
    steps = {1: lambda held: upgrade(held, 1, 2, {1: lambda _: None}), 2: lambda _: None}

    upgrade(old, 1, 2, steps)

    assert schema(old) == 2


def test_a_missing_step_changes_nothing(old):
    assert not upgrade(old, 1, 3, {1: lambda _: 1 / 0})
    assert schema(old) == 1


def test_a_program_upgrades_the_store_that_it_starts_on(old, monkeypatch):
    monkeypatch.setattr(
        store, "upgrade", lambda *args: upgrades.upgrade(*args, steps=dict.fromkeys(range(9), id))
    )

    old.prepare()

    assert schema(old) == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (SCHEMA_VERSION + 1, "of a newer program"),
        (0, "start the program that made it"),
        ("restoring", "being restored"),
    ],
)
def test_a_store_of_another_program_is_refused(fake_store, held, words):
    fake_store.client.hset(keys.META, "schema", held)

    with pytest.raises(StoreError, match=words):
        fake_store.prepare()

    assert fake_store.client.hget(keys.META, "schema") == str(held).encode()
