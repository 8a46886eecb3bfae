import pytest

from listbridge.archive.reading import Archive
from listbridge.archive.storage import LocalStorage
from listbridge.store.store import Store


@pytest.fixture
def small(store):
    """A store of two partitions, so that a pass has few steps."""
    return Store(store.client, 2)


@pytest.fixture
def archive(small, tmp_path):
    """An archive in a directory of its own."""
    return Archive(small, LocalStorage(tmp_path / "archive"))
