"""A list's delivery state in the store: cursors, what was delivered, what was refused, who is in doubt.

A person in the retry set is in doubt: before a call everybody in it is put there with the new row
written down, and only the recorded outcome takes them out. The set's score says when to look again.
All writes but `raise_doubt` carry the deliverer's token, so that a deliverer that lost its lease
can't record anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec

from listbridge.exports.brakes import REFUSED, track
from listbridge.exports.delivered import Delivered, Refused, pack, unpack_delivered, unpack_refused
from listbridge.exports.history import KEPT
from listbridge.exports.protocol import FieldValue
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms

# KEYS: fence, cursor, delivered, retry
# ARGV: token, cursor as read, new cursor, (key, packed, due, score as read or '')...
#   A score that changed since it was read is a doubt raised meanwhile: the mark on the new one keeps it.
#   A cursor that changed was rewound meanwhile, and stays.
_PLAN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 4, #ARGV, 4 do
  local due = tonumber(ARGV[i + 2])
  local score = redis.call('ZSCORE', KEYS[4], ARGV[i])
  if score and (ARGV[i + 3] == '' or tonumber(score) ~= tonumber(ARGV[i + 3])) then due = due + MARK end
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[4], due, ARGV[i])
end
if tonumber(redis.call('GET', KEYS[2]) or '0') == tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[3])
end
return 1
"""

# KEYS: fence, cursor, delivered, retry, refused, history
# ARGV: token, now, rewind cursor or '',
#       (key, kind, score as read or planned, value, old row, entry of the history, what it begins with)...
#   stored: the row holds; undone: the old row does; refused, asked: the same, and the refusal is kept;
#   moved: the value, a row, holds; absent: the list does not have the person; later: still in doubt. The
#   value is else the refusal or next score.
#   A score that is not the given one means that somebody raised a doubt meanwhile: look again now.
_RECORD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local function settle(key, given)
  local score = redis.call('ZSCORE', KEYS[4], key)
  if score and tonumber(score) == tonumber(given) then
    redis.call('ZREM', KEYS[4], key)
  elseif score then
    redis.call('ZADD', KEYS[4], tonumber(ARGV[2]) + MARK, key)
  end
end
local function restore(key, packed)
  if packed == '' then redis.call('HDEL', KEYS[3], key) else redis.call('HSET', KEYS[3], key, packed) end
end
local function remember(key, entry, first)
  if entry == '' then return end
  local held = redis.call('HGET', KEYS[6], key) or first
  if string.sub(held, 1, #entry) == entry then return end
  local all, at = entry .. held, 1
  for _ = 1, KEPT do
    if at > #all then break end
    at = at + 2 + 256 * string.byte(all, at) + string.byte(all, at + 1)
  end
  redis.call('HSET', KEYS[6], key, string.sub(all, 1, at - 1))
end
for i = 4, #ARGV, 7 do
  local key, kind, score, value, old = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  remember(key, ARGV[i + 5], ARGV[i + 6])
  if kind == 'stored' then
    redis.call('HDEL', KEYS[5], key)
    settle(key, score)
  elseif kind == 'moved' then
    redis.call('HSET', KEYS[3], key, value)
    redis.call('HDEL', KEYS[5], key)
    settle(key, score)
  elseif kind == 'undone' then
    restore(key, old)
    settle(key, score)
  elseif kind == 'refused' then
    redis.call('HSET', KEYS[5], key, value)
    restore(key, old)
    settle(key, score)
  elseif kind == 'asked' then
    redis.call('HSET', KEYS[5], key, value)
    restore(key, old)
    redis.call('ZADD', KEYS[4], ARGV[2], key)
  elseif kind == 'absent' then
    redis.call('HDEL', KEYS[3], key)
    redis.call('HDEL', KEYS[5], key)
    settle(key, score)
  elseif kind == 'later' then
    redis.call('ZADD', KEYS[4], value, key)
  end
end
if ARGV[3] ~= '' and tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[3]) then
  redis.call('SET', KEYS[2], ARGV[3])
end
return 1
"""

# KEYS: fence, delivered; ARGV: token, (key, packed)... -> how many had no entry; -1 for a lost fence
_ADOPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
local n = 0
for i = 2, #ARGV, 2 do n = n + redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) end
return n
"""

# KEYS: delivered, retry; ARGV: now, '1' for everybody, key... -> how many are in doubt now
_DOUBT = """
local n = 0
for i = 3, #ARGV do
  if ARGV[2] == '1' or redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    local score = redis.call('ZSCORE', KEYS[2], ARGV[i]) or ARGV[1]
    redis.call('ZADD', KEYS[2], tonumber(score) + MARK, ARGV[i])
    n = n + 1
  end
end
return n
"""

