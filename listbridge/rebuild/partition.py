"""Rebuilding one partition: recompute a range of its people, then swap them in behind the fence.

A person's new profile counts the same entries as the old one, up to the partition's offsets, so it can
take its place alone: whoever reads in between sees each person right, and a rebuild that is killed has
done some and not others. While a range is swapped in nobody folds the partition (the fold's lease); if
somebody does all the same, the version that a commit compares has changed, and the range catches up.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from listbridge.aggregation import Program
from listbridge.aggregation.fold import Folder
from listbridge.archive.reading import Archive
from listbridge.archive.state import Snapshot
from listbridge.archive.trimming import held
from listbridge.mappings.active import Programs
from listbridge.profiles.codec import Codec, CorruptProfile, NewerProfile, Profile
from listbridge.profiles.commit import Answer, Commit, read_packed, versions_and_offsets, write
from listbridge.profiles.membership import members_of
from listbridge.rebuild.errors import EventsMissing, RebuildError
from listbridge.rebuild.recomputing import LAST, KeyRange, Recomputed, Recomputer
from listbridge.store.keys import PartitionKeys, slug_of
from listbridge.store.store import Store
from listbridge.streams.claims import borrow, give_back
from listbridge.streams.reading import START, entry_order

PEOPLE_A_COMMIT = 500
BYTES_AN_EVENT = 1_000
BYTES_A_PERSON = 8_000
"""What an event and a person take in memory while they are recomputed, about."""
PATIENCE_SECONDS = 60.0
KEYS_SAMPLED = 2_000


@dataclass(slots=True)
class Rebuilt:
    """What was done in one partition. Of the `people` those who `changed` are written."""

    partition: int
    people: int = 0
    changed: int = 0
    events: int = 0
    ranges: int = 0
    left_out: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Paths of files whose events are missing, with the reason."""


