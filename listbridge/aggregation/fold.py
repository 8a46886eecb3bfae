"""Fold: read what the streams hold beyond the offsets, reduce it, merge it into the profiles, commit.

State and offset move in one script, so an event counts once whatever dies. The reduce is one for
all partitions of a stream, because a reduce costs some milliseconds however small it is.
"""

from __future__ import annotations

import logging
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl

from listbridge.aggregation import Partial, Program, merge, reduce
from listbridge.aggregation.frames import from_lines
from listbridge.profiles.codec import Codec, CorruptProfile, Profile
from listbridge.profiles.commit import Commit, read_packed, versions_and_offsets, write
from listbridge.profiles.membership import members_of
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.log import Entry, entries

logger = logging.getLogger(__name__)

ENTRIES_A_ROUND = 32
EVENTS_A_ROUND = 500
"""Events (and so people) of one partition in one commit, unless a single entry holds more."""
LEASE_MS = 10_000
SUSPECT_ATTEMPTS = 3
"""From this many attempts that ended without a commit, a partition is folded alone and in smaller steps."""
POISON_ATTEMPTS = 8
"""After this many, the entry at the offset is set aside."""

# -> attempts since the last commit, this one included; 0 when another worker holds the partition
_CLAIM = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('INCR', KEYS[2])
"""

_RELEASE = """
if ARGV[2] == '1' then redis.call('DEL', KEYS[2]) end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


@dataclass(slots=True)
class FoldResult:
    """What a fold did. `changed` people are counted once per commit."""

    events: int = 0
    changed: int = 0
    commits: int = 0
    conflicts: int = 0
    quarantined: int = 0


@dataclass(slots=True)
class _Work:
    """The entries of one partition that are to be folded together."""

    part: PartitionKeys
    version: bytes
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def offsets(self) -> dict[str, bytes]:
        return {stream: found[-1][0] for stream, found in self.entries.items()}


