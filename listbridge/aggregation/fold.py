"""Fold: read what the streams hold beyond the offsets, reduce it, merge it into the profiles, commit.

State and offset move in one script, so an event counts once whatever dies. The reduce is one for
all partitions of a stream, because a reduce costs some milliseconds however small it is.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from polars.exceptions import PanicException

from listbridge.aggregation import Program
from listbridge.aggregation.frames import from_lines, from_text
from listbridge.aggregation.reduction import Reduced, reduce_columns
from listbridge.collector import without_collections
from listbridge.errors import Retriable
from listbridge.mappings.active import Programs, Unchanging
from listbridge.profiles.codec import Codec, CorruptProfile, NewerProfile, Profile
from listbridge.profiles.commit import Answer, Commit, read_packed_of, skip_name, versions_and_offsets, write
from listbridge.profiles.membership import FIELD, members_of
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, StoreError, now_ms
from listbridge.streams.claims import ALONE_FROM, Ending, Waiting, claim, entries_at, look, release
from listbridge.streams.log import set_aside
from listbridge.streams.reading import EVENTS_A_STEP, History, Pending, StreamHistory, next_entries

logger = logging.getLogger(__name__)

EVENTS_A_REDUCE = 65_536
"""When this many wait, the other partitions are left to other workers, or to the next round."""

Moves = tuple[set[str], set[str]]
"""The audiences that somebody entered, and those that they left."""


@dataclass(slots=True)
class FoldResult:
    """What a fold did. `changed` people are counted once per commit."""

    events: int = 0
    changed: int = 0
    commits: int = 0
    conflicts: int = 0
    quarantined: int = 0


class Folder:
    """Folds all streams of a store, each round by the program that is current then.

    From the first commit of a version of the mappings on, a partition refuses those of an older one, so
    each event is counted by one version in its partition, in the order of entries.
    """

    def __init__(self, store: Store, programs: Programs | Program, history: History | None = None) -> None:
        """`history`: where a damaged profile is made anew from; by default the streams, untrimmed."""
        self._store = store
        self._history = history or StreamHistory(store)
        self._programs = Unchanging(programs) if isinstance(programs, Program) else programs
        self._use(self._programs.current())
        self._token = secrets.token_hex(8)
        self._waiting: set[int] = set()
        """Partitions that can't go on before the next run."""

    def run(self, *, seconds: float = 20.0, stopping: Callable[[], bool] = lambda: False) -> FoldResult:
        """Fold until nothing is left or the time is over; what another worker holds is left to it."""
        result = FoldResult()
        self._waiting.clear()
        deadline = time.monotonic() + seconds
        with without_collections():
            while time.monotonic() < deadline and not stopping() and self._round(result):
                pass
        return result

    def _use(self, program: Program) -> None:
        self._program = program
        self._codec = Codec(program)
        self._outdated = False

    def _take_up(self) -> None:
        """Take up the current program. Raises `StoreError` if there is none as new as what was written."""
        program = self._programs.current(renew=self._outdated)
        if self._outdated and program.version <= self._program.version:
            raise StoreError(
                f"profiles were written by newer mappings than version {program.version}, which is active: "
                "`listbridge mapping apply` makes a newer version; was the store restored in parts?"
            )
        if program is not self._program:
            self._use(program)

    def _round(self, result: FoldResult) -> bool:
        """One step of every partition that has work; False when there was none to be had."""
        self._take_up()
        found = look(self._store, self._program.streams, clear_bells=True)
        waiting = [each for each in found if each.part.number not in self._waiting]
        # One that ends its worker must not always stand before the same others.
        random.shuffle(waiting)
        alone = [[(each.part, each.tries + 1)] for each in waiting if each.tries + 1 >= ALONE_FROM]
        together = _a_step([each for each in waiting if each.tries + 1 < ALONE_FROM])
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
        try:
            reduced = [
                reduce_columns(
                    from_text(
                        stream,
                        b"\n".join(item.text(stream) for item in work if stream in item.entries),
                        sum(item.count(stream) for item in work),
                    ),
                    self._program,
                    stream,
                )
                for stream in _streams(work)
            ]
        except (Exception, PanicException) as error:
            _raise_if_short_of_memory(error)
            logger.warning(
                "%s in the reduce of %d partitions; looking for the events", type(error).__name__, len(work)
            )
            for item in work:
                self._fold_sifting(item, result)
        else:
            self._commit([(item, {}) for item in work], reduced, result)

    def _fold_sifting(self, item: Pending, result: FoldResult) -> None:
        """Fold one partition's entries without the events that can't be reduced, which are set aside."""
        reduced: list[Reduced] = []
        bad: dict[str, list[bytes]] = {}
        for stream in item.entries:
            found, refused = sift(self._program, stream, item.lines(stream))
            reduced += found
            if refused:
                bad[stream] = [set_aside(now_ms(), reason, line) for line, reason in refused]
                logger.warning("%d events of %s can't be reduced and are set aside", len(refused), stream)
        self._commit([(item, bad)], reduced, result)

    def _set_aside(self, work: Sequence[Pending], result: FoldResult) -> None:
        """Set the entries aside whose fold ended its worker again and again."""
        reason = "its fold ended the worker again and again"
        for item in work:
            bad = {
                stream: [set_aside(now_ms(), reason, line) for line in item.lines(stream)]
                for stream in item.entries
            }
            logger.error("an entry of %s is set aside: %s", "".join(item.entries), reason)
            self._commit([(item, bad)], [], result)

    def _commit(
        self,
        work: Sequence[tuple[Pending, dict[str, list[bytes]]]],
        reduced: Sequence[Reduced],
        result: FoldResult,
    ) -> None:
        """Merge and write; a partition in which somebody else was first is left for the next round."""
        people = sorted({key for each in reduced for key in each.people.to_list()})
        owners = {part.number: keys for part, keys in self._store.by_part(people)}
        commits = [
            Commit(item.part, item.version, self._program.version, offsets=item.offsets, quarantined=bad)
            for item, bad in work
        ]
        asked = [(commit.part, owners.get(commit.part.number, [])) for commit in commits]
        profiles: dict[str, Profile] = {}
        for (part, keys), held in zip(asked, read_packed_of(self._store, asked), strict=True):
            try:
                profiles |= {key: self._unpack(part, key, held.get(key)) for key in keys}
            except (Retriable, StoreError) as problem:
                logger.error("partition %d waits: a profile can't be made anew: %s", part.number, problem)
                self._waiting.add(part.number)
                profiles |= {key: Profile() for key in keys}
        skips = self._skips(reduced)
        moves = self._add(profiles, reduced)
        for commit in commits:
            commit.skips = skips.get(commit.part.number, {})
            for key in owners.get(commit.part.number, ()):
                commit.profiles[key] = self._codec.pack(profiles[key])
                for audience in moves.get(key, ((), ()))[0]:
                    commit.entered.setdefault(audience, []).append(key)
                for audience in moves.get(key, ((), ()))[1]:
                    commit.left.setdefault(audience, []).append(key)
        ready = [
            (item, bad, commit)
            for (item, bad), commit in zip(work, commits, strict=True)
            if commit.part.number not in self._waiting
        ]
        answers = write(self._store, [commit for _, _, commit in ready])
        for (item, bad, commit), answer in zip(ready, answers, strict=True):
            if answer is not Answer.WRITTEN:
                result.conflicts += 1
                self._outdated |= answer is Answer.OUTDATED
                continue
            refused = sum(map(len, bad.values()))
            result.commits += 1
            result.changed += len(commit.profiles)
            result.events += item.events - refused
            result.quarantined += refused

    def _add(self, profiles: dict[str, Profile], reduced: Sequence[Reduced]) -> dict[str, Moves]:
        """Add to the profiles what the batch adds up to; the audiences that people entered and left."""
        moves: dict[str, Moves] = {}
        moving = self._program.fields[FIELD].streams
        for each in reduced:
            keys = each.people.to_list()
            targets = [profiles[key] for key in keys]
            moved = each.stream in moving
            before = [members_of(self._program, target.states) for target in targets] if moved else []
            each.add_to(self._program, [target.states for target in targets])
            for target, newest in zip(targets, each.newest.to_list(), strict=True):
                target.updated_at = max(target.updated_at, newest)
            for key, target, was in zip(keys, targets, before, strict=False):
                now = members_of(self._program, target.states)
                moves[key] = now - was, was - now
        return moves

    def _skips(self, reduced: Sequence[Reduced]) -> dict[int, dict[str, int]]:
        """The events that columns skipped, by partition and column."""
        skips: dict[int, dict[str, int]] = {}
        for each in reduced:
            for part, counts in each.skips(lambda key: self._store.part(key).number).items():
                held = skips.setdefault(part, {})
                for number, count in counts.items():
                    name = skip_name(each.stream, number)
                    held[name] = held.get(name, 0) + count
        return skips

    def _unpack(self, part: PartitionKeys, key: str, packed: bytes | None) -> Profile:
        if packed is None:
            return Profile()
        try:
            return self._codec.unpack(packed)
        except NewerProfile:
            return Profile()  # what is made of it is not written: newer mappings have committed there
        except CorruptProfile:
            logger.error("a stored profile of partition %d can't be read: recomputed", part.number)
            return self.recompute(part, key)

    def recompute(self, part: PartitionKeys, key: str) -> Profile:
        """The profile of one person from all their events, up to the committed offsets."""
        [(_, offsets)] = versions_and_offsets(self._store, [part])
        profile = Profile()
        for stream in self._program.streams:
            if stream in offsets:
                for page in self._history.lines(part, stream, key, offsets[stream]):
                    found, _ = sift(self._program, stream, page)
                    self._add({key: profile}, found)
        return profile


