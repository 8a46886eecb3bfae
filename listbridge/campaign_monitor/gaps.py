"""Gaps: times in which deliveries of webhooks may have been missed, and what has to be read because of them.

The web service says now and then that it takes deliveries; a stretch in which it did not is a gap of all
webhooks. One that was found switched off, gone or at another address makes a gap of its list. After a gap
the list's states are read from their beginning (see `repairs`); what has been read since ends its meaning.
"""

from __future__ import annotations

from typing import cast

import msgspec

from listbridge.store import keys
from listbridge.store.store import Store, now_ms

BEAT_SECONDS = 15.0
SILENCE_MS = 60_000
"""Silence of the web service that is longer than this is a gap."""
AHEAD_MS = 3_600_000
"""A last beat that lies further ahead was said by a clock that was wrong, and does not count."""
MOST = 1000

# KEYS: last beat, gaps; ARGV: now, the silence that is none (ms), how many gaps are kept, how far ahead the
# last beat may lie (ms), for how long whoever says it did not (ms; empty: not known)
# -> 1 when a gap has ended. Repeated with the same time it finds none.
_BEAT = """
local last, now = tonumber(redis.call('GET', KEYS[1]) or ARGV[1]), tonumber(ARGV[1])
if last - now > tonumber(ARGV[4]) then last = now end
if now <= last then
  redis.call('SET', KEYS[1], last)
  return 0
end
local own = tonumber(ARGV[5])
local missed = now - last > tonumber(ARGV[2]) and not (own and own <= tonumber(ARGV[2]))
if missed then
  redis.call('ZADD', KEYS[2], ARGV[1], string.format('%.0f:%.0f', last, now))
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[3]))
end
redis.call('SET', KEYS[1], ARGV[1])
return missed and 1 or 0
"""


class Gap(msgspec.Struct, frozen=True, order=True):
    """Deliveries may be missing of what happened between the two (epoch ms)."""

    since: int
    until: int


def beat(store: Store, now: int, *, quiet_ms: int | None = None) -> bool:
    """Say that deliveries are taken; -> whether they were not for a while.

    `quiet_ms`: how long ago, by a clock that nobody moves, the same process said it last. Where that is no
    silence, our clock was moved, and nothing was missed.
    """
    own = "" if quiet_ms is None else quiet_ms
    return bool(store.script(_BEAT, [keys.RECEIVING, keys.gaps()], [now, SILENCE_MS, MOST, AHEAD_MS, own]))


def note(store: Store, list_id: str, gap: Gap) -> None:
    """Keep a gap of one list's webhook."""
    name = keys.gaps(list_id)
    store.client.zadd(name, {f"{gap.since}:{gap.until}": gap.until})
    store.client.zremrangebyrank(name, 0, -1 - MOST)


def gaps_after(store: Store, list_id: str, at: int) -> list[Gap]:
    """The gaps that ended after that (epoch ms) and until now, all webhooks' and the list's own."""
    found: list[Gap] = []
    for name in (keys.gaps(), keys.gaps(list_id)):
        held = cast(list[bytes], store.client.zrange(name, f"({at}", now_ms(), byscore=True))
        found += [Gap(*map(int, each.split(b":"))) for each in held]
    return sorted(found)


def last_end(store: Store, list_id: str = "") -> int:
    """When the last gap of all webhooks ended, or of the list's own too (epoch ms; 0: there was none).

    One that ends in time to come was noted by a clock that was ahead: it is looked at then.
    """
    now = now_ms()
    pipe = store.client.pipeline(transaction=False)
    for name in {keys.gaps(), keys.gaps(list_id)}:
        pipe.zrange(name, now, "-inf", desc=True, byscore=True, offset=0, num=1, withscores=True)
    return max((int(found[0][1]) for found in pipe.execute() if found), default=0)