class PartitionRebuild:
    """Rebuilds partitions by the mappings that were active when it was made."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        programs: Programs,
        *,
        memory_bytes: int,
        skip_unreadable: bool = False,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._archive = archive
        self._programs = programs
        self._program = programs.current(renew=True)
        self._codec = Codec(self._program)
        self._memory_bytes = memory_bytes
        self._skip_unreadable = skip_unreadable
        self._stopping = stopping
        self._token = secrets.token_hex(8)
        self._tombstones: dict[bytes, bytes] = {}

    @property
    def program(self) -> Program:
        return self._program

    def run(self, part: PartitionKeys) -> Rebuilt:
        """Rebuild everybody of the partition.

        Raises `RebuildError`; `EventsMissing` before anything is written unless files are to be skipped.
        """
        done = Rebuilt(part.number)
        with held(self._store, part) as hold:
            self._tombstones = self._erased(part)
            self._fence(part)
            snapshots = [self._archive.snapshot(stream, part) for stream in self._program.streams]
            self._await_fold(part, snapshots)
            work = Recomputer(self._store, self._archive, self._program, part, snapshots, hold)
            for wanted in self._ranges(part, snapshots):
                if self._stopping():
                    raise RebuildError("it was asked to stop")
                self._rebuild(part, work, wanted, done)
                done.ranges += 1
        return done

    def _erased(self, part: PartitionKeys) -> dict[bytes, bytes]:
        """Who was erased, and when. Whoever is erased after a look at this changes the partition's version,
        so that what was read before can't be written."""
        return cast(dict[bytes, bytes], self._store.client.hgetall(part.tombstones))

    def _fence(self, part: PartitionKeys) -> None:
        """From now on nobody folds the partition by older mappings, even if no profile will change."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while int(cast(bytes | None, self._store.client.get(part.mapping)) or 0) < self._program.version:
            [(version, _)] = versions_and_offsets(self._store, [part])
            write(self._store, [Commit(part, version, self._program.version)])
            if time.monotonic() > deadline:
                raise RebuildError(f"partition {part.number} is written by others all the time")

    def _rebuild(self, part: PartitionKeys, work: Recomputer, wanted: KeyRange, done: Rebuilt) -> None:
        made = work.archived(wanted)
        for each in made.unreadable:
            if not each.lasting:
                raise RebuildError(f"{each.path}: {each.reason}")
        if made.unreadable and not self._skip_unreadable:
            raise EventsMissing(made.unreadable)
        known = set(done.unreadable)
        done.unreadable += [
            text for each in made.unreadable if (text := f"{each.path}: {each.reason}") not in known
        ]
        [(_, offsets)] = versions_and_offsets(self._store, [part])
        work.advance(made, wanted, offsets)
        self._swap_in(part, work, wanted, made, done)
        done.people += len(made.profiles)
        done.events += made.events
        done.left_out += made.left_out

    def _await_fold(self, part: PartitionKeys, snapshots: Sequence[Snapshot]) -> None:
        """Until everything that is archived is folded too, or the new profiles would be ahead of the
        offsets; we help with it."""
        folder = Folder(self._store, self._programs, self._archive)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._is_behind(part, snapshots):
            if not folder.run(seconds=5.0).events:
                time.sleep(0.05)
            elif self._is_behind(part, snapshots):
                deadline = time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline or self._stopping():
                raise RebuildError(f"partition {part.number} isn't folded as far as it is archived")

    def _is_behind(self, part: PartitionKeys, snapshots: Sequence[Snapshot]) -> bool:
        [(_, offsets)] = versions_and_offsets(self._store, [part])
        for snapshot in snapshots:
            after = offsets.get(snapshot.stream, START)
            if entry_order(after) < entry_order(snapshot.position) and self._store.client.xrange(
                part.stream(snapshot.stream), f"({after.decode()}", snapshot.position.decode(), count=1
            ):
                return True
        return False

    def _ranges(self, part: PartitionKeys, snapshots: Sequence[Snapshot]) -> list[KeyRange]:
        """Ranges of about equally many people, of which each fits in the memory."""
        people = self._store.client.hlen(part.profiles)
        events = sum(snapshot.events for snapshot in snapshots)
        needed = people * BYTES_A_PERSON + events * BYTES_AN_EVENT
        wanted = max(1, math.ceil(needed / self._memory_bytes))
        if wanted == 1:
            return [KeyRange()]
        sample = cast(list[bytes], self._store.client.hrandfield(part.profiles, -KEYS_SAMPLED))
        found = sorted({key.decode() for key in sample})
        edges = sorted({found[len(found) * n // wanted] for n in range(1, wanted)}) if found else []
        return [KeyRange(after, last) for after, last in pairwise(["", *edges, LAST])]

    def _swap_in(
        self, part: PartitionKeys, work: Recomputer, wanted: KeyRange, made: Recomputed, done: Rebuilt
    ) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self._alone(part, deadline):
                [(version, offsets)] = versions_and_offsets(self._store, [part])
                if self._erased(part) != self._tombstones:
                    raise RebuildError("somebody was erased meanwhile: start the rebuild again")
                work.advance(made, wanted, offsets)
                if self._write(part, version, made.profiles, done):
                    return
            if time.monotonic() > deadline:
                raise RebuildError(f"partition {part.number} is written by others all the time")

    @contextmanager
    def _alone(self, part: PartitionKeys, deadline: float) -> Iterator[None]:
        while not borrow(self._store, self._token, part):
            if time.monotonic() > deadline or self._stopping():
                raise RebuildError(f"somebody holds partition {part.number} and doesn't let go")
            time.sleep(0.01)
        try:
            yield
        finally:
            give_back(self._store, self._token, part)

    def _write(
        self, part: PartitionKeys, version: bytes, profiles: dict[str, Profile], done: Rebuilt
    ) -> bool:
        """Write whoever is different, some at a time; False when somebody else has written meanwhile."""
        audiences = self._audiences(part)
        people = sorted(profiles)
        for start in range(0, len(people), PEOPLE_A_COMMIT):
            keys = people[start : start + PEOPLE_A_COMMIT]
            commit = Commit(part, version, self._program.version)
            packed = read_packed(self._store, part, keys)
            for key in keys:
                if not self._is_same(packed.get(key), profiles[key]):
                    commit.profiles[key] = self._codec.pack(profiles[key])
            self._move(commit, audiences, {key: profiles[key] for key in keys})
            if not (commit.profiles or commit.entered or commit.left):
                continue
            [answer] = write(self._store, [commit])
            if answer is Answer.OUTDATED:
                raise RebuildError("other mappings have become active: start the rebuild again")
            if answer is Answer.CONFLICT:
                return False
            done.changed += len(commit.profiles)
            version = commit.token.encode()
        return True

    def _is_same(self, packed: bytes | None, profile: Profile) -> bool:
        if packed is None:
            return False
        try:
            return self._codec.unpack(packed) == profile
        except (CorruptProfile, NewerProfile):
            return False

    def _audiences(self, part: PartitionKeys) -> list[str]:
        """The audiences that have somebody in this partition."""
        names = self._store.client.scan_iter(match=part.audience("*"), count=1000)
        return sorted({slug_of(name) for name in names})

    def _move(self, commit: Commit, audiences: Sequence[str], profiles: dict[str, Profile]) -> None:
        """Put right the audience sets, whatever they hold: the old profiles may be damaged."""
        keys = list(profiles)
        pipe = self._store.client.pipeline(transaction=False)
        for slug in audiences:
            pipe.smismember(commit.part.audience(slug), keys)
        held = {
            slug: {key for key, is_in in zip(keys, answer, strict=True) if is_in}
            for slug, answer in zip(audiences, pipe.execute(), strict=True)
        }
        meant: dict[str, set[str]] = {}
        for key, profile in profiles.items():
            for slug in members_of(self._program, profile.states):
                meant.setdefault(slug, set()).add(key)
        for slug in held.keys() | meant.keys():
            was, now = held.get(slug, set()), meant.get(slug, set())
            if now - was:
                commit.entered[slug] = sorted(now - was)
            if was - now:
                commit.left[slug] = sorted(was - now)
