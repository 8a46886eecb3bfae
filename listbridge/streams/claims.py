"""Claims: which partitions have something to fold, who folds each, and how the tries before ended.

A try that ends its worker leaves its number behind. From `ALONE_FROM` tries on, a partition is folded
by itself and in smaller steps, so that the others go on; from `SET_ASIDE_FROM` on, the next entry is
set aside. Leases save double work; what makes a fold safe is the version that its commit compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

Ending = Literal["well", "unfinished", "badly"]
"""How a try ended: with its commits, with an exception that the worker survived, or with the worker."""

LEASE_MS = 10_000
ENTRIES_A_STEP = 4096
ENTRIES_ALONE = 8
ALONE_FROM = 3
SET_ASIDE_FROM = 8

# KEYS: bell, offsets, attempts, streams...; ARGV: 1 to clear the bell first, stream names...
# -> [tries that ended badly, events beyond the offsets (about that many)], or [] when there are none
_LOOK = """
if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) end
local events = 0
for i = 2, #ARGV do
  local after = redis.call('HGET', KEYS[2], ARGV[i]) or '0-0'
  local first = redis.call('XRANGE', KEYS[i + 2], '(' .. after, '+', 'COUNT', 1)[1]
  if first then
    local last = redis.call('XREVRANGE', KEYS[i + 2], '+', '-', 'COUNT', 1)[1]
    local before, total = tonumber(first[2][6] or 0), tonumber(last[2][6] or 0)
    events = events + math.max(total - before, 0) + tonumber(first[2][2])
  end
end
if events > 0 then return {tonumber(redis.call('GET', KEYS[3]) or '0'), events} end
if ARGV[1] == '1' then redis.call('DEL', KEYS[3]) end
return {}
"""

# KEYS: lease, attempts; ARGV: token, milliseconds, number of this try or, if it is none, '' -> 1: ours
_CLAIM = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3]) end
return 1
"""

# KEYS: lease, attempts; ARGV: token, tries to remember (empty: as it stands)
_RELEASE = """
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[2])
elseif ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2])
end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a partition: the tries at it that ended badly, and about how many events."""

    part: PartitionKeys
    tries: int
    events: int


def look(store: Store, streams: Sequence[str], *, clear_bells: bool) -> list[Waiting]:
    """The partitions in which something lies beyond the offsets.

    A bell is cleared before the look, in one step with it, so what is appended later rings again. The
    tries of a partition that has nothing left are forgotten then, too.
    """
    calls = [
        (
            [part.bell, part.offsets, part.attempts, *(part.stream(name) for name in streams)],
            [int(clear_bells), *streams],
        )
        for part in store.parts
    ]
    found = zip(store.parts, store.scripts(_LOOK, calls), strict=True)
    return [Waiting(part, *map(int, answer)) for part, answer in found if answer]


def claim(
    store: Store, token: str, attempts: Sequence[tuple[PartitionKeys, int]]
) -> list[tuple[PartitionKeys, int]]:
    """Take the partitions (each with the number of this try) that nobody else holds, for `LEASE_MS`."""
    calls = [([part.fold_lease, part.attempts], [token, LEASE_MS, number]) for part, number in attempts]
    return [each for each, taken in zip(attempts, store.scripts(_CLAIM, calls), strict=True) if taken]


def release(
    store: Store, token: str, attempts: Sequence[tuple[PartitionKeys, int]], *, ended: Ending
) -> None:
    """Let go of claimed partitions: a try that ended well lowers the count, an unfinished one is none."""
    store.scripts(
        _RELEASE,
        [
            ([part.fold_lease, part.attempts], [token, _remembered(number, ended)])
            for part, number in attempts
        ],
    )


def borrow(store: Store, token: str, part: PartitionKeys) -> bool:
    """Keep folds away from a partition for `LEASE_MS`, if nobody has it: no try at anything."""
    return bool(store.script(_CLAIM, [part.fold_lease, part.attempts], [token, LEASE_MS, ""]))


def give_back(store: Store, token: str, part: PartitionKeys) -> None:
    """Let go of what `borrow` took."""
    store.script(_RELEASE, [part.fold_lease, part.attempts], [token, ""])


def _remembered(attempt: int, ended: Ending) -> int | str:
    if ended == "badly":
        return ""
    return tries_left(attempt) if ended == "well" else attempt - 1


def entries_at(attempt: int) -> int:
    """How many entries the given try (from 1) takes; 0: set the next one aside."""
    if attempt < ALONE_FROM:
        return ENTRIES_A_STEP
    if attempt >= SET_ASIDE_FROM:
        return 0
    return max(1, ENTRIES_ALONE >> (2 * (attempt - ALONE_FROM)))


def tries_left(attempt: int) -> int:
    """What is remembered after a try that ended well: alone stays alone until nothing is left to fold."""
    return 0 if attempt < ALONE_FROM else max(attempt - 2, ALONE_FROM - 1)
