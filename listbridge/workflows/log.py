"""A workflow's log and its progress, as a user reads them. No e-mail addresses go in."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, cast

from listbridge.store import keys
from listbridge.store.store import Store, now_ms

logger = logging.getLogger(__name__)

KEPT_LINES = 2000
_LAST = "_last"
"""The field of the progress that holds the token of the last addition."""

Level = Literal["info", "warning", "error"]


def write(store: Store, workflow_id: str, message: str, *, level: Level = "info") -> None:
    """Add a line; the newest `KEPT_LINES` are kept."""
    logger.log(logging.getLevelNamesMapping()[level.upper()], "%s: %s", workflow_id, message)
    line: dict[Any, Any] = {"at": now_ms(), "level": level, "message": message}
    store.client.xadd(keys.log(workflow_id), line, maxlen=KEPT_LINES, approximate=True)
    _forget_of_nobody(store, workflow_id, keys.log(workflow_id))


def read(store: Store, workflow_id: str, count: int = 100) -> list[dict[str, object]]:
    """The newest lines, oldest first: `{"at" (epoch ms), "level", "message"}`."""
    raw = cast(
        list[tuple[bytes, dict[bytes, bytes]]], store.client.xrevrange(keys.log(workflow_id), count=count)
    )
    return [
        {"at": int(f[b"at"]), "level": f[b"level"].decode(), "message": f[b"message"].decode()}
        for _, f in reversed(raw)
    ]


# KEYS: progress; ARGV: a token of this addition, (name, amount)... Run again at once, it adds nothing.
_COUNT = """
if redis.call('HGET', KEYS[1], 'LAST') == ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'LAST', ARGV[1])
return 1
""".replace("LAST", _LAST)


def count(store: Store, workflow_id: str, counters: Mapping[str, int]) -> None:
    """Add to the progress counters. They inform; nothing is decided by them."""
    added = [each for name, amount in counters.items() if amount for each in (name, amount)]
    if added:
        store.script(_COUNT, [keys.progress(workflow_id)], [secrets.token_hex(8), *added])
        _forget_of_nobody(store, workflow_id, keys.progress(workflow_id))


class Counting:
    """Adds to the progress counters now and then, for any thread; what was not written yet when its process
    is killed is not counted."""

    def __init__(self, store: Store, workflow_id: str, *, seconds: float = 0.5) -> None:
        self._store, self._id, self._seconds = store, workflow_id, seconds
        self._waiting: Counter[str] = Counter()
        self._next = 0.0
        self._lock = threading.Lock()

    def add(self, counters: Mapping[str, int]) -> None:
        """Count, and write if it is time."""
        with self._lock:
            self._waiting.update(counters)
            is_time = time.monotonic() >= self._next
        if is_time:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            self._next = time.monotonic() + self._seconds
        if waiting:
            count(self._store, self._id, waiting)


def _forget_of_nobody(store: Store, workflow_id: str, written: str) -> None:
    """What was written about a workflow that has been deleted since goes away again."""
    if not store.client.exists(keys.workflow(workflow_id)):
        store.client.delete(written)


def progress(store: Store, workflow_id: str) -> dict[str, int]:
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.progress(workflow_id)))
    return {name.decode(): int(value) for name, value in sorted(held.items()) if name != _LAST.encode()}
