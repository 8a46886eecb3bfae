"""Compaction: many small files of a month become one, while both the old and the new can be read.

What was replaced is deleted after a time of grace, so that whoever reads by an older manifest isn't cut off.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
import polars as pl

from listbridge.archive.columns import ORDER, frames_to_parquet
from listbridge.archive.errors import StorageError
from listbridge.archive.files import Unreadable, UnreadableFile, frames_of
from listbridge.archive.state import Claim, File, Snapshot, change, load
from listbridge.archive.storage import Storage
from listbridge.archive.writing import Conflict, claimed, folder, writer_name
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.streams.reading import entry_order

FILES_TOGETHER = 8
"""Files of like size that are worth a compaction; each size is this many times the one below."""
LARGEST_EVENTS = 1_000_000
EVENTS_A_RANGE = 65_536
LARGEST_BYTES = 64 * 1024 * 1024
GRACE_MS = 24 * 3_600_000


def plan(files: Iterable[File]) -> tuple[File, ...]:
    """The next files to put together, of one month, smallest sizes first; none when none are worth it.

    Each size is put together only with its like, so an event is written anew a few times in all.
    """
    whole = sorted((file for file in files if not file.unreadable), key=lambda file: file.month)
    for _, month in groupby(whole, key=lambda file: file.month):
        held = sorted(month, key=lambda file: entry_order(file.first))
        for size in range(_size(LARGEST_EVENTS) + 1):
            chosen = _fitting(file for file in held if _size(file.events) == size)
            if len(chosen) >= FILES_TOGETHER:
                return chosen
    return ()


def _size(events: int) -> int:
    size = 0
    while events >= FILES_TOGETHER ** (size + 1):
        size += 1
    return size


def _fitting(files: Iterable[File]) -> tuple[File, ...]:
    """The first of the files that make no more than the largest one."""
    chosen: list[File] = []
    events = size = 0
    for file in files:
        events, size = events + file.events, size + file.bytes
        if events > LARGEST_EVENTS or size > LARGEST_BYTES:
            break
        chosen.append(file)
    return tuple(chosen)


def compact_next(
    store: Store, storage: Storage, part: PartitionKeys, stream: str, *, grace_ms: int = GRACE_MS
) -> int:
    """Put some files of a (stream, partition) together; -> how many were replaced, 0 when none need be.

    A claim that stands is finished first. A file that can't be read is marked and left as it is, and the
    others are planned anew. Raises `Conflict` and `StorageError`.
    """
    while True:
        [before] = load(store, [(part, stream)])
        claim = before.state.claim
        if claim is None:
            chosen = plan(before.files)
            if not chosen:
                return 0
            before = claimed(store, before, _claim(chosen))
            claim = before.state.claim
        if claim is None or claim.kind != "compact":
            raise Conflict
        sources = [file for file in before.files if file.path in claim.sources]
        merge = _Merge(storage, stream, sources)
        content = merge.parquet()
        if merge.unreadable:
            _give_up(store, before, merge.unreadable)
            continue
        made = _file(f"{folder(stream, part, claim.month)}/{_name(claim)}", claim, sources, len(content))
        storage.put(made.path, content, writer=writer_name(part))
        state = msgspec.structs.replace(before.state, claim=None)
        if not change(
            store, before, state, files=[made], retire=claim.sources, delete_at=now_ms() + grace_ms
        ):
            raise Conflict
        return len(sources)


def _claim(chosen: Sequence[File]) -> Claim:
    return Claim(
        "compact",
        min((file.first for file in chosen), key=entry_order),
        max((file.last for file in chosen), key=entry_order),
        chosen[0].month,
        tuple(file.path for file in chosen),
    )


def _name(claim: Claim) -> str:
    """Follows from the sources, so that another choice of files never takes the same name."""
    digest = hashlib.blake2b("\n".join(claim.sources).encode(), digest_size=8).hexdigest()
    return f"{claim.first}_{claim.last}_{digest}.parquet"


def _file(path: str, claim: Claim, sources: Sequence[File], size: int) -> File:
    return File(
        path=path,
        month=claim.month,
        events=sum(file.events for file in sources),
        bytes=size,
        first=claim.first,
        last=claim.last,
        low=min(file.low for file in sources),
        high=max(file.high for file in sources),
        from_time=min(file.from_time for file in sources),
        to_time=max(file.to_time for file in sources),
    )


class _Merge:
    """Several files as one, a range of keys at a time, so that memory holds only one range's events."""

    def __init__(self, storage: Storage, stream: str, sources: Sequence[File]) -> None:
        self._storage = storage
        self._stream = stream
        self._sources = sources
        self.unreadable: list[Unreadable] = []
        """Sources that can't be read: then the content is of no use. For each only the first reason."""

    def parquet(self) -> bytes:
        """The content of the file. Raises `StorageError`."""
        return frames_to_parquet(self._stream, self._ranges())

    def _ranges(self) -> Iterator[pl.DataFrame]:
        bounds = self._bounds()
        if self.unreadable:
            return
        for low, high in zip([None, *bounds], [*bounds, None], strict=True):
            where = pl.lit(True)
            if low is not None:
                where &= pl.col("_key") >= pl.lit(low)
            if high is not None:
                where &= pl.col("_key") < pl.lit(high)
            frames = [frame for file in self._sources for frame in self._frames(file, where=where)]
            if self.unreadable:
                return
            yield pl.concat(frames).sort(ORDER)

    def _bounds(self) -> list[str]:
        """Keys that part the events into ranges of about `EVENTS_A_RANGE`."""
        found = [frame for file in self._sources for frame in self._frames(file, columns=["_key"])]
        if self.unreadable:
            return []
        keys = pl.concat(found)["_key"].sort()
        return keys.gather_every(EVENTS_A_RANGE, EVENTS_A_RANGE).unique(maintain_order=True).to_list()

    def _frames(
        self, file: File, *, columns: Sequence[str] | None = None, where: pl.Expr | None = None
    ) -> list[pl.DataFrame]:
        try:
            return list(
                frames_of(self._storage, self._stream, file, columns=columns, where=where, at_once=True)
            )
        except UnreadableFile as error:
            if not error.found.lasting:
                raise StorageError(error.found.reason) from error
            self.unreadable.append(error.found)
            return []


def _give_up(store: Store, before: Snapshot, unreadable: Sequence[Unreadable]) -> None:
    """Take the claim back and mark what can't be read. Raises `Conflict`."""
    reasons = {found.path: found.reason for found in unreadable}
    marked = [
        msgspec.structs.replace(file, unreadable=reasons[file.path])
        for file in before.files
        if file.path in reasons
    ]
    for path, reason in reasons.items():
        logging.getLogger(__name__).warning("the archive's file %s can't be read: %s", path, reason)
    if not change(store, before, msgspec.structs.replace(before.state, claim=None), files=marked):
        raise Conflict
