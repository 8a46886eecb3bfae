"""Reading profiles and writing them back behind the partition's fence.

Every writer of a partition's profiles reads the version first and writes with one script that
compares it: profiles, offsets, audience sets and the log of changes move together or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

# A sequence number is the moment of the change in epoch microseconds, or one more than the last of the
# partition: it says how long a change has waited. A double holds it exactly until the year 2255.
_SEQUENCE = """
local function whole(number) return string.format('%.0f', number) end
local function reserve(name, n)
  local time = redis.call('TIME')
  local last = tonumber(redis.call('GET', name) or '0')
  last = math.max(last, tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('SET', name, whole(last + n))
  return last
end
"""

# KEYS: version, offsets, profiles, changed, sequence, mapping, skips, quarantines..., audience sets...
# ARGV: version read, new version, version of the mappings, how many quarantines, then lists, each after its
#       length: (stream, offset), (column, skipped), (key, packed), per quarantine its lines, per audience
#       set the keys to add and the keys to remove.
# -> 1 when written, now or by an earlier try of this very call (whoever came after it has replaced the new
#    version); -1 when newer mappings have written; 0 when somebody else was first.
_COMMIT = (
    _SEQUENCE
    + """
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then return 1 end
local newest, ours = tonumber(redis.call('GET', KEYS[6]) or '0'), tonumber(ARGV[3])
if newest > ours then return -1 end
if held ~= ARGV[1] then return 0 end
local quarantines, at = tonumber(ARGV[4]), 5
local function take()
  local n = tonumber(ARGV[at])
  at = at + 1
  return n
end
for _ = 1, take() do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, take() do
  redis.call('HINCRBY', KEYS[7], ARGV[at], ARGV[at + 1])
  at = at + 2
end
local n = take()
if n > 0 then
  local top = reserve(KEYS[5], n)
  for first = 1, n, 500 do
    local last = math.min(first + 499, n)
    local changed = {}
    for i = first, last do
      changed[#changed + 1] = whole(top + i)
      changed[#changed + 1] = ARGV[at + 2 * (i - first)]
    end
    redis.call('HSET', KEYS[3], unpack(ARGV, at, at + 2 * (last - first) + 1))
    redis.call('ZADD', KEYS[4], unpack(changed))
    at = at + 2 * (last - first + 1)
  end
end
for k = 8, 7 + quarantines do
  for _ = 1, take() do
    redis.call('XADD', KEYS[k], '*', 'n', 1, 'e', ARGV[at])
    at = at + 1
  end
end
for k = 8 + quarantines, #KEYS do
  for _, command in ipairs({'SADD', 'SREM'}) do
    for _ = 1, take() do
      redis.call(command, KEYS[k], ARGV[at])
      at = at + 1
    end
  end
end
if newest < ours then redis.call('SET', KEYS[6], ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
)


class Answer(Enum):
    """What became of a commit."""

    WRITTEN = 1
    CONFLICT = 0
    """Somebody else was first: read again."""
    OUTDATED = -1
    """Newer mappings have written to the partition: take up the active ones and reduce again."""


@dataclass(slots=True)
class Commit:
    """What one commit of one partition writes."""

    part: PartitionKeys
    version: bytes
    """As it was read before anything else of the partition was."""
    mapping: int = 0
    """The version of the mappings that made it: `Program.version`."""
    offsets: dict[str, bytes] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    entered: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    skips: dict[str, int] = field(default_factory=dict)
    """Column (see `skipped`) -> the events that it skipped."""
    quarantined: dict[str, list[bytes]] = field(default_factory=dict)
    """Stream -> what is set aside, as `streams.log.set_aside` writes it."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """The partition's version once this is written."""


def write(store: Store, commits: Sequence[Commit]) -> list[Answer]:
    """Write those of the commits whose partition is as it was read.

    From the first commit of a version of the mappings on, a partition takes none of an older version.
    """
    return [Answer(done) for done in store.scripts(_COMMIT, [_call(commit) for commit in commits])]


def _call(commit: Commit) -> tuple[list[str], list[Any]]:
    part = commit.part
    audiences = sorted(commit.entered.keys() | commit.left.keys())
    names = [part.version, part.offsets, part.profiles, part.changed, part.sequence, part.mapping, part.skips]
    names += map(part.quarantine, commit.quarantined)
    names += map(part.audience, audiences)
    args: list[Any] = [commit.version, commit.token, commit.mapping, len(commit.quarantined)]
    args += _pairs(commit.offsets) + _pairs(commit.skips) + _pairs(commit.profiles)
    for lines in commit.quarantined.values():
        args += [len(lines), *lines]
    for audience in audiences:
        for members in (commit.entered.get(audience, []), commit.left.get(audience, [])):
            args += [len(members), *members]
    return names, args


def _pairs(mapping: Mapping[str, bytes | int]) -> list[Any]:
    return [len(mapping), *(part for pair in mapping.items() for part in pair)]


# KEYS: changed, sequence, profiles; ARGV: keys of people
_TOUCH = (
    _SEQUENCE
    + """
for i = 1, #ARGV do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[1], whole(reserve(KEYS[2], 1) + 1), ARGV[i])
  end
end
"""
)


def touch(store: Store, people: Iterable[str]) -> None:
    """Have every export look again at those of these people who have a profile."""
    parts = store.by_part(people)
    if parts:
        store.scripts(_TOUCH, [([part.changed, part.sequence, part.profiles], keys) for part, keys in parts])


def skip_name(stream: str, number: int) -> str:
    """How the skips of a stream's column for the field with this number are kept."""
    return f"{stream}:{number}"


def skipped(store: Store) -> dict[str, int]:
    """The events skipped so far, by `skip_name`, of all versions of the mappings."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hgetall(part.skips)
    total: dict[str, int] = {}
    for held in pipe.execute():
        for name, count in held.items():
            total[name.decode()] = total.get(name.decode(), 0) + int(count)
    return total


def read_packed(store: Store, part: PartitionKeys, people: Sequence[str]) -> dict[str, bytes]:
    """The packed profiles of those who have one."""
    [found] = read_packed_of(store, [(part, people)])
    return found


def read_packed_of(
    store: Store, people: Sequence[tuple[PartitionKeys, Sequence[str]]]
) -> list[dict[str, bytes]]:
    """The packed profiles, partition by partition, of those who have one."""
    pipe = store.client.pipeline(transaction=False)
    for part, keys in people:
        if keys:
            pipe.hmget(part.profiles, list(keys))
    answers = iter(pipe.execute())
    return [
        {key: packed for key, packed in zip(keys, next(answers), strict=True) if packed is not None}
        if keys
        else {}
        for _, keys in people
    ]


def versions_and_offsets(
    store: Store, parts: Iterable[PartitionKeys]
) -> list[tuple[bytes, dict[str, bytes]]]:
    """Each partition's version (empty before the first commit) and its offset per stream."""
    pipe = store.client.pipeline(transaction=False)
    for part in parts:
        pipe.get(part.version)
        pipe.hgetall(part.offsets)
    answers = pipe.execute()
    return [
        (version or b"", {stream.decode(): offset for stream, offset in offsets.items()})
        for version, offsets in zip(answers[::2], answers[1::2], strict=True)
    ]
