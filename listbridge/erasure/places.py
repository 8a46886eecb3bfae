"""Where a person is in the store, beside the streams and the archive: partition by partition, key by key.

Whatever holds people by their key is found by its type, not by its name, so that a kind of record that
is added later is erased, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from listbridge.erasure.mentions import Mentions
from listbridge.exports.claims import set_free
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import entries

_ELEMENTS = {b"hash", b"set", b"zset"}
_NOT_PEOPLE = ("seen:", "stream:", "quarantine:", "tombstones", "erasures", "archived:", "retired:")
_PAGE = 500

# KEYS: version, fences..., what holds people...; ARGV: new version, person, how many fences, their new token
# -> how many elements went. Safe to repeat.
_REMOVE = """
local fences = tonumber(ARGV[3])
for i = 2, 1 + fences do redis.call('SET', KEYS[i], ARGV[4]) end
local n = 0
for i = 2 + fences, #KEYS do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  if kind == 'hash' then n = n + redis.call('HDEL', KEYS[i], ARGV[2])
  elseif kind == 'set' then n = n + redis.call('SREM', KEYS[i], ARGV[2])
  elseif kind == 'zset' then n = n + redis.call('ZREM', KEYS[i], ARGV[2]) end
end
redis.call('SET', KEYS[1], ARGV[1])
return n
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """A key of the store that holds the person, as what (`place`: such as `delivered:<list>`)."""

    name: str
    place: str
    kind: bytes


def names_of(store: Store, part: PartitionKeys) -> list[tuple[str, bytes]]:
    """The keys of a partition that may hold people by their key, and their types."""
    found = sorted({name.decode() for name in store.client.scan_iter(match=part.pattern, count=1000)})
    names = [name for name in found if not keys.place_of(part, name).startswith(_NOT_PEOPLE)]
    pipe = store.client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    kinds = pipe.execute() if names else []
    return [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind in _ELEMENTS]


def holdings(store: Store, person: str) -> list[Holding]:
    """What holds the person in their own partition."""
    part = store.part(person)
    names = names_of(store, part)
    pipe = store.client.pipeline(transaction=False)
    for name, kind in names:
        if kind == b"hash":
            pipe.hexists(name, person)
        elif kind == b"set":
            pipe.sismember(name, person)
        else:
            pipe.zscore(name, person)
    answers = pipe.execute() if names else []
    return [
        Holding(name, keys.place_of(part, name), kind)
        for (name, kind), there in zip(names, answers, strict=True)
        if there not in (None, 0, False)
    ]


def remove(store: Store, person: str, token: str) -> int:
    """Take the person out of everything in their partition, behind its fence and those of its lists.

    Whoever read the partition before can't write it any more, and a delivery that is under way can't
    record anything: it looks again.
    """
    part = store.part(person)
    held = [name for name, _ in names_of(store, part)]
    fences = _scan(store, part.fence("*"))
    return int(store.script(_REMOVE, [part.version, *fences, *held], [token, person, len(fences), token]))


def refuse_records(store: Store, person: str, token: str) -> None:
    """Whoever delivers can record nothing in the person's partition any more, and so ends."""
    for name in _scan(store, store.part(person).fence("*")):
        store.client.set(name, token)


def claims_of(store: Store, person: str) -> list[tuple[str, str, bytes]]:
    """Addresses in any partition that are claimed for the person: (key of the store, place, address)."""
    return [
        (name, "claims", address)
        for name in _scan(store, keys.every("claims"))
        for address, key in store.client.hscan_iter(name, count=_PAGE)
        if key == person.encode()
    ]


def waiting_of(store: Store, person: str) -> list[tuple[str, str, bytes]]:
    """Where the person waits for an address, or others wait for theirs."""
    first, last = f"{person} ".encode(), f" {person}".encode()
    return [
        (name, "claimants", member)
        for name in _scan(store, keys.every("claimants"))
        for member, _ in store.client.zscan_iter(name, count=_PAGE)
        if member.startswith(first) or member.endswith(last)
    ]


def remove_elsewhere(store: Store, person: str) -> None:
    """Take the person's claims out, in whichever partition they are.

    Then who was refused because of the person is tried again: the address is free.
    """
    for name, _, address in claims_of(store, person):
        store.client.hdel(name, address.decode())
    part = store.part(person)
    for name in _scan(store, part.claimants("*")):
        set_free(store, keys.place_of(part, name).partition(":")[2], [person], now_ms())
    for name, _, member in waiting_of(store, person):
        store.client.zrem(name, member)


def _scan(store: Store, pattern: str) -> list[str]:
    return sorted({name.decode() for name in store.client.scan_iter(match=pattern, count=1000)})


def quarantined(store: Store, streams: Sequence[str], person: str) -> Iterator[tuple[str, str, bytes]]:
    """What is set aside and names the person: (key of the store, stream, entry)."""
    found = Mentions(person)
    for part in store.parts:
        for stream in streams:
            name, after = part.quarantine(stream), "-"
            while page := entries(cast(Any, store.client.xrange(name, min=after, count=_PAGE))):
                yield from ((name, stream, entry) for entry, _, body in page if found.search(body))
                after = f"({page[-1][0].decode()}"


def notes(store: Store, person: str) -> list[tuple[str, str, bytes | None]]:
    """Records beside the partitions that name the person: (key of the store, place, member; None: all of it).

    A kept plan is remade when somebody asks; of what was put aside in a webhook's test and of workflows'
    logs only what names the person is theirs.
    """
    found: list[tuple[str, str, bytes | None]] = []
    pattern = Mentions(person)
    for name in _scan(store, keys.plan("*")):
        if pattern.search(cast(bytes | None, store.client.get(name)) or b""):
            found.append((name, "plan", None))
    for name in _scan(store, keys.SAMPLES):
        held = cast(set[bytes], store.client.smembers(name))
        found += [(name, "samples", each) for each in sorted(held) if pattern.search(each)]
    for name in _scan(store, keys.log("*")):
        lines = cast(Any, store.client.xrange(name))
        found += [(name, "log", entry) for entry, line in lines if pattern.search(line.get(b"message", b""))]
    return found


def remove_notes(store: Store, person: str) -> None:
    """Take out what `notes` finds."""
    for name, place, member in notes(store, person):
        if member is None:
            store.client.delete(name)
        elif place == "log":
            store.client.xdel(name, member.decode())
        else:
            store.client.srem(name, member)


def count(store: Store, streams: Sequence[str], person: str) -> Counter[str]:
    """How often the person is found, by place; an empty one when they are nowhere."""
    found = Counter(_kind(held.place) for held in holdings(store, person))
    found.update("claims" for _ in claims_of(store, person))
    found.update("waiting" for _ in waiting_of(store, person))
    found.update(f"quarantine {stream}" for _, stream, _ in quarantined(store, streams, person))
    found.update(f"note {place}" for _, place, _ in notes(store, person))
    return found


def _kind(place: str) -> str:
    """`delivered` for `delivered:<list>`."""
    return place.partition(":")[0]
