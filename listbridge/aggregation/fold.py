"""Fold: read what the streams hold beyond the offsets, reduce it, merge it into the profiles, commit.

State and offset move in one script, so an event counts once whatever dies. The reduce is one for
all partitions of a stream, because a reduce costs some milliseconds however small it is.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl
from polars.exceptions import PanicException

from listbridge.aggregation import Partial, Program, merge, reduce
from listbridge.aggregation.frames import from_lines
from listbridge.profiles.codec import Codec, CorruptProfile, Profile
from listbridge.profiles.commit import Commit, read_packed, versions_and_offsets, write
from listbridge.profiles.membership import members_of
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.streams.claims import ALONE_FROM, Ending, claim, entries_at, look, release
from listbridge.streams.log import set_aside
from listbridge.streams.reading import History, Pending, StreamHistory, next_entries

logger = logging.getLogger(__name__)

People = dict[str, tuple[int, Partial]]
"""Person -> the newest event time and what the events add up to."""


@dataclass(slots=True)
class FoldResult:
    """What a fold did. `changed` people are counted once per commit."""

    events: int = 0
    changed: int = 0
    commits: int = 0
    conflicts: int = 0
    quarantined: int = 0


class Folder:
    """Folds all streams of a store by one program. One per process: it keeps the codec's register."""

    def __init__(self, store: Store, program: Program, history: History | None = None) -> None:
        """`history`: where a damaged profile is made anew from; by default the streams, untrimmed."""
        self._store = store
        self._program = program
        self._history = history or StreamHistory(store)
        self._codec = Codec(store)
        self._token = secrets.token_hex(8)

    def run(self, *, seconds: float = 20.0, stopping: Callable[[], bool] = lambda: False) -> FoldResult:
        """Fold until nothing is left or the time is over; what another worker holds is left to it."""
        result = FoldResult()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not stopping() and self._round(result):
            pass
        return result

    def _round(self, result: FoldResult) -> bool:
        """One step of every partition that has work; False when there was none to be had."""
        tries = look(self._store, self._program.streams, clear_bells=True)
        waiting = [(part, n + 1) for part, n in zip(self._store.parts, tries, strict=True) if n is not None]
        alone = [[each] for each in waiting if each[1] >= ALONE_FROM]
        # One that ends its worker must not always stand before the same others.
        random.shuffle(alone)
        together = [each for each in waiting if each[1] < ALONE_FROM]
        worked = [self._step(group, result) for group in (together, *alone) if group]
        return any(worked)

    def _step(self, waiting: Sequence[tuple[PartitionKeys, int]], result: FoldResult) -> bool:
        """Claim these partitions and take one step in those that we get; False when we get none."""
        mine = claim(self._store, self._token, waiting)
        if not mine:
            return False
        ended: Ending = "badly"
        try:
            parts = [part for part, _ in mine]
            limit = min(entries_at(attempt) for _, attempt in mine)
            if limit:
                self._fold(next_entries(self._store, parts, self._program.streams, limit), result)
            else:
                self._set_aside(next_entries(self._store, parts, self._program.streams, 1), result)
            ended = "well"
        except Exception:
            # The worker lives: this is a fault of the store or of the program, and no event's.
            ended = "unfinished"
            raise
        finally:
            release(self._store, self._token, mine, ended=ended)
        return True

    def _fold(self, work: Sequence[Pending], result: FoldResult) -> None:
        lines = {stream: [line for item in work for line in item.lines(stream)] for stream in _streams(work)}
        try:
            people = _reduce(self._program, lines)
        except (Exception, PanicException) as error:
            _raise_if_short_of_memory(error)
            logger.warning(
                "%s in the reduce of %d partitions; looking for the events", type(error).__name__, len(work)
            )
            for item in work:
                self._fold_sifting(item, result)
        else:
            self._commit([(item, {}) for item in work], people, result)

    def _fold_sifting(self, item: Pending, result: FoldResult) -> None:
        """Fold one partition's entries without the events that can't be reduced, which are set aside."""
        people: People = {}
        bad: dict[str, list[bytes]] = {}
        for stream in item.entries:
            found, refused = sift(self._program, stream, item.lines(stream))
            people = _add(self._program, people, found)
            if refused:
                bad[stream] = [set_aside(now_ms(), reason, line) for line, reason in refused]
                logger.warning("%d events of %s can't be reduced and are set aside", len(refused), stream)
        self._commit([(item, bad)], people, result)

    def _set_aside(self, work: Sequence[Pending], result: FoldResult) -> None:
        """Set the entries aside whose fold ended its worker again and again."""
        reason = "its fold ended the worker again and again"
        for item in work:
            bad = {
                stream: [set_aside(now_ms(), reason, line) for line in item.lines(stream)]
                for stream in item.entries
            }
            logger.error("an entry of %s is set aside: %s", "".join(item.entries), reason)
            self._commit([(item, bad)], {}, result)

    def _commit(
        self, work: Sequence[tuple[Pending, dict[str, list[bytes]]]], people: People, result: FoldResult
    ) -> None:
        """Merge and write; a partition in which somebody else was first is left for the next round."""
        by_part = {part.number: found for part, found in self._store.by_part(people)}
        commits = []
        for item, bad in work:
            commit = Commit(item.part, item.version, offsets=item.offsets, quarantined=bad)
            owners = by_part.get(item.part.number, [])
            held = read_packed(self._store, item.part, owners)
            for key in owners:
                self._merge_one(commit, key, people[key], held.get(key))
            commits.append(commit)
        for (item, bad), commit, written in zip(work, commits, write(self._store, commits), strict=True):
            if not written:
                result.conflicts += 1
                continue
            refused = sum(map(len, bad.values()))
            result.commits += 1
            result.changed += len(commit.profiles)
            result.events += item.events - refused
            result.quarantined += refused

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
            logger.error("a stored profile of partition %d can't be read: recomputed", part.number)
            return self.recompute(part, key)

    def recompute(self, part: PartitionKeys, key: str) -> Profile:
        """The profile of one person from all their events, up to the committed offsets."""
        [(_, offsets)] = versions_and_offsets(self._store, [part])
        people: People = {}
        for stream in self._program.streams:
            if stream in offsets:
                for page in self._history.lines(part, stream, key, offsets[stream]):
                    found, _ = sift(self._program, stream, page)
                    people = _add(self._program, people, found)
        newest, states = people.get(key, (0, {}))
        return Profile(max(0, newest), states)


