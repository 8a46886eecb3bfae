"""Trimming: the streams let go of what is both folded and archived, unless somebody holds it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import cast

import redis

from listbridge.archive.errors import StorageError
from listbridge.archive.state import load
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

logger = logging.getLogger(__name__)

HOLD_SECONDS = 60.0

# KEYS: hold; ARGV: token, milliseconds
_HOLD = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return 1
"""

# KEYS: hold, offsets, totals, stream; ARGV: stream's name, last archived entry, 1 when the stream is folded
# -> events trimmed, -1 when somebody holds the partition
_TRIM = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now), '+inf') > 0 then return -1 end
local function order(id)
  local ms, seq = id:match('(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local upto = ARGV[2]
if ARGV[3] == '1' then
  local folded = redis.call('HGET', KEYS[2], ARGV[1]) or '0-0'
  local fms, fseq = order(folded)
  local ams, aseq = order(upto)
  if fms < ams or (fms == ams and fseq < aseq) then upto = folded end
end
local last = redis.call('XREVRANGE', KEYS[4], upto, '-', 'COUNT', 1)[1]
if not last then return 0 end
local ms, seq = last[1]:match('(%d+)-(%d+)')
redis.call('XTRIM', KEYS[4], 'MINID', '=', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
local total
for i = 1, #last[2], 2 do
  if last[2][i] == 't' then total = tonumber(last[2][i + 1]) end
end
if not total then return 0 end
local name = ARGV[1] .. ':trimmed'
local before = tonumber(redis.call('HGET', KEYS[3], name) or '0')
redis.call('HSET', KEYS[3], name, string.format('%.0f', total))
return total - before
"""


def hold(store: Store, part: PartitionKeys, token: str, seconds: float = HOLD_SECONDS) -> None:
    """Keep the partition's streams from being trimmed for `seconds` from now; several may hold it."""
    store.script(_HOLD, [part.hold], [token, int(seconds * 1000)])


def release(store: Store, part: PartitionKeys, token: str) -> None:
    store.client.zrem(part.hold, token)


class Hold:
    """A hold of a partition, from which on nothing should have been trimmed."""

    def __init__(self, store: Store, part: PartitionKeys) -> None:
        self._store = store
        self._part = part
        self._trimmed = self._now()

    def check(self) -> None:
        """Raises `StorageError` when the streams were trimmed all the same: the hold had run out, and what
        was read since may have gaps."""
        if self._now() != self._trimmed:
            raise StorageError(
                f"the streams of partition {self._part.number} were trimmed while they were being read: "
                "this process stood still for too long; try again"
            )

    def _now(self) -> dict[bytes, bytes]:
        totals = cast(dict[bytes, bytes], self._store.client.hgetall(self._part.totals))
        return {name: total for name, total in totals.items() if name.endswith(b":trimmed")}


@contextmanager
def held(store: Store, part: PartitionKeys) -> Iterator[Hold]:
    """Hold the partition for as long as this lasts; `Hold.check` after reading says whether it did."""
    token, over = secrets.token_hex(8), Event()
    hold(store, part, token)
    taken = Hold(store, part)

    def beat() -> None:
        while not over.wait(HOLD_SECONDS / 4):
            try:
                hold(store, part, token)
            except redis.RedisError as error:
                logger.warning("%s could not be extended: %s", part.hold, type(error).__name__)

    thread = Thread(target=beat, name="hold", daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
        release(store, part, token)


def trim(store: Store, part: PartitionKeys, stream: str, *, folded: bool) -> int:
    """Trim a stream past what is archived and, when it is `folded` at all, folded; -> events let go."""
    [found] = load(store, [(part, stream)])
    if not found.raw:
        return 0
    names = [part.hold, part.offsets, part.totals, part.stream(stream)]
    return max(0, int(store.script(_TRIM, names, [stream, found.state.position, int(folded)])))
