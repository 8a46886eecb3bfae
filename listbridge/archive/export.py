"""Everything that a stream ever took, from the archive and from the store, each event once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from listbridge.archive.columns import to_frame
from listbridge.archive.files import Unreadable
from listbridge.archive.reading import Archive
from listbridge.archive.trimming import held
from listbridge.store.keys import PartitionKeys
from listbridge.streams.reading import lines_between


@dataclass(slots=True)
class Export:
    """The events of a stream, as frames of a bounded size in no order.

    `key`: one person only. `times`: from and before (epoch ms).
    """

    archive: Archive
    stream: str
    key: str | None = None
    times: tuple[int, int] | None = None
    unreadable: list[Unreadable] = field(default_factory=list)
    """Files whose events are missing, as far as the iteration has come."""

    def __iter__(self) -> Iterator[pl.DataFrame]:
        store = self.archive.store
        for part in store.parts if self.key is None else [store.part(self.key)]:
            # What is archived from now on stays in the stream until it has been read there.
            with held(store, part) as hold:
                yield from self._partition(part)
                hold.check()

    def _partition(self, part: PartitionKeys) -> Iterator[pl.DataFrame]:
        keys = None if self.key is None else (self.key, self.key)
        reading = self.archive.read(self.stream, part, keys=keys, times=self.times)
        yield from reading
        self.unreadable += reading.unreadable
        for lines in lines_between(self.archive.store, part, self.stream, reading.snapshot.position):
            frame = to_frame(self.stream, lines)[0]
            if self.key is not None:
                frame = frame.filter(pl.col("_key") == self.key)
            if self.times is not None:
                frame = frame.filter(pl.col("_time").is_between(*self.times, closed="left"))
            if frame.height:
                yield frame