# KEYS: refused, retry; ARGV: now, key... -> how many of them are refused, and so due again.
_RETRY = """
local n = 0
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], 'LT', ARGV[1], ARGV[i])
    n = n + 1
  end
end
return n
"""

# KEYS: delivered; ARGV: key, packed as read, new packed -> 0 when somebody else was first
_NOTE = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held == ARGV[3] then return 1 end
if held ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""

RESTORING = frozenset({"undone", "refused", "asked"})
"""Kinds of records after which the old row holds."""

NOTE_TRIES = 3
"""A delivery may write the same entry meanwhile."""

MARK = 1 / 1024
"""Added to a score by each doubt that is raised: no deliverer writes fractions of a millisecond itself,
and a double still tells this one from its neighbours."""

_PLAN, _RECORD, _DOUBT = (script.replace("MARK", repr(MARK)) for script in (_PLAN, _RECORD, _DOUBT))
_RECORD = _RECORD.replace("KEPT", str(KEPT))


class LostLease(Exception):
    """Another deliverer may have the list: what was in flight is in doubt and will be looked at again."""


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition with something to deliver: its cursor and its newest change, as they were seen."""

    part: PartitionKeys
    cursor: int
    newest: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody to decide about: with the `sequence` of a change, or with a `doubt` (their score in the
    retry set)."""

    key: str
    sequence: int | None
    doubt: float | None
    delivered: Delivered | None
    delivered_packed: bytes
    refused: Refused | None
    packed_profile: bytes | None

    @property
    def score(self) -> float | str:
        """The score as the scripts take it."""
        return "" if self.doubt is None else self.doubt

    @property
    def doubt_was_raised(self) -> bool:
        """Did somebody else change the row (rather than: a call of ours ended without an answer)?"""
        return self.doubt is not None and self.doubt % 1 != 0

    @property
    def tries(self) -> int:
        """The attempts in a row that did not settle them."""
        return self.delivered.tries + 1 if self.doubt is not None and self.delivered is not None else 0

    @property
    def in_list(self) -> bool:
        """Has the list certainly stored a row of this person before?"""
        if self.delivered is None:
            return False
        return self.delivered.known or (self.doubt is None and self.refused is None)


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one person: `kind` and the rest as `_RECORD` says; `history` as `to_remember` does.
    `at_fault`: the list has refused them, and the brakes count that."""

    key: str
    kind: str
    score: float | str
    value: bytes | float = b""
    old: bytes = b""
    history: tuple[bytes, bytes] = (b"", b"")
    at_fault: bool = False


class Ledger:
    """The delivery state of one list, for one deliverer (`token`)."""

    def __init__(self, store: Store, list_id: str, token: str) -> None:
        self._store = store
        self._list = list_id
        self._token = token
        self.watches_refused = False
        """Note who is refused, for the brakes."""

    @property
    def token(self) -> str:
        return self._token

    def take_over(self) -> None:
        """Make this deliverer the only one whose records count."""
        pipe = self._store.client.pipeline(transaction=False)
        for part in self._store.parts:
            pipe.set(part.fence(self._list), self._token)
        pipe.execute()

    def lagging(self, now: int) -> list[Lag]:
        """The partitions with changes beyond the cursor or with retries that are due."""
        looks = zip(self._store.parts, _looks(self._store, self._list, now), strict=True)
        return [Lag(part, cursor, newest) for part, (cursor, newest, behind) in looks if behind]

    def changed(self, part: PartitionKeys, after: int, until: int, limit: int) -> list[tuple[str, int]]:
        """Who changed after the cursor and up to `until`, oldest change first."""
        name, low = part.changed, f"({after}"
        found = cast(
            Any, self._store.client.zrangebyscore(name, low, until, start=0, num=limit, withscores=True)
        )
        return [(key.decode(), int(score)) for key, score in found]

    def due(self, part: PartitionKeys, now: int, limit: int) -> list[str]:
        """Who is in doubt and has rested."""
        name = part.retry(self._list)
        found = cast(Any, self._store.client.zrangebyscore(name, "-inf", now, start=0, num=limit))
        return [key.decode() for key in found]

    def doubted(self, part: PartitionKeys, people: Sequence[str]) -> list[Candidate]:
        """What is held about people of the retry set."""
        return [c for c in self.held(part, [(key, None) for key in people]) if c.doubt is not None]

    def calm(self, part: PartitionKeys, people: Sequence[tuple[str, int]]) -> list[Candidate]:
        """What is held about people who changed, without those in doubt: they are left to the retry set."""
        return [c for c in self.held(part, people) if c.doubt is None]

    def held(self, part: PartitionKeys, people: Sequence[tuple[str, int | None]]) -> list[Candidate]:
        """What is held about people of one partition, each with the sequence of a change or None."""
        if not people:
            return []
        keys = [key for key, _ in people]
        pipe = self._store.client.pipeline(transaction=False)
        pipe.hmget(part.profiles, keys)
        pipe.hmget(part.delivered(self._list), keys)
        pipe.hmget(part.refused(self._list), keys)
        pipe.zmscore(part.retry(self._list), keys)
        return [
            Candidate(
                key,
                sequence,
                doubt,
                unpack_delivered(told) if told else None,
                told or b"",
                unpack_refused(refusal) if refusal else None,
                profile,
            )
            for (key, sequence), profile, told, refusal, doubt in zip(people, *pipe.execute(), strict=True)
        ]

    def cursor(self, part: PartitionKeys) -> int:
        """How far the partition's changes have been delivered."""
        return int(cast(bytes | None, self._store.client.get(part.cursor(self._list))) or 0)

    def plan(
        self, part: PartitionKeys, was: int, cursor: int, rows: Iterable[tuple[Candidate, bytes, int]]
    ) -> None:
        """Put the people of `rows` (with packed new row and due) in doubt; move the cursor from `was`."""
        names = [
            part.fence(self._list),
            part.cursor(self._list),
            part.delivered(self._list),
            part.retry(self._list),
        ]
        args: list[Any] = [self._token, was, cursor]
        for candidate, packed, due in rows:
            args += (candidate.key, packed, due, candidate.score)
        self._fenced(_PLAN, names, args)

    def adopt(self, part: PartitionKeys, entries: Mapping[str, bytes]) -> int:
        """Write what the list held of people whom it was told nothing of; -> how many those were."""
        names = [part.fence(self._list), part.delivered(self._list)]
        args = [self._token, *(each for entry in entries.items() for each in entry)]
        written = int(self._store.script(_ADOPT, names, args))
        if written < 0:
            raise LostLease("another deliverer has taken over this list")
        return written

    def record(
        self,
        part: PartitionKeys,
        now: int,
        records: Iterable[Record],
        *,
        rewind: int | None = None,
    ) -> None:
        """Write outcomes; `rewind` moves the cursor back so that undone changes come again."""
        names = [
            part.fence(self._list),
            part.cursor(self._list),
            part.delivered(self._list),
            part.retry(self._list),
            part.refused(self._list),
            part.history(self._list),
        ]
        args: list[Any] = [self._token, now, "" if rewind is None else rewind]
        refused: dict[str, int] = {}
        for r in self._with_noted(part, list(records)):
            args += (r.key, r.kind, r.score, r.value, r.old, *r.history)
            if r.at_fault and self.watches_refused:
                refused[r.key] = now
        track(self._store, part, self._list, REFUSED, refused)
        self._fenced(_RECORD, names, args)

    def _with_noted(self, part: PartitionKeys, records: list[Record]) -> list[Record]:
        """The records; the old rows with what was noted of others since (see `note_others`)."""
        restored = [r.key for r in records if r.old and r.kind in RESTORING]
        if not restored:
            return records
        found = cast(list[bytes | None], self._store.client.hmget(part.delivered(self._list), restored))
        now = dict(zip(restored, found, strict=True))
        return [
            replace(r, old=_with_noted_others(r.old, now[r.key] or r.old)) if now.get(r.key) else r
            for r in records
        ]

    def _fenced(self, script: str, names: list[str], args: list[Any]) -> None:
        if not self._store.script(script, names, args):
            raise LostLease("another deliverer has taken over this list")


