"""Writing the next events of a stream: claim their range, write the files, let them count.

The names and contents of the files follow from the range, so whoever finishes a claim, however often,
writes the same; and files count only from the script that moves the position past their range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import polars as pl

from listbridge.archive.columns import ORDER, by_month, to_frame, to_parquet
from listbridge.archive.state import Claim, File, Snapshot, change, load
from listbridge.archive.storage import Storage
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.streams.reading import pages_between

EVENTS_A_CLAIM = 250_000
LINES_A_CHUNK = 16_384


class Conflict(Exception):
    """Somebody else changed the state since it was read: nothing is lost, look again."""


def writer_name(part: PartitionKeys) -> str:
    """What the temporary files of a partition's writers begin with."""
    return f"{part.number:02}"


def folder(stream: str, part: PartitionKeys, month: str) -> str:
    return f"{stream}/partition={part.number:02}/month={month}"


def archive_next(
    store: Store, storage: Storage, part: PartitionKeys, stream: str, *, events: int = EVENTS_A_CLAIM
) -> int | None:
    """Archive the next events of a stream, about `events` at most; None when there are none.

    A claim that stands is finished first. Raises `Conflict` and `StorageError`.
    """
    [before] = load(store, [(part, stream)])
    claim = before.state.claim
    if claim is None:
        found = _read(store, before, None, events)
        if found is None:
            return None
        claim = Claim("append", found.first, found.last)
        before = claimed(store, before, claim)
    elif claim.kind == "append":
        found = _read(store, before, claim.last, None)
    else:
        raise Conflict
    files = [] if found is None else _write(storage, before, claim, found.frame)
    count = sum(file.events for file in files)
    state = msgspec.structs.replace(
        before.state,
        position=claim.last,
        events=before.state.events + count,
        skipped=before.state.skipped + (found.skipped if found else 0),
        at=now_ms(),
        claim=None,
    )
    if not change(store, before, state, files=files):
        raise Conflict
    return count


def claimed(store: Store, before: Snapshot, claim: Claim) -> Snapshot:
    """The state with the claim in it. Raises `Conflict`."""
    if not change(store, before, msgspec.structs.replace(before.state, claim=claim)):
        raise Conflict
    [after] = load(store, [(before.part, before.stream)])
    if after.state.claim != claim or after.state.position != before.state.position:
        raise Conflict
    return after


@dataclass(frozen=True, slots=True)
class _Range:
    """The entries of a claim: the ids of the first and the last, the events, and the lines that are none."""

    first: str
    last: str
    frame: pl.DataFrame
    skipped: int


def _read(store: Store, before: Snapshot, last: str | None, events: int | None) -> _Range | None:
    """The entries beyond the position: up to `last`, or as many as hold about `events`; None: no entry.

    They become columns a few thousand at a time, because lines take several times the memory.
    """
    frames: list[pl.DataFrame] = []
    ids: list[bytes] = []
    skipped = 0
    for lines in _chunks(store, before, last, events, ids):
        frame, odd = to_frame(before.stream, lines)
        frames.append(frame)
        skipped += odd
    if not ids:
        return None
    return _Range(ids[0].decode(), ids[-1].decode(), pl.concat(frames).sort(ORDER), skipped)


def _chunks(
    store: Store, before: Snapshot, last: str | None, events: int | None, ids: list[bytes]
) -> Iterator[list[bytes]]:
    """The lines of `_read`, `LINES_A_CHUNK` or a few more at a time; adds the ids of the entries to `ids`."""
    lines: list[bytes] = []
    count = 0
    for page in pages_between(
        store, before.part, before.stream, before.position, last.encode() if last else b"+"
    ):
        for entry_id, n, body in page:
            if events is not None and ids and count + n > events:
                yield lines
                return
            ids.append(entry_id)
            count += n
            lines += body.split(b"\n")
        if len(lines) >= LINES_A_CHUNK:
            yield lines
            lines = []
    yield lines


def _write(storage: Storage, before: Snapshot, claim: Claim, frame: pl.DataFrame) -> list[File]:
    """Write the files of a claim."""
    return [
        put(
            storage,
            before,
            f"{folder(before.stream, before.part, month)}/{claim.first}_{claim.last}.parquet",
            month,
            part,
            claim,
        )
        for month, part in by_month(frame)
    ]


def put(storage: Storage, before: Snapshot, path: str, month: str, frame: pl.DataFrame, claim: Claim) -> File:
    """Write one file. Raises `StorageError`."""
    content = to_parquet(frame)
    storage.put(path, content, writer=writer_name(before.part))
    [(from_time, to_time)] = frame.select(
        pl.col("_time").min().alias("from"), pl.col("_time").max().alias("to")
    ).iter_rows()
    return File(
        path=path,
        month=month,
        events=frame.height,
        bytes=len(content),
        first=claim.first,
        last=claim.last,
        low=frame["_key"][0],
        high=frame["_key"][-1],
        from_time=from_time,
        to_time=to_time,
    )
