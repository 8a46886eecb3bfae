"""Tombstones: who was erased and until when, so that nothing that came before comes back.

A tombstone is a keyed hash of the person's key with the moment of the erasure, in the person's partition.
Events of an earlier time are dropped when they are appended; later ones start afresh. The hash's key is
made by the first erasure and lies in the store: it keeps the hashes from being looked up in tables of
addresses that are hashed everywhere alike, not from who has the whole store.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import cast

from listbridge.store import keys
from listbridge.store.store import Store

KEY_BYTES = 32
DIGEST_BYTES = 16

# KEYS: tombstones; ARGV: digest, when (epoch ms) -> the later of this and what was there
_BURY = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if held < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return math.max(held, tonumber(ARGV[2]))
"""


def hash_key(store: Store) -> bytes:
    """The key of the store's hashes, made when it is first asked for."""
    store.client.hsetnx(keys.META, "erasure_key", secrets.token_hex(KEY_BYTES))
    return bytes.fromhex(cast(bytes, store.client.hget(keys.META, "erasure_key")).decode())


def digest(key: bytes, person: str) -> bytes:
    """What a tombstone knows a person by."""
    return hashlib.blake2b(person.encode(), key=key, digest_size=DIGEST_BYTES).digest()


def bury(store: Store, person: str, at: int) -> int:
    """From now on what happened to the person up to `at` (epoch ms) is not taken; -> until when nothing is.

    That is later where a tombstone was there that says so.
    """
    answer = store.script(_BURY, [store.part(person).tombstones], [digest(hash_key(store), person), at])
    return int(answer)


def erased_at(store: Store, people: Iterable[str]) -> dict[str, int]:
    """Those of these people who were erased -> when (epoch ms)."""
    parts = [(part, members) for part, members in store.by_part(people)]
    pipe = store.client.pipeline(transaction=False)
    for part, _ in parts:
        pipe.exists(part.tombstones)
    known = [each for each, there in zip(parts, pipe.execute() if parts else (), strict=True) if there]
    if not known:
        return {}
    key = hash_key(store)
    for part, members in known:
        pipe.hmget(part.tombstones, [digest(key, person) for person in members])
    return {
        person: int(at)
        for (_, members), found in zip(known, pipe.execute(), strict=True)
        for person, at in zip(members, found, strict=True)
        if at
    }


def gone(store: Store, people: Iterable[str]) -> set[str]:
    """Those of these people who were erased and have not begun afresh: nothing may be written of them."""
    erased = list(erased_at(store, people))
    pipe = store.client.pipeline(transaction=False)
    for person in erased:
        pipe.hexists(store.part(person).profiles, person)
    return {person for person, back in zip(erased, pipe.execute() if erased else (), strict=True) if not back}


def erased_count(store: Store) -> int:
    """How many tombstones there are."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hlen(part.tombstones)
    return sum(pipe.execute())
