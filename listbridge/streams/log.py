"""The logs: append with dedupe, quarantine, and reading on from an offset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from listbridge.store import keys
from listbridge.store.keys import PartitionKeys, partition_of
from listbridge.store.store import Store, now_ms
from listbridge.streams.capacity import full
from listbridge.streams.events import DAY_MS, Counts, Event, Unreadable, encode, event_id
from listbridge.streams.tombstones import digest, hash_key

MAX_ENTRY_EVENTS = 500
"""Events in one entry at most, so that a commit (a whole number of entries) stays small."""

FEW_ARGUMENTS = 512
"""Of how many at most one command is made: a millisecond of the server's time."""

# KEYS: stream, bell, totals, tombstones, one set of seen ids per day
# ARGV: 1 to ring, events that the partition may hold (0: any), the stream's name in the totals (empty: not
#       counted), whether tombstones matter (empty: no; 0: not known; 1: yes, and then digest and time come
#       after each body), then per day the number of events, and id and body of each
# -> [events that were new, 1 when the bell was not set before, events of the erased that were dropped], or
# [-1, events held] when they would go beyond the limit, or [-2] when tombstones matter; then none was
# written. Safe to repeat: then nothing is new.
# An entry's `t` is the number of events in the stream up to its end, trimmed ones included.
_APPEND = """
if ARGV[4] == '0' and redis.call('EXISTS', KEYS[4]) == 1 then return {-2, 0, 0} end
local step = ARGV[4] == '1' and 4 or 2
local fresh, bodies, erased, at = {}, {}, 0, 5
for d = 5, #KEYS do
  local n = tonumber(ARGV[at])
  local ids = {}
  for i = 1, n do ids[i] = ARGV[at + step * (i - 1) + 1] end
  local known = redis.call('SMISMEMBER', KEYS[d], unpack(ids))
  fresh[d] = {}
  for i = 1, n do
    local place, gone = at + step * (i - 1), false
    if step == 4 then
      local upto = redis.call('HGET', KEYS[4], ARGV[place + 3])
      gone = upto and tonumber(ARGV[place + 4]) <= tonumber(upto)
    end
    if gone then
      erased = erased + 1
    elseif known[i] == 0 then
      fresh[d][#fresh[d] + 1] = ids[i]
      bodies[#bodies + 1] = ARGV[place + 2]
    end
  end
  at = at + step * n + 1
end
if #bodies == 0 then return {0, 0, erased} end
local limit, name = tonumber(ARGV[2]), ARGV[3]
if limit > 0 then
  local held, totals = 0, redis.call('HGETALL', KEYS[3])
  for i = 1, #totals, 2 do
    held = held + (totals[i]:match(':trimmed$') and -1 or 1) * tonumber(totals[i + 1])
  end
  if held > 0 and held + #bodies > limit then return {-1, held, 0} end
end
local lines = table.concat(bodies, '\\n')
if name == '' then
  redis.call('XADD', KEYS[1], '*', 'n', #bodies, 'e', lines)
else
  local total = redis.call('HINCRBY', KEYS[3], name, #bodies)
  redis.call('XADD', KEYS[1], '*', 'n', #bodies, 'e', lines, 't', total)
end
for d = 5, #KEYS do
  if #fresh[d] > 0 then redis.call('SADD', KEYS[d], unpack(fresh[d])) end
end
return {#bodies, ARGV[1] == '1' and redis.call('SET', KEYS[2], '1', 'NX') and 1 or 0, erased}
"""

_Item = tuple[int, bytes, bytes, str, int]  # day, id, body; the event's key and time
_Call = tuple[Sequence[str], Sequence[Any]]  # keys, arguments


def append(store: Store, events: Iterable[Event], *, received: int | None = None) -> Counts:
    """Write the events that are new, each once, and count the others as duplicates.

    They are taken one by one, so none has to be held longer than it takes to make it a line.
    One script per partition and stream; a caller that fails half-way repeats the call with the
    same events. Raises `redis.RedisError` when the store can't be written, and `StreamFullError` when
    the streams of a partition hold as many events as they may.
    """
    at = now_ms() if received is None else received
    groups: dict[tuple[int, str], dict[bytes, _Item]] = defaultdict(dict)
    places: dict[str, int] = {}
    total = 0
    for event in events:
        total += 1
        partition = places.get(event.key, -1)
        if partition < 0:
            partition = places[event.key] = partition_of(event.key.encode(), store.partitions)
        identity = event.id
        group = groups[partition, event.stream]
        if identity not in group:
            body = encode(event, at, identity)
            group[identity] = (event.seen_day, identity, body, event.key, event.time)
    counts, asked = _append(store, groups, store.erasure_key)
    if asked:
        store.erasure_key = hash_key(store)
        again, _ = _append(store, groups, store.erasure_key)
        counts.add(again)
    counts.duplicates = total - counts.accepted - counts.erased
    if counts.duplicates:
        store.client.incrby(keys.DUPLICATES, counts.duplicates)
    return counts


def _append(
    store: Store, groups: Mapping[tuple[int, str], Mapping[bytes, _Item]], key: bytes | None
) -> tuple[Counts, bool]:
    """Append; with the `key` of their hashes people are looked for among the erased.

    -> what was done, and whether some partition took nothing because they have to be looked for.
    """
    calls: list[_Call] = []
    limit = -(-store.stream_limit_events // store.partitions)
    for (partition, stream), items in groups.items():
        part = store.parts[partition]
        calls += _calls(part, stream, part.stream(stream), list(items.values()), limit=limit, key=key)
    return _run(store, calls)


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
        entry = (at // DAY_MS, identity, set_aside(at, item.reason, item.raw), "", at)
        # Nobody folds a quarantine: a bell that it rang would only keep the next event from ringing.
        calls += _calls(part, name, part.quarantine(item.stream), [entry])
    counts, _ = _run(store, calls)
    return Counts(quarantined=counts.accepted, duplicates=len(unreadable) - counts.accepted)


def set_aside(at: int, reason: str, raw: bytes) -> bytes:
    """How a quarantine holds something: when (epoch ms), a tab, why, a tab, and it as it came."""
    return b"%d\t%s\t%s" % (at, " ".join(reason.split()).encode(errors="replace"), raw)


def _calls(
    part: PartitionKeys,
    seen: str,
    target: str,
    items: list[_Item],
    *,
    limit: int | None = None,
    key: bytes | None = None,
) -> Iterator[_Call]:
    """The script calls that write `items`, each of at most `MAX_ENTRY_EVENTS`; no limit: a quarantine."""
    head: list[Any] = [0, 0, "", ""] if limit is None else [1, limit, seen, 0 if key is None else 1]
    for start in range(0, len(items), MAX_ENTRY_EVENTS):
        days: dict[int, list[_Item]] = defaultdict(list)
        for item in items[start : start + MAX_ENTRY_EVENTS]:
            days[item[0]].append(item)
        args = list(head)
        for found in days.values():
            args.append(len(found))
            for _, identity, body, person, time in found:
                args += (identity, body)
                if key is not None:
                    args += (digest(key, person), time)
        names = [target, part.bell, part.totals, part.tombstones]
        yield [*names, *(part.seen(seen, day) for day in days)], args


def _run(store: Store, calls: Sequence[_Call]) -> tuple[Counts, bool]:
    """As `_append`. Raises `StreamFullError`."""
    counts, asked = Counts(), False
    if calls:
        few = sum(len(args) for _, args in calls) <= FEW_ARGUMENTS
        run = store.small_scripts if few else store.scripts
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
