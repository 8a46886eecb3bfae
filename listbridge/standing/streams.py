"""How the streams stand: events that came, that wait to be folded, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass

from listbridge.store.store import Store
from listbridge.streams.schemas import SCHEMAS

# KEYS: offsets, totals, then per stream the stream and its quarantine; ARGV: stream names...
# -> per stream: events beyond the offset, the id of the first of them ('' for none), events ever appended,
#    events set aside
_STANDING = """
local found = {}
for i = 1, #ARGV do
  local stream, quarantine = KEYS[2 * i + 1], KEYS[2 * i + 2]
  local after = redis.call('HGET', KEYS[1], ARGV[i]) or '0-0'
  local total = tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or '0')
  local first = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', 1)[1]
  local waiting = first and total - tonumber(first[2][6] or total) + tonumber(first[2][2]) or 0
  found[#found + 1] = {waiting, first and first[1] or '', total, redis.call('XLEN', quarantine)}
end
return found
"""


@dataclass(frozen=True, slots=True)
class StreamStanding:
    """In events; `oldest_at` (epoch ms) is when the oldest that waits came, None when none does."""

    stream: str
    accepted: int
    waiting: int
    quarantined: int
    oldest_at: int | None

    def lag_seconds(self, now: int) -> float:
        """For how long the oldest event has waited to be folded; 0 when none does."""
        return 0.0 if self.oldest_at is None else max(now - self.oldest_at, 0) / 1000


def streams_standing(store: Store) -> list[StreamStanding]:
    """How each stream stands, by name."""
    names = sorted(SCHEMAS)
    calls = []
    for part in store.parts:
        own = [key for name in names for key in (part.stream(name), part.quarantine(name))]
        calls.append(([part.offsets, part.totals, *own], names))
    answers = store.scripts(_STANDING, calls)
    return [_together(name, [answer[index] for answer in answers]) for index, name in enumerate(names)]


def _together(name: str, parts: list[tuple[int, bytes, int, int]]) -> StreamStanding:
    firsts = [int(first.split(b"-")[0]) for _, first, _, _ in parts if first]
    waiting, accepted, quarantined = (sum(int(part[i]) for part in parts) for i in (0, 2, 3))
    return StreamStanding(name, accepted, waiting, quarantined, min(firsts, default=None))
