"""How long tasks waited in their queues before a worker took them. It informs; nothing is decided by it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from listbridge.store import keys
from listbridge.store.store import Store

QUEUES: Final = ("fold", "deliver", "pull", "archive", "schedule")

# KEYS: a queue's times; ARGV: a token of this task, its wait (ms). Run again at once, it adds nothing.
_NOTE = """
if redis.call('HGET', KEYS[1], 'last') == ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'tasks', 1)
redis.call('HINCRBY', KEYS[1], 'waited_ms', ARGV[2])
redis.call('HSET', KEYS[1], 'last', ARGV[1], 'last_ms', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Queue:
    """The tasks of a queue that were begun, what they waited together, and what the last one waited."""

    tasks: int = 0
    waited_seconds: float = 0.0
    last_seconds: float = 0.0


def note(store: Store, queue: str, waited_ms: int) -> None:
    """Count a task that begins. A clock that was put back counts as no wait."""
    store.script(_NOTE, [keys.queue(queue)], [secrets.token_hex(8), max(waited_ms, 0)])


def waits(store: Store) -> Mapping[str, Queue]:
    """Every queue that had a task."""
    pipe = store.client.pipeline(transaction=False)
    for queue in QUEUES:
        pipe.hgetall(keys.queue(queue))
    return {
        name: _queue(cast(dict[bytes, bytes], held))
        for name, held in zip(QUEUES, pipe.execute(), strict=True)
        if held
    }


def _queue(held: Mapping[bytes, bytes]) -> Queue:
    return Queue(int(held[b"tasks"]), int(held[b"waited_ms"]) / 1000, int(held[b"last_ms"]) / 1000)
