"""The store without the mappings: for commands that work whatever is active."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from cli.runtime import settings
from listbridge.context import connected
from listbridge.store.embedded import discover, opened
from listbridge.store.store import Store


@contextmanager
def open_store() -> Iterator[Store]:
    """The running store, or an embedded one for as long as the block runs."""
    held = settings()
    with opened(held) as url:
        yield connected(held, url)


def running_store() -> Store | None:
    """The store if it runs; nothing is started."""
    held = settings()
    url = held.redis_url or discover(held.data_dir)
    if not url:
        return None
    try:
        return connected(held, url, timeout_seconds=3.0, retries=1)
    except redis.BusyLoadingError:
        raise
    except redis.ConnectionError:
        return None