def has_lag(store: Store, program: Program) -> list[bool]:
    """For each partition: does a stream hold entries beyond the offset?"""
    return [tries is not None for tries in look(store, program.streams, clear_bells=False)]


def sift(program: Program, stream: str, lines: Sequence[bytes]) -> tuple[People, list[tuple[bytes, str]]]:
    """Reduce the events that can be; the others come back, each with the reason, in order."""
    if not lines:
        return {}, []
    try:
        return _reduce(program, {stream: lines}), []
    except (Exception, PanicException) as error:
        _raise_if_short_of_memory(error)
        if len(lines) == 1:
            return {}, [(lines[0], f"the reduce failed: {type(error).__name__}: {error}")]
    middle = len(lines) // 2
    first, bad = sift(program, stream, lines[:middle])
    second, worse = sift(program, stream, lines[middle:])
    return _add(program, first, second), bad + worse


def _raise_if_short_of_memory(error: BaseException) -> None:
    """Want of memory is no fault of an event."""
    if isinstance(error, MemoryError):
        raise error


def _reduce(program: Program, lines: Mapping[str, Sequence[bytes]]) -> People:
    """What each person's events of all streams add up to."""
    people: People = {}
    for stream, each in lines.items():
        frame = from_lines(stream, each)
        newest = cast(dict[str, int], dict(frame.group_by("_key").agg(pl.col("_time").max()).iter_rows()))
        partials = reduce(frame, program, stream)
        people = _add(program, people, {key: (at, partials.get(key, {})) for key, at in newest.items()})
    return people


def _add(program: Program, a: People, b: People) -> People:
    """Both, person by person."""
    total = dict(a)
    for key, (at, partial) in b.items():
        held = total.get(key)
        total[key] = (max(at, held[0]), merge(program, held[1], partial)) if held else (at, partial)
    return total


def _streams(work: Iterable[Pending]) -> list[str]:
    return sorted({stream for item in work for stream in item.entries})