class Folder:
    """Folds all streams of a store by one program. One per process: it keeps the codec's register."""

    def __init__(self, store: Store, program: Program) -> None:
        self._store = store
        self._program = program
        self._codec = Codec(store)
        self._token = f"{random.getrandbits(64):x}"

    def run(self, *, seconds: float = 20.0) -> FoldResult:
        """Fold until nothing is left or the time is over; what another worker holds is left to it."""
        result = FoldResult()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._round(result):
            pass
        return result

    def _round(self, result: FoldResult) -> bool:
        """One pass over all partitions that have work; False when none had."""
        lags = has_lag(self._store, self._program, clear_bells=True)
        behind = [part for part, lag in zip(self._store.parts, lags, strict=True) if lag]
        if not behind:
            return False
        claims = self._store.scripts(
            _CLAIM, [([p.fold_lease, p.attempts], [self._token, LEASE_MS]) for p in behind]
        )
        mine = [(part, int(attempts)) for part, attempts in zip(behind, claims, strict=True) if attempts]
        done: set[int] = set()
        try:
            calm = [part for part, attempts in mine if attempts < SUSPECT_ATTEMPTS]
            done |= self._fold(calm, ENTRIES_A_ROUND, result)
            suspects = [(part, attempts) for part, attempts in mine if attempts >= SUSPECT_ATTEMPTS]
            random.shuffle(suspects)
            for part, attempts in suspects:
                if attempts >= POISON_ATTEMPTS:
                    done |= self._set_aside(part, result)
                else:
                    step = max(1, ENTRIES_A_ROUND >> (2 * (attempts - SUSPECT_ATTEMPTS + 1)))
                    done |= self._fold([part], step, result)
        finally:
            self._store.scripts(
                _RELEASE,
                [([p.fold_lease, p.attempts], [self._token, int(p.number in done)]) for p, _ in mine],
            )
        return bool(done)

    def _read(self, parts: Sequence[PartitionKeys], limit: int) -> list[_Work]:
        """The next entries of each partition; the version is read before them."""
        streams = self._program.streams
        states = versions_and_offsets(self._store, parts)
        pipe = self._store.client.pipeline(transaction=False)
        for part, (_, offsets) in zip(parts, states, strict=True):
            for stream in streams:
                after = offsets.get(stream, b"0-0").decode()
                pipe.xrange(part.stream(stream), min=f"({after}", max="+", count=limit)
        answers = iter(pipe.execute())
        work = []
        for part, (version, _) in zip(parts, states, strict=True):
            item = _Work(part, version)
            room = EVENTS_A_ROUND
            for stream in streams:
                taken = _take(entries(next(answers)), room, first=not item.entries)
                if taken:
                    item.entries[stream] = taken
                    room -= sum(n for _, n, _ in taken)
            if item.entries:
                work.append(item)
        return work

    def _fold(self, parts: Sequence[PartitionKeys], limit: int, result: FoldResult) -> set[int]:
        """Fold one step of these partitions; -> the numbers of those that moved on."""
        work = self._read(parts, limit) if parts else []
        if not work:
            return {part.number for part in parts}
        try:
            partials = self._reduce(work)
        except Exception:
            # Whatever one entry does to the reduce must not stop the others: see which one it is.
            logger.exception("a reduce of %d partitions failed; they are folded entry by entry", len(work))
            return self._fold_singly(work, result)
        return self._commit(work, partials, result)

    def _fold_singly(self, work: Sequence[_Work], result: FoldResult) -> set[int]:
        moved: set[int] = set()
        for item in work:
            stream, found = next(iter(item.entries.items()))
            single = _Work(item.part, item.version, {stream: found[:1]})
            try:
                partials = self._reduce([single])
            except Exception as error:
                logger.exception("an entry of %s can't be reduced and is set aside", stream)
                moved |= self._quarantine(
                    single, f"the reduce failed: {type(error).__name__}: {error}", result
                )
            else:
                moved |= self._commit([single], partials, result)
        return moved

    def _set_aside(self, part: PartitionKeys, result: FoldResult) -> set[int]:
        """Quarantine the next entry of a partition whose fold killed its worker again and again."""
        for item in self._read([part], 1):
            stream, found = next(iter(item.entries.items()))
            single = _Work(part, item.version, {stream: found[:1]})
            return self._quarantine(single, "its fold ended the worker again and again", result)
        return {part.number}

    def _quarantine(self, item: _Work, reason: str, result: FoldResult) -> set[int]:
        stream, found = next(iter(item.entries.items()))
        at = int(found[0][0].split(b"-")[0])
        lines = [
            b"%d\t%s\t%s" % (at, reason.encode(), line) for _, _, body in found for line in body.split(b"\n")
        ]
        commit = Commit(
            item.part, item.version, offsets=item.offsets, quarantine_stream=stream, quarantined=lines
        )
        if not write(self._store, [commit])[0]:
            return set()
        result.quarantined += len(lines)
        return {item.part.number}

    def _reduce(self, work: Sequence[_Work]) -> dict[str, tuple[int, Partial]]:
        """Person -> newest event time and partial, over all entries of all partitions."""
        bodies: dict[str, list[bytes]] = defaultdict(list)
        for item in work:
            for stream, found in item.entries.items():
                bodies[stream] += (body for _, _, body in found)
        people: dict[str, tuple[int, Partial]] = {}
        for stream, lines in bodies.items():
            frame = from_lines(stream, lines)
            newest = dict(frame.group_by("_key").agg(pl.col("_time").max()).iter_rows())
            for key, partial in reduce(frame, self._program, stream).items():
                at = newest[key]
                held = people.get(key)
                people[key] = (
                    (at, partial)
                    if held is None
                    else (max(at, held[0]), merge(self._program, held[1], partial))
                )
            for key, at in newest.items():
                people.setdefault(key, (at, {}))
        return people

    def _commit(
        self, work: Sequence[_Work], people: dict[str, tuple[int, Partial]], result: FoldResult
    ) -> set[int]:
        by_part: dict[int, list[str]] = defaultdict(list)
        for key in people:
            by_part[self._store.part(key).number].append(key)
        commits = []
        for item in work:
            keys = by_part[item.part.number]
            commit = Commit(item.part, item.version, offsets=item.offsets)
            held = read_packed(self._store, item.part, keys)
            for key in keys:
                self._merge_one(commit, key, people[key], held.get(key))
            commits.append(commit)
        moved = set()
        for item, commit, written in zip(work, commits, write(self._store, commits), strict=True):
            if written:
                moved.add(item.part.number)
                result.commits += 1
                result.changed += len(commit.profiles)
                result.events += sum(n for found in item.entries.values() for _, n, _ in found)
            else:
                result.conflicts += 1
        return moved

    def _merge_one(self, commit: Commit, key: str, news: tuple[int, Partial], packed: bytes | None) -> None:
        before = self._unpack(commit.part, key, packed)
        after = Profile(max(before.updated_at, news[0]), merge(self._program, before.states, news[1]))
        commit.profiles[key] = self._codec.pack(after)
        was, now = members_of(self._program, before.states), members_of(self._program, after.states)
        for audience in now - was:
            commit.entered.setdefault(audience, []).append(key)
        for audience in was - now:
            commit.left.setdefault(audience, []).append(key)

    def _unpack(self, part: PartitionKeys, key: str, packed: bytes | None) -> Profile:
        if packed is None:
            return Profile()
        try:
            return self._codec.unpack(packed)
        except CorruptProfile:
            logger.error("a stored profile of partition %d has a wrong checksum: recomputed", part.number)
            return self.recompute(part, key)

    def recompute(self, part: PartitionKeys, key: str) -> Profile:
        """The profile of one person from the streams, up to the committed offsets."""
        offsets = versions_and_offsets(self._store, [part])[0][1]
        profile = Profile()
        for stream, offset in offsets.items():
            raw = cast(Any, self._store.client.xrange(part.stream(stream), max=offset.decode()))
            frame = from_lines(stream, [body for _, _, body in entries(raw)]).filter(pl.col("_key") == key)
            if frame.is_empty():
                continue
            profile.updated_at = max(profile.updated_at, cast(int, frame["_time"].max()))
            partial = reduce(frame, self._program, stream).get(key, {})
            profile.states = merge(self._program, profile.states, partial)
        return profile


def has_lag(store: Store, program: Program, *, clear_bells: bool = False) -> list[bool]:
    """For each partition: does a stream hold entries beyond the offset?

    Bells are cleared before the look, so that what is appended after it rings again.
    """
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        if clear_bells:
            pipe.delete(part.bell)
        pipe.hgetall(part.offsets)
        for stream in program.streams:
            pipe.xrevrange(part.stream(stream), count=1)
    answers = iter(pipe.execute())
    found = []
    for _ in store.parts:
        if clear_bells:
            next(answers)
        offsets = next(answers)
        newest = {stream.encode(): next(answers) for stream in program.streams}
        found.append(any(last and last[0][0] != offsets.get(stream) for stream, last in newest.items()))
    return found


def _take(found: list[Entry], room: int, *, first: bool) -> list[Entry]:
    """The leading entries that hold at most `room` events; the very first one always."""
    taken: list[Entry] = []
    for entry in found:
        if entry[1] > room and (taken or not first):
            break
        taken.append(entry)
        room -= entry[1]
    return taken