def lags(store: Store, list_id: str, now: int) -> list[bool]:
    """For each partition: is there something to deliver to the list?"""
    return [behind for _, _, behind in _looks(store, list_id, now)]


def _looks(store: Store, list_id: str, now: int) -> list[tuple[int, int, bool]]:
    """For each partition its cursor, its newest change, and whether there is something to deliver."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.get(part.cursor(list_id))
        pipe.zrevrange(part.changed, 0, 0, withscores=True)
        pipe.zcount(part.retry(list_id), "-inf", now)
    answers = pipe.execute()
    looks = []
    for held, last, due in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
        cursor, newest = int(held or 0), int(last[0][1]) if last else 0
        looks.append((cursor, newest, bool(due) or bool(last and newest > cursor)))
    return looks


def rewind(store: Store, list_id: str) -> int:
    """Look at everybody again: what is unchanged costs no call. -> how many people there are

    The cursor gets a value that it never had, so that a deliverer under way can't move it on. When that
    was and how many there were is kept, so that its progress can be told.
    """
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.zcard(part.changed)
    people = int(sum(pipe.execute()))
    pipe = store.client.pipeline(transaction=False)
    pipe.hset(keys.rewound(list_id), mapping={"at": now_ms(), "people": people})
    for part in store.parts:
        pipe.set(part.cursor(list_id), -1 - secrets.randbits(48))
    pipe.execute()
    return people


def raise_doubt(
    store: Store, list_id: str, people: Sequence[str], now: int, *, everybody: bool = False
) -> int:
    """Somebody else wrote to these people's rows: they are sent again. -> how many those are.

    Whom we never delivered is left out, unless it is `everybody`.
    """
    calls = [
        ([part.delivered(list_id), part.retry(list_id)], [now, int(everybody), *keys])
        for part, keys in store.by_part(people)
    ]
    return sum(int(n) for n in store.scripts(_DOUBT, calls)) if calls else 0


def due_again(store: Store, list_id: str, people: Sequence[str], now: int) -> int:
    """Have these people tried again, as far as they are refused; -> how many are.

    They count as in doubt, so whatever becomes of it, no switch is set for them that a repeat may not set.
    """
    calls = [
        ([part.refused(list_id), part.retry(list_id)], [now, *found]) for part, found in store.by_part(people)
    ]
    return sum(int(n) for n in store.scripts(_RETRY, calls)) if calls else 0


def note_others(store: Store, list_id: str, others: Mapping[str, tuple[str, ...]]) -> None:
    """Keep what the field of people we delivered holds beside ours by now, so that the next row has it."""
    for key, each in others.items():
        name = store.part(key).delivered(list_id)
        for _ in range(NOTE_TRIES):
            old = cast(bytes | None, store.client.hget(name, key))
            if old is None or store.script(_NOTE, [name], [key, old, _with_others(old, each)]):
                break


def note_values(store: Store, list_id: str, values: Mapping[str, Mapping[str, FieldValue]]) -> None:
    """Keep what other fields of people we delivered hold, by field key, where no row of ours has them."""
    pipe = store.client.pipeline(transaction=False)
    for key in values:
        pipe.hget(store.part(key).delivered(list_id), key)
    for (key, wanted), old in zip(values.items(), pipe.execute(), strict=True):
        name = store.part(key).delivered(list_id)
        for _ in range(NOTE_TRIES):
            if old is None or (new := _with_values(old, wanted)) == old:
                break
            if store.script(_NOTE, [name], [key, old, new]):
                break
            old = cast(bytes | None, store.client.hget(name, key))


def _with_values(packed: bytes, values: Mapping[str, FieldValue]) -> bytes:
    held = unpack_delivered(packed)
    return pack(msgspec.structs.replace(held, values={**values, **held.values}))


def doubt_everybody(store: Store, list_id: str, now: int) -> int:
    """The list lost what it held: everybody whom we delivered is sent again. -> how many those are.

    Whom we unsubscribed holds nothing, and may have come back by themselves: they stay.
    """
    people = set()
    for part in store.parts:
        for key, packed in store.client.hscan_iter(part.delivered(list_id), count=1000):
            if not unpack_delivered(packed).left:
                store.client.zadd(part.retry(list_id), {key: now}, nx=True)
                people.add(key)
    return len(people)


def dropped_of(store: Store, list_id: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Whose values were left out of their rows, by key: the fields' keys, and why."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for part in store.parts:
        for key, packed in store.client.hscan_iter(part.delivered(list_id), count=1000):
            if dropped := unpack_delivered(packed).dropped:
                found[key.decode()] = dropped
    return found


def _with_noted_others(old: bytes, now: bytes) -> bytes:
    if old == now:
        return old
    before, after = unpack_delivered(old), unpack_delivered(now)
    same = (before.field, before.address) == (after.field, after.address)
    return _with_others(old, after.others) if same and before.others != after.others else old


def _with_others(packed: bytes, others: tuple[str, ...]) -> bytes:
    return pack(msgspec.structs.replace(unpack_delivered(packed), others=others))


def delivered_to(store: Store, list_id: str, people: Sequence[str]) -> dict[str, Delivered]:
    """What the list was last told of these people."""
    pipe = store.client.pipeline(transaction=False)
    for key in people:
        pipe.hget(store.part(key).delivered(list_id), key)
    return {
        key: unpack_delivered(packed) for key, packed in zip(people, pipe.execute(), strict=True) if packed
    }


def delivered_people(store: Store, list_id: str) -> int:
    """How many people the list was told of."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hlen(part.delivered(list_id))
    return int(sum(pipe.execute()))


def refused_in(store: Store, list_id: str) -> Iterator[tuple[str, Refused]]:
    """Everybody whom the list does not take; who is refused meanwhile may be missing or come twice."""
    for part in store.parts:
        for key, packed in store.client.hscan_iter(part.refused(list_id), count=1000):
            yield key.decode(), unpack_refused(packed)
