"""The profiles of a range of people, from their events up to some entry of each stream."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
from polars.exceptions import PanicException

from listbridge.aggregation import Program
from listbridge.aggregation.frames import from_lines
from listbridge.aggregation.reduction import reduce_columns
from listbridge.archive.files import Unreadable
from listbridge.archive.reading import Archive
from listbridge.archive.state import Snapshot
from listbridge.archive.trimming import Hold
from listbridge.profiles.codec import Profile
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.events import owner
from listbridge.streams.reading import entry_order, lines_between

logger = logging.getLogger(__name__)

EVENTS_A_REDUCE = 131_072
LAST: str = "\U0010ffff" * 4
"""Sorts after every key."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The people whose key is greater than `after` and at most `last`."""

    after: str = ""
    last: str = LAST

    def __contains__(self, key: str | None) -> bool:
        return key is not None and self.after < key <= self.last


@dataclass(slots=True)
class Recomputed:
    """Profiles of a range of people, as of the entries `at`."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    at: dict[str, bytes] = field(default_factory=dict)
    """Stream -> the last entry whose events are counted."""
    events: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    left_out: int = 0
    """Events that can't be reduced, as in a fold."""


class Recomputer:
    """Recomputes ranges of one partition by one program."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        program: Program,
        part: PartitionKeys,
        snapshots: Sequence[Snapshot],
        hold: Hold,
    ) -> None:
        """`snapshots`: the archive of each of the program's streams; the partition is held since before."""
        self._store = store
        self._archive = archive
        self._program = program
        self._part = part
        self._snapshots = snapshots
        self._hold = hold

    def archived(self, wanted: KeyRange) -> Recomputed:
        """What the archived events of these people add up to."""
        made = Recomputed()
        for snapshot in self._snapshots:
            reading = self._archive.read(
                snapshot.stream,
                self._part,
                columns=["_key", "_time", "_received", *sorted(self._program.reads[snapshot.stream])],
                keys=None if wanted == KeyRange() else (wanted.after, wanted.last),
                snapshot=snapshot,
            )
            for frame in _portions(reading):
                self._add(made, snapshot.stream, frame.filter(pl.col("_key") > wanted.after))
            made.unreadable += reading.unreadable
            made.at[snapshot.stream] = snapshot.position
        return made

    def advance(self, made: Recomputed, wanted: KeyRange, offsets: dict[str, bytes]) -> None:
        """Count the events of the streams up to these entries too."""
        for stream in self._program.streams:
            after, last = made.at[stream], offsets.get(stream, made.at[stream])
            if entry_order(last) <= entry_order(after):
                continue
            for page in lines_between(self._store, self._part, stream, after, last):
                lines = [line for line in page if owner(line) in wanted]
                for frame in _readable(stream, lines):
                    self._add(made, stream, frame)
            made.at[stream] = last
        self._hold.check()

    def _add(self, made: Recomputed, stream: str, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        try:
            reduced = reduce_columns(frame, self._program, stream)
        except (Exception, PanicException) as error:
            if isinstance(error, MemoryError):
                raise
            self._add_halves(made, stream, frame, error)
            return
        targets = [made.profiles.setdefault(key, Profile()) for key in reduced.people.to_list()]
        reduced.add_to(self._program, [target.states for target in targets])
        for target, newest in zip(targets, reduced.newest.to_list(), strict=True):
            target.updated_at = max(target.updated_at, newest)
        made.events += frame.height

    def _add_halves(
        self, made: Recomputed, stream: str, frame: pl.DataFrame, error: Exception | PanicException
    ) -> None:
        """Find the events that can't be reduced, which a fold sets aside, and leave them out."""
        if frame.height == 1:
            made.left_out += 1
            logger.warning("an event of %s can't be reduced: %s", stream, type(error).__name__)
            return
        middle = frame.height // 2
        self._add(made, stream, frame[:middle])
        self._add(made, stream, frame[middle:])


def _portions(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The frames as ones of about `EVENTS_A_REDUCE` rows: a reduce costs milliseconds however small it is."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        for start in range(0, frame.height, EVENTS_A_REDUCE):
            waiting.append(frame.slice(start, EVENTS_A_REDUCE))
            if sum(each.height for each in waiting) >= EVENTS_A_REDUCE:
                yield pl.concat(waiting)
                waiting = []
    if waiting:
        yield pl.concat(waiting)


def _readable(stream: str, lines: list[bytes]) -> Iterator[pl.DataFrame]:
    """The lines as frames, without those that are no events, which a fold sets aside."""
    if not lines:
        return
    try:
        frame = from_lines(stream, lines)
    except (ValueError, pl.exceptions.PolarsError, PanicException):
        if len(lines) > 1:
            middle = len(lines) // 2
            yield from _readable(stream, lines[:middle])
            yield from _readable(stream, lines[middle:])
    else:
        yield frame
