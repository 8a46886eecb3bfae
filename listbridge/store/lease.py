"""Leases: who works on what just now. They save double work; safety comes from fences and versions."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import redis

from listbridge.store import keys
from listbridge.store.store import Store

logger = logging.getLogger(__name__)

_EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Lease:
    """One holder at a time of `what`, for `milliseconds` from the last extension."""

    def __init__(self, store: Store, what: str, milliseconds: int) -> None:
        self._store = store
        self._key = keys.lease(what)
        self._milliseconds = milliseconds
        self.token = secrets.token_hex(8)

    def acquire(self) -> bool:
        taken = self._store.client.set(self._key, self.token, nx=True, px=self._milliseconds)
        # A retried SET whose first reply was lost finds our own token.
        return bool(taken) or self._store.client.get(self._key) == self.token.encode()

    def extend(self) -> bool:
        """Start the time anew; False when somebody else holds it or it ran out."""
        return bool(self._store.script(_EXTEND, [self._key], [self.token, self._milliseconds]))

    def release(self) -> None:
        self._store.script(_RELEASE, [self._key], [self.token])

    @contextmanager
    def kept(self) -> Iterator[Event]:
        """Extend the lease for as long as this lasts; the event is set when it was lost all the same."""
        lost, over = Event(), Event()

        def beat() -> None:
            while not over.wait(self._milliseconds / 3000):
                try:
                    if not self.extend():
                        lost.set()
                except redis.RedisError as error:
                    logger.warning("%s could not be extended: %s", self._key, type(error).__name__)

        thread = Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            over.set()
            thread.join()
