"""Samples that Campaign Monitor posts when a webhook is tested: kept apart, so that they never become events.

Nothing marks a sample. While a test is open, a delivery with at most one event of each type is put aside
(in the store, without a time limit), unless it tells an opt-out and not all types: a sample has an event of
each type that the webhook subscribes to, which is all. Whoever tests then asks the list which addresses it
knows, and what is no sample is received as ever. When a tester dies, all of it is received some minutes
later (see `abandoned`): better a sample as an event than an opt-out that waits.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from listbridge.campaign_monitor.events import Account
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


class _Aside(msgspec.Struct):
    """A delivery and the account that it is of: the import may be gone when it is received."""

    client_id: str
    client_name: str
    zone: str
    lists: Mapping[str, str]
    body: bytes

    @property
    def account(self) -> Account:
        return Account(self.client_id, self.client_name, ZoneInfo(self.zone), self.lists)


class Test(msgspec.Struct, frozen=True):
    """One test of a list's webhooks. Several may go on at once, each with its own name."""

    list_id: str
    name: str


_decode = msgspec.json.Decoder(_Sample).decode
_decode_aside = msgspec.json.Decoder(_Aside).decode

# KEYS: the test, its samples; ARGV: the delivery -> 1 when it was put aside. The set makes it safe to repeat.
_ASIDE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
"""


def new_test(list_id: str) -> Test:
    return Test(list_id, f"{list_id}/{secrets.token_hex(4)}")


@contextmanager
def open_test(store: Store, test: Test) -> Iterator[None]:
    """While this lasts, samples for the list go aside; `settle` them then."""
    store.client.zadd(keys.TESTS, {test.name: now_ms() + ANSWERS_FOR_MS})
    store.client.set(keys.testing(test.list_id), 1, px=OPEN_MS)
    try:
        yield
    finally:
        store.client.delete(keys.testing(test.list_id))


def put_aside(store: Store, account: Account, list_id: str, body: bytes) -> bool:
    """Put a delivery aside if a test of the list is open and it looks like a sample. Raises
    `redis.RedisError`."""
    if not _addresses(body):
        return False
    aside = _Aside(account.client_id, account.client_name, account.zone.key, account.lists, body)
    packed = msgspec.json.encode(aside, order="sorted")
    return bool(store.script(_ASIDE, [keys.testing(list_id), keys.samples(list_id)], [packed]))


def abandoned(store: Store) -> list[Test]:
    """The tests whose testers have not looked at the samples in time."""
    found = cast(list[bytes], store.client.zrange(keys.TESTS, "-inf", now_ms(), byscore=True))
    return [Test(name.partition("/")[0], name) for name in map(bytes.decode, found)]


def settle(
    store: Store, test: Test, is_known: Callable[[str], bool], receive: Callable[[Account, bytes], object]
) -> int:
    """Drop the samples and receive what was none, by whether the list knows an address; -> how many came."""
    name = keys.samples(test.list_id)
    held = cast(set[bytes], store.client.smembers(name))
    for packed in held:
        aside = _decode_aside(packed)
        if any(is_known(address) for address in _addresses(aside.body)):
            receive(aside.account, aside.body)
        store.client.srem(name, packed)
    store.client.zrem(keys.TESTS, test.name)
    return len(held)


def _addresses(body: bytes) -> list[str]:
    """The addresses of a delivery that could be a sample: at most one event of each type, and an opt-out
    with the others only."""
    try:
        events = _decode(body).events
    except ValueError:
        return []
    types = [each.type for each in events]
    if len({*types}) < len(types) or ("Deactivate" in types and len(types) < LARGEST_SAMPLE):
        return []
    return [each.address for each in events]
