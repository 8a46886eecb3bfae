"""Reading the logs: the next entries of a partition beyond its offsets, and all of one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, StoreError
from listbridge.streams.events import owner
from listbridge.streams.log import Entry, entries, totals

EVENTS_A_STEP = 65_536
"""Events of one partition in one commit: people who have several are merged and written once."""
MANY_PEOPLE = 16_384
"""A partition that holds more people takes half of that: a commit keeps the server from all others for
some 10 ms for each thousand people."""
ENTRIES_A_PAGE = 50

# The streams' entries in the order in which they came, so that none waits behind another stream.
# KEYS: version, offsets, profiles, streams...; ARGV: entries at most, events at most, people beyond whom
# half of these, stream names...
# -> [version, [[stream's number, entry id, events, lines], ...]]
_NEXT = """
local heads, taken, events = {}, {}, 0
local most = tonumber(ARGV[2])
if redis.call('HLEN', KEYS[3]) > tonumber(ARGV[3]) then most = most / 2 end
local function advance(i, after)
  heads[i] = redis.call('XRANGE', KEYS[i + 3], '(' .. after, '+', 'COUNT', 1)[1]
end
local function order(id)
  local ms, seq = id:match('(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function earlier(a, b)
  local ams, aseq = order(a)
  local bms, bseq = order(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
for i = 1, #KEYS - 3 do advance(i, redis.call('HGET', KEYS[2], ARGV[i + 3]) or '0-0') end
while #taken < tonumber(ARGV[1]) do
  local first
  for i = 1, #KEYS - 3 do
    if heads[i] and (not first or earlier(heads[i][1], heads[first][1])) then first = i end
  end
  if not first then break end
  local id, n, lines = heads[first][1], tonumber(heads[first][2][2]), heads[first][2][4]
  if #taken > 0 and events + n > most then break end
  taken[#taken + 1] = {first, id, n, lines}
  events = events + n
  advance(first, id)
end
return {redis.call('GET', KEYS[1]) or '', taken}
"""


@dataclass(slots=True)
class Pending:
    """Entries of one partition that are to be folded together, by stream, oldest first."""

    part: PartitionKeys
    version: bytes
    """The partition's version when they were read; empty before its first commit."""
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def offsets(self) -> dict[str, bytes]:
        """Where each stream stands once these are folded."""
        return {stream: found[-1][0] for stream, found in self.entries.items()}

    @property
    def events(self) -> int:
        return sum(n for found in self.entries.values() for _, n, _ in found)

    def text(self, stream: str) -> bytes:
        """The events of one stream as lines of JSON."""
        return b"\n".join(body for _, _, body in self.entries.get(stream, ()))

    def count(self, stream: str) -> int:
        """The events of one stream."""
        return sum(n for _, n, _ in self.entries.get(stream, ()))

    def lines(self, stream: str) -> list[bytes]:
        """The events of one stream, each a line of JSON."""
        return [line for _, _, body in self.entries.get(stream, ()) for line in body.split(b"\n")]


def next_entries(
    store: Store, parts: Sequence[PartitionKeys], streams: Sequence[str], limit: int
) -> list[Pending]:
    """The next entries of each partition, at most `limit`; partitions that have none are left out."""
    calls = [
        (
            [part.version, part.offsets, part.profiles, *(part.stream(name) for name in streams)],
            [limit, EVENTS_A_STEP, MANY_PEOPLE, *streams],
        )
        for part in parts
    ]
    pending = []
    for part, (version, taken) in zip(parts, store.scripts(_NEXT, calls), strict=True):
        item = Pending(part, version)
        for number, entry_id, events, lines in taken:
            item.entries.setdefault(streams[number - 1], []).append((entry_id, events, lines))
        if item.entries:
            pending.append(item)
    return pending


START = b"0-0"
"""Before the first entry of any stream."""


def entry_order(entry_id: bytes | str) -> tuple[int, int]:
    """What sorts entry ids in the order in which the entries came."""
    ms, _, number = (entry_id.decode() if isinstance(entry_id, bytes) else entry_id).partition("-")
    return int(ms), int(number)


def pages_between(
    store: Store, part: PartitionKeys, stream: str, after: bytes = START, last: bytes = b"+"
) -> Iterator[list[Entry]]:
    """The entries of a partition's stream beyond `after`, up to and with `last`, a page at a time."""
    while True:
        raw = store.client.xrange(
            part.stream(stream), min=f"({after.decode()}", max=last.decode(), count=ENTRIES_A_PAGE
        )
        page = entries(cast(Any, raw))
        if not page:
            return
        yield page
        after = page[-1][0]


def lines_between(
    store: Store, part: PartitionKeys, stream: str, after: bytes = START, last: bytes = b"+"
) -> Iterator[list[bytes]]:
    """The events of `pages_between`, each a line of JSON."""
    for page in pages_between(store, part, stream, after, last):
        yield [line for _, _, body in page for line in body.split(b"\n")]


class History(Protocol):
    """Where a person's past events are read from."""

    def lines(self, part: PartitionKeys, stream: str, key: str, last: bytes) -> Iterator[list[bytes]]:
        """The person's events of entries up to and with `last`, each once, as lines of JSON."""


class StreamHistory:
    """The streams alone: enough as long as nothing has been trimmed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lines(self, part: PartitionKeys, stream: str, key: str, last: bytes) -> Iterator[list[bytes]]:
        """See `History.lines`. Raises `StoreError` when events are in the archive only."""
        if totals(self._store, stream)[part.number].trimmed:
            raise StoreError(
                f"events of {stream} in partition {part.number} are in the archive only: read it, too"
            )
        for lines in lines_between(self._store, part, stream, last=last):
            yield [line for line in lines if owner(line) == key]
