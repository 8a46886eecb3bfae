"""Reading the archive: the files that count, beside what is still in the streams only."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from listbridge.archive.columns import schema, to_lines
from listbridge.archive.errors import StorageError
from listbridge.archive.files import Unreadable, UnreadableFile, frames_of
from listbridge.archive.state import File, Snapshot, load
from listbridge.archive.storage import Storage
from listbridge.archive.trimming import held
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.events import id_of, owner
from listbridge.streams.log import tail
from listbridge.streams.reading import entry_order, lines_between

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reading:
    """Frames of archived events, read one file at a time as it is iterated."""

    archive: Archive
    snapshot: Snapshot
    columns: Sequence[str] | None
    keys: tuple[str, str] | None
    times: tuple[int, int] | None
    unreadable: list[Unreadable] = field(default_factory=list)
    """Files that could not be read, as far as the iteration has come."""

    @property
    def files(self) -> list[File]:
        """The files that may hold what is asked for."""
        return [file for file in self.snapshot.files if self._may_hold(file)]

    def _may_hold(self, file: File) -> bool:
        by_key = self.keys is None or (file.low <= self.keys[1] and self.keys[0] <= file.high)
        by_time = self.times is None or (file.from_time < self.times[1] and self.times[0] <= file.to_time)
        return by_key and by_time

    def _where(self) -> pl.Expr | None:
        conditions = []
        if self.keys is not None:
            low, high = self.keys
            conditions.append(pl.col("_key").is_between(pl.lit(low), pl.lit(high)))
        if self.times is not None:
            conditions.append(pl.col("_time").is_between(*self.times, closed="left"))
        return pl.all_horizontal(conditions) if conditions else None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for file in self.files:
            try:
                for frame in frames_of(
                    self.archive.storage,
                    self.snapshot.stream,
                    file,
                    columns=self.columns,
                    where=self._where(),
                    at_once=self.keys is not None,
                ):
                    if frame.height:
                        yield frame
            except UnreadableFile as error:
                self.unreadable.append(error.found)


class Archive:
    """The archive of a store."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self.store = store
        self.storage = storage

    def snapshot(self, stream: str, part: PartitionKeys) -> Snapshot:
        """The position and the files that count, of one moment."""
        [found] = load(self.store, [(part, stream)])
        return found

    def position(self, stream: str, part: PartitionKeys) -> bytes:
        """The id of the last archived entry, 0-0 before the first."""
        return self.snapshot(stream, part).position

    def read(
        self,
        stream: str,
        part: PartitionKeys,
        *,
        columns: Sequence[str] | None = None,
        keys: tuple[str, str] | None = None,
        times: tuple[int, int] | None = None,
        snapshot: Snapshot | None = None,
    ) -> Reading:
        """The archived events as frames, of `snapshot` if there is one, else of now.

        `columns`: those of `columns.schema`, by default all. `keys`: the least and the greatest key
        wanted, both included; such a reading gets one frame a file, from the row groups that may hold
        them. `times`: from and before (epoch ms). Other frames hold `files.EVENTS_A_FRAME` events at most.
        A file that can't be read is named in `Reading.unreadable` and left out.
        """
        found = snapshot or self.snapshot(stream, part)
        return Reading(self, found, columns, keys, times)

    def lines(self, part: PartitionKeys, stream: str, key: str, last: bytes) -> Iterator[list[bytes]]:
        """A person's events of entries up to and with `last`, each once: see `streams.reading.History`.

        Raises `StorageError` when a file that may hold some can't be read: without it the answer would be
        wrong.
        """
        with held(self.store, part) as hold:
            found = self.snapshot(stream, part)
            not_yet = self._ids_between(part, stream, key, last, found.position)
            reading = self.read(stream, part, keys=(key, key), snapshot=found)
            for frame in reading:
                yield [line for line in to_lines(frame) if id_of(line) not in not_yet]
            for problem in reading.unreadable:
                raise StorageError(f"{problem.path}: {problem.reason}")
            for lines in lines_between(self.store, part, stream, found.position, last):
                yield [line for line in lines if owner(line) == key]
            hold.check()

    def _ids_between(
        self, part: PartitionKeys, stream: str, key: str, after: bytes, last: bytes
    ) -> set[str | None]:
        """The ids of a person's events in the entries beyond `after` and up to `last`."""
        if entry_order(last) <= entry_order(after):
            return set()
        pages = lines_between(self.store, part, stream, after, last)
        return {id_of(line) for lines in pages for line in lines if owner(line) == key}

    def newest(self, stream: str, count: int) -> tuple[list[bytes], list[Unreadable]]:
        """The newest `count` events by the time they were received, oldest first, wherever they are.

        Read from the streams, and from the newest files where those have been trimmed.
        """
        lines = [line for _, line in tail(self.store, "stream", stream, count)]
        if len(lines) == count:
            return lines, []
        known = {id_of(line) for line in lines}
        unreadable: list[Unreadable] = []
        archived: list[pl.DataFrame] = []
        for found in load(self.store, [(part, stream) for part in self.store.parts]):
            frames, problems = self._newest_of(found, count)
            archived += frames
            unreadable += problems
        if archived:
            frame = pl.concat(archived).filter(~pl.col("_id").is_in(list(known)))
            frame = frame.sort("_received", "_id").tail(count - len(lines))
            lines = to_lines(frame) + lines
        return lines, unreadable

    def _newest_of(self, found: Snapshot, count: int) -> tuple[list[pl.DataFrame], list[Unreadable]]:
        """At least the newest `count` events of a partition's files, if there are as many."""
        best = pl.DataFrame(schema=schema(found.stream))
        unreadable: list[Unreadable] = []
        for file in sorted(found.files, key=lambda file: entry_order(file.last), reverse=True):
            if best.height == count and entry_order(file.last)[0] < best["_received"][0]:
                break
            try:
                for frame in frames_of(self.storage, found.stream, file):
                    best = pl.concat([best, frame]).sort("_received", "_id").tail(count)
            except UnreadableFile as error:
                unreadable.append(error.found)
        return [best], unreadable
