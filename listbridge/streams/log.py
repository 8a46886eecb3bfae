"""The logs: append with dedupe, quarantine, and reading on from an offset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from listbridge.store import keys
from listbridge.store.keys import PartitionKeys, hash_of, partition_of
from listbridge.store.store import Store, now_ms
from listbridge.streams.capacity import full
from listbridge.streams.events import DAY_MS, ID_BYTES, Counts, Event, Unreadable, event_id
from listbridge.streams.lines import Line, line_of
from listbridge.streams.tombstones import DIGEST_BYTES, digest, hash_key

MAX_ENTRY_EVENTS = 500
"""Events in one entry at most, so that a commit (a whole number of entries) stays small."""

FEW_EVENTS = 250
"""Of how many at most one command is made: a millisecond of the server's time."""

# KEYS: stream, bell, totals, tombstones, one set of seen ids per day
# ARGV: 1 to ring, events that the partition may hold (0: any), the stream's name in the totals (empty: not
#       counted), whether tombstones matter (empty: no; 0: not known; 1: yes), the events' lines by newlines,
#       and where tombstones matter their digests in one text and their times by commas, then per day the ids
#       in one text; all in the same order. A line that stands alone may hold newlines.
# -> [events that were new, 1 when the bell was not set before, events of the erased that were dropped], or
# [-1, events held] when they would go beyond the limit, or [-2] when tombstones matter; then none was
# written. Safe to repeat: then nothing is new.
# An entry's `t` is the number of events in the stream up to its end, trimmed ones included.
_APPEND = f"""
if ARGV[4] == '0' and redis.call('EXISTS', KEYS[4]) == 1 then return {{-2, 0, 0}} end
local lines, times, shift = ARGV[5], nil, 1
if ARGV[4] == '1' then
  times, shift = {{}}, 3
  for time in ARGV[7]:gmatch('[^,]+') do times[#times + 1] = tonumber(time) end
end
local fresh, kept, count, new, erased = {{}}, {{}}, 0, 0, 0
for d = 5, #KEYS do
  local text, ids = ARGV[d + shift], {{}}
  for i = 1, #text / {ID_BYTES} do ids[i] = text:sub({ID_BYTES} * (i - 1) + 1, {ID_BYTES} * i) end
  local known = redis.call('SMISMEMBER', KEYS[d], unpack(ids))
  fresh[d] = {{}}
  for i = 1, #ids do
    local gone = false
    count = count + 1
    if times then
      local place = {DIGEST_BYTES} * (count - 1)
      local upto = redis.call('HGET', KEYS[4], ARGV[6]:sub(place + 1, place + {DIGEST_BYTES}))
      gone = upto and times[count] <= tonumber(upto)
    end
    if gone then
      erased = erased + 1
    elseif known[i] == 0 then
      fresh[d][#fresh[d] + 1] = ids[i]
      kept[count] = true
      new = new + 1
    end
  end
end
if new == 0 then return {{0, 0, erased}} end
local limit, name = tonumber(ARGV[2]), ARGV[3]
if limit > 0 then
  local held, totals = 0, redis.call('HGETALL', KEYS[3])
  for i = 1, #totals, 2 do
    held = held + (totals[i]:match(':trimmed$') and -1 or 1) * tonumber(totals[i + 1])
  end
  if held > 0 and held + new > limit then return {{-1, held, 0}} end
end
if new < count then
  local bodies, at = {{}}, 0
  for line in lines:gmatch('[^\\n]+') do
    at = at + 1
    if kept[at] then bodies[#bodies + 1] = line end
  end
  lines = table.concat(bodies, '\\n')
end
if name == '' then
  redis.call('XADD', KEYS[1], '*', 'n', new, 'e', lines)
else
  local total = redis.call('HINCRBY', KEYS[3], name, new)
  redis.call('XADD', KEYS[1], '*', 'n', new, 'e', lines, 't', total)
end
for d = 5, #KEYS do
  if #fresh[d] > 0 then redis.call('SADD', KEYS[d], unpack(fresh[d])) end
end
return {{new, ARGV[1] == '1' and redis.call('SET', KEYS[2], '1', 'NX') and 1 or 0, erased}}
"""

