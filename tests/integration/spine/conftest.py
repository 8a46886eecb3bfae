import pytest

from listbridge.store.store import Store


@pytest.fixture
def small(store):
    """A store of three partitions, so that a fold has few steps."""
    return Store(store.client, 3)


@pytest.fixture
def program(shipped_program):
    return shipped_program
