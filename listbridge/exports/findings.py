"""What a check of a list leaves in the store: how far it has come, whom it saw, what it found.

All writes are safe to repeat, so a check that dies goes on from the last page whose people were written
down. A person found takes about 120 bytes until the next check, a person seen 8 bytes while it lasts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import msgspec

from listbridge.exports.drift import Drift
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.tombstones import gone

KEPT_SECONDS = 30 * 86_400
HASH_BYTES = 8


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A check that has not ended. `step` is the state of the list that is read, `position` how far.

    `people` were read by state, `calls` made; `wake_at` (epoch ms) is when to go on after a problem,
    `failures` the problems in a row.
    """

    id: str
    workflow_id: str
    started_at: int
    repair: bool
    step: int = 0
    position: str = ""
    people: dict[str, int] = {}
    calls: int = 0
    wake_at: int = 0
    failures: int = 0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: people by kind of `drift`. Times are epoch ms.

    `in_list` are the people read by state; `sent_again` those whose row was put in doubt; `learned` those
    whose state was news; `problem` says why the check could not be finished.
    """

    id: str
    list_id: str
    started_at: int
    finished_at: int
    repair: bool
    in_list: dict[str, int] = {}
    drift: dict[str, int] = {}
    sent_again: int = 0
    learned: int = 0
    calls: int = 0
    problem: str = ""


class Found(msgspec.Struct, array_like=True, frozen=True):
    """One person's drift as the check `run` saw it, and what was done: `sent_again`, or `learned`."""

    run: str
    drift: Drift
    sent_again: bool = False
    learned: bool = False


_encode = msgspec.json.Encoder().encode
_decode_run = msgspec.json.Decoder(Run).decode
_decode_result = msgspec.json.Decoder(Result).decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Found).decode


def run_of(store: Store, list_id: str) -> Run | None:
    """The check that has not ended, if there is one."""
    held = cast(bytes | None, store.client.get(keys.reconciling(list_id)))
    return _decode_run(held) if held else None


def save_run(store: Store, list_id: str, run: Run) -> None:
    store.client.set(keys.reconciling(list_id), _encode(run))


def begin(store: Store, list_id: str, run: Run) -> None:
    """Start a check: nobody has been seen yet."""
    forget_seen(store, list_id)
    save_run(store, list_id, run)


def result_of(store: Store, list_id: str) -> Result | None:
    """What the last check found."""
    held = cast(bytes | None, store.client.get(keys.reconciled(list_id)))
    return _decode_result(held) if held else None


def end(store: Store, list_id: str, result: Result) -> None:
    """Keep the result; the check is over."""
    store.client.set(keys.reconciled(list_id), _encode(result), ex=KEPT_SECONDS)
    store.client.delete(keys.reconciling(list_id))
    forget_seen(store, list_id)


def forget_seen(store: Store, list_id: str) -> None:
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.delete(part.listed(list_id))
    pipe.execute()


def write(
    store: Store,
    part: PartitionKeys,
    list_id: str,
    found: Mapping[str, Found | None],
    seen: Iterable[str] = (),
) -> None:
    """Write down what was found at addresses of one partition (None: nothing any more), and who was seen.

    Of somebody who was erased nothing is written down, though the list may still have them.
    """
    hashes = b"".join(map(hash_of, seen))
    name = part.drift(list_id)
    found = dict(found) | dict.fromkeys(gone(store, found))
    pipe = store.client.pipeline(transaction=False)
    if hashes:
        pipe.append(part.listed(list_id), hashes)
        pipe.expire(part.listed(list_id), KEPT_SECONDS)
    if fine := [address for address, each in found.items() if each is None]:
        pipe.hdel(name, *fine)
    if packed := {address: _pack(each) for address, each in found.items() if each is not None}:
        pipe.hset(name, items=[each for item in packed.items() for each in item])
        pipe.expire(name, KEPT_SECONDS)
    if len(pipe):
        pipe.execute()
    # An erasure buries first and takes away then: who was not erased before this look will be taken away.
    if late := gone(store, packed):
        store.client.hdel(name, *late)


def hash_of(person: str) -> bytes:
    return hashlib.blake2b(person.encode(), digest_size=HASH_BYTES).digest()


def seen_in(store: Store, part: PartitionKeys, list_id: str) -> set[bytes]:
    """The hashes of those of a partition whom the check has seen: about 150 bytes each in memory."""
    held = cast(bytes | None, store.client.get(part.listed(list_id))) or b""
    return {held[at : at + HASH_BYTES] for at in range(0, len(held), HASH_BYTES)}


def found_before(store: Store, part: PartitionKeys, list_id: str, addresses: list[str]) -> dict[str, Found]:
    """What was found at these addresses last."""
    if not addresses:
        return {}
    held = store.client.hmget(part.drift(list_id), addresses)
    pairs = zip(addresses, cast(list[bytes | None], held), strict=True)
    return {address: _unpack(packed) for address, packed in pairs if packed}


def drop_older(store: Store, list_id: str, run: str) -> None:
    """Forget what earlier checks found and this one did not."""
    for part in store.parts:
        name = part.drift(list_id)
        for address, packed in store.client.hscan_iter(name, count=1000):
            if _unpack(packed).run != run:
                store.client.hdel(name, address)


def findings(store: Store, list_id: str) -> Iterator[tuple[str, Found]]:
    """Everything that was found, by address, partition after partition."""
    for part in store.parts:
        for address, packed in store.client.hscan_iter(part.drift(list_id), count=1000):
            yield address.decode(), _unpack(packed)