_Groups = Mapping[tuple[int, str], Mapping[bytes, Line]]  # partition and stream -> id -> line
_Call = tuple[Sequence[str], Sequence[Any]]  # keys, arguments


def append(store: Store, events: Iterable[Event | Line], *, received: int | None = None) -> Counts:
    """Write the events that are new, each once, and count the others as duplicates.

    They are taken one by one, so none has to be held longer than it takes to make it a line.
    One script per partition and stream, in their order; a caller that fails half-way repeats the call
    with the same events. Raises `redis.RedisError` when the store can't be written, and `StreamFullError`
    when the streams of a partition hold as many events as they may.
    """
    at = now_ms() if received is None else received
    groups: dict[tuple[int, str], dict[bytes, Line]] = defaultdict(dict)
    partitions, total = store.partitions, 0
    for each in events:
        total += 1
        line = line_of(each, at) if isinstance(each, Event) else each
        groups[line.hash % partitions, line.stream].setdefault(line.id, line)
    counts, asked = _append(store, groups, store.erasure_key)
    if asked:
        store.erasure_key = hash_key(store)
        again, _ = _append(store, groups, store.erasure_key)
        counts.add(again)
    counts.duplicates = total - counts.accepted - counts.erased
    if counts.duplicates:
        store.client.incrby(keys.DUPLICATES, counts.duplicates)
    return counts


