"""Samples that Campaign Monitor posts when a webhook is tested: kept apart, so that they never become events.

Nothing marks a sample. While a test is open, a delivery with at most one event of each type is put aside
(in the store, without a time limit); whoever tests then asks the list which addresses it knows, and what
is no sample is received as ever. When a tester dies, all of it is received some minutes later (see
`abandoned`): better a sample as an event than an opt-out that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import msgspec

from listbridge.store import keys
from listbridge.store.store import Store, now_ms

OPEN_MS = 60_000
"""How long a test is open at most, if whoever opened it dies."""
ANSWERS_FOR_MS = 300_000
"""How long whoever tests may take to look at the samples."""

LARGEST_SAMPLE = 3
"""One event of each type."""


class _Event(msgspec.Struct):
    type: str = msgspec.field(name="Type")
    address: str = msgspec.field(name="EmailAddress")


class _Sample(msgspec.Struct):
    events: list[_Event] = msgspec.field(name="Events")


_decode = msgspec.json.Decoder(_Sample).decode

# KEYS: the test, its samples; ARGV: the body -> 1 when it was put aside. The set makes it safe to repeat.
_ASIDE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
"""


@contextmanager
def open_test(store: Store, workflow_id: str, list_id: str) -> Iterator[None]:
    """While this lasts, samples for the list go aside; `settle` them then."""
    store.client.zadd(keys.TESTS, {f"{workflow_id}/{list_id}": now_ms() + ANSWERS_FOR_MS})
    store.client.set(keys.testing(list_id), 1, px=OPEN_MS)
    try:
        yield
    finally:
        store.client.delete(keys.testing(list_id))


def put_aside(store: Store, list_id: str, body: bytes) -> bool:
    """Put a delivery aside if a test of the list is open and it looks like a sample. Raises
    `redis.RedisError`."""
    return bool(_addresses(body)) and bool(
        store.script(_ASIDE, [keys.testing(list_id), keys.samples(list_id)], [body])
    )


def abandoned(store: Store) -> list[tuple[str, str]]:
    """Import and list of each test whose tester has not looked at the samples in time."""
    found = cast(list[bytes], store.client.zrange(keys.TESTS, "-inf", now_ms(), byscore=True))
    pairs = [each.decode().partition("/") for each in found]
    return [(workflow_id, list_id) for workflow_id, _, list_id in pairs]


def settle(
    store: Store,
    workflow_id: str,
    list_id: str,
    is_known: Callable[[str], bool],
    receive: Callable[[bytes], object],
) -> int:
    """Drop the samples and receive what was none, by whether the list knows an address; -> how many came."""
    name = keys.samples(list_id)
    bodies = cast(set[bytes], store.client.smembers(name))
    for body in bodies:
        if any(is_known(address) for address in _addresses(body)):
            receive(body)
        store.client.srem(name, body)
    store.client.zrem(keys.TESTS, f"{workflow_id}/{list_id}")
    return len(bodies)


def _addresses(body: bytes) -> list[str]:
    """The addresses of a delivery that could be a sample: at most one event of each type."""
    try:
        events = _decode(body).events
    except ValueError:
        return []
    types = [each.type for each in events]
    return [each.address for each in events] if len({*types}) == len(types) else []