def has_lag(store: Store, program: Program) -> list[bool]:
    """For each partition: does a stream hold entries beyond the offset?"""
    lagging = {waiting.part.number for waiting in look(store, program.streams, clear_bells=False)}
    return [part.number in lagging for part in store.parts]


def _a_step(waiting: Sequence[Waiting]) -> list[tuple[PartitionKeys, int]]:
    """The first partitions, as many as make up a step, each with the number of this try."""
    step: list[tuple[PartitionKeys, int]] = []
    events = 0
    for each in waiting:
        if events >= EVENTS_A_REDUCE:
            break
        step.append((each.part, each.tries + 1))
        events += min(each.events, EVENTS_A_STEP)
    return step


def sift(
    program: Program, stream: str, lines: Sequence[bytes]
) -> tuple[list[Reduced], list[tuple[bytes, str]]]:
    """Reduce the events that can be; the others come back, each with the reason, in order."""
    if not lines:
        return [], []
    try:
        return [reduce_columns(from_lines(stream, lines), program, stream)], []
    except (Exception, PanicException) as error:
        _raise_if_short_of_memory(error)
        if len(lines) == 1:
            return [], [(lines[0], f"the reduce failed: {type(error).__name__}: {error}")]
    middle = len(lines) // 2
    first, bad = sift(program, stream, lines[:middle])
    second, worse = sift(program, stream, lines[middle:])
    return first + second, bad + worse


def _raise_if_short_of_memory(error: BaseException) -> None:
    """Want of memory is no fault of an event."""
    if isinstance(error, MemoryError):
        raise error


def _streams(work: Iterable[Pending]) -> list[str]:
    return sorted({stream for item in work for stream in item.entries})