def _append(store: Store, groups: _Groups, key: bytes | None) -> tuple[Counts, bool]:
    """Append; with the `key` of their hashes people are looked for among the erased.

    -> what was done, and whether some partition took nothing because they have to be looked for.
    """
    calls: list[_Call] = []
    limit = -(-store.stream_limit_events // store.partitions)
    for (partition, stream), lines in groups.items():
        part = store.parts[partition]
        calls += _calls(part, stream, part.stream(stream), [*lines.values()], limit=limit, key=key)
    return _run(store, calls, sum(map(len, groups.values())))


def strangers(store: Store, events: Iterable[Event]) -> list[Event]:
    """Those of the events that no append has had; an event that is appended meanwhile may be among them."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        part = store.parts[partition_of(event.key.encode(), store.partitions)]
        groups[part.seen(event.stream, event.seen_day)].append(event)
    pipe = store.client.pipeline(transaction=False)
    for name, found in groups.items():
        pipe.smismember(name, [event.id for event in found])
    known = pipe.execute() if groups else []
    pairs = zip(groups.values(), known, strict=True)
    return [event for found, seen in pairs for event, held in zip(found, seen, strict=True) if not held]


def quarantine(store: Store, unreadable: Sequence[Unreadable], *, received: int | None = None) -> Counts:
    """Set aside what can't be an event, once a day for equal content, by the partition of its bytes."""
    at = now_ms() if received is None else received
    calls: list[_Call] = []
    for item in unreadable:
        part = store.parts[partition_of(item.raw, store.partitions)]
        name = f"quarantine:{item.stream}"
        identity = event_id(name, [item.raw.hex()])
        body = set_aside(at, item.reason, item.raw)
        entry = Line(name, "", hash_of(item.raw), at, at // DAY_MS, identity, body)
        # Nobody folds a quarantine: a bell that it rang would only keep the next event from ringing.
        calls += _calls(part, name, part.quarantine(item.stream), [entry])
    counts, _ = _run(store, calls, len(unreadable))
    return Counts(quarantined=counts.accepted, duplicates=len(unreadable) - counts.accepted)


def set_aside(at: int, reason: str, raw: bytes) -> bytes:
    """How a quarantine holds something: when (epoch ms), a tab, why, a tab, and it as it came."""
    return b"%d\t%s\t%s" % (at, " ".join(reason.split()).encode(errors="replace"), raw)


def _calls(
    part: PartitionKeys,
    seen: str,
    target: str,
    lines: Sequence[Line],
    *,
    limit: int | None = None,
    key: bytes | None = None,
) -> Iterator[_Call]:
    """The script calls that write `lines`, each of at most `MAX_ENTRY_EVENTS`; no limit: a quarantine."""
    head: list[Any] = [0, 0, "", ""] if limit is None else [1, limit, seen, 0 if key is None else 1]
    for start in range(0, len(lines), MAX_ENTRY_EVENTS):
        days: dict[int, list[Line]] = defaultdict(list)
        for line in lines[start : start + MAX_ENTRY_EVENTS]:
            days[line.day].append(line)
        ordered = [line for found in days.values() for line in found]
        args = [*head, b"\n".join([line.body for line in ordered])]
        if key is not None and limit is not None:
            args += [b"".join([digest(key, line.key) for line in ordered])]
            args += [",".join([str(line.time) for line in ordered])]
        args += [b"".join([line.id for line in found]) for found in days.values()]
        names = [target, part.bell, part.totals, part.tombstones]
        yield [*names, *(part.seen(seen, day) for day in days)], args


def _run(store: Store, calls: Sequence[_Call], events: int) -> tuple[Counts, bool]:
    """As `_append`, so many events. Raises `StreamFullError`."""
    counts, asked = Counts(), False
    if calls:
        run = store.small_scripts if events <= FEW_EVENTS else partial(store.scripts, at_once=True)
        for accepted, rang, erased in run(_APPEND, calls):
            if accepted == -1:
                raise full(store, rang)
            if accepted == -2:
                asked = True
                continue
            counts.accepted += accepted
            counts.erased += erased
            counts.rang = counts.rang or bool(rang)
    return counts, asked


Entry = tuple[bytes, int, bytes]
"""An entry of a stream: its id, the number of events, the events as lines of JSON."""


def entries(raw: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    """The entries of an XRANGE answer, oldest first."""
    return [(entry_id, int(fields[b"n"]), fields[b"e"]) for entry_id, fields in raw]


def tail(store: Store, key_of: str, stream: str, count: int) -> list[tuple[bytes, bytes]]:
    """The newest `count` lines of a stream (`key_of` "stream") or its quarantine, oldest first."""
    found: list[tuple[bytes, bytes]] = []
    for part in store.parts:
        name = part.stream(stream) if key_of == "stream" else part.quarantine(stream)
        raw = cast(list[tuple[bytes, dict[bytes, bytes]]], store.client.xrevrange(name, count=count))
        for entry_id, n, body in entries(raw):
            # What is set aside stands alone in its entry and may hold line ends.
            found += [(entry_id, line) for line in (body.split(b"\n") if n > 1 else [body])]
    found.sort(key=lambda item: tuple(int(number) for number in item[0].split(b"-")))
    return found[-count:]


def events_in(store: Store, stream: str) -> int:
    """How many events a stream has taken, those included that are in the archive only."""
    return sum(held.appended for held in totals(store, stream))


@dataclass(frozen=True, slots=True)
class Totals:
    """Events of one stream and partition: all that came, and those that were trimmed."""

    appended: int
    trimmed: int

    @property
    def held(self) -> int:
        """Events that the store holds."""
        return self.appended - self.trimmed


def totals(store: Store, stream: str) -> list[Totals]:
    """The totals of a stream in each partition."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hmget(part.totals, [stream, f"{stream}:trimmed"])
    return [Totals(int(appended or 0), int(trimmed or 0)) for appended, trimmed in pipe.execute()]


def duplicates_dropped(store: Store) -> int:
    """How many events came again and were dropped: a number that informs, nothing is decided by it."""
    return int(cast(bytes | None, store.client.get(keys.DUPLICATES)) or 0)
