"""Writing the next events of a stream: claim their range, write the files, let them count.

The names and contents of the files follow from the range, so whoever finishes a claim, however often,
writes the same; and files count only from the script that moves the position past their range.
"""

from __future__ import annotations

import msgspec
import polars as pl

from listbridge.archive.columns import by_month, to_frame, to_parquet
from listbridge.archive.state import Claim, File, Snapshot, change, load
from listbridge.archive.storage import Storage
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import Entry
from listbridge.streams.reading import pages_between

EVENTS_A_CLAIM = 250_000


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
        found = _entries(store, before, None, events)
        if not found:
            return None
        claim = Claim("append", found[0][0].decode(), found[-1][0].decode())
        before = claimed(store, before, claim)
    elif claim.kind == "append":
        found = _entries(store, before, claim.last, None)
    else:
        raise Conflict
    files, skipped = _write(storage, before, claim, found)
    count = sum(file.events for file in files)
    state = msgspec.structs.replace(
        before.state,
        position=claim.last,
        events=before.state.events + count,
        skipped=before.state.skipped + skipped,
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


def _entries(store: Store, before: Snapshot, last: str | None, events: int | None) -> list[Entry]:
    """The entries beyond the position: up to `last`, or as many as hold about `events`."""
    found: list[Entry] = []
    count = 0
    end = last.encode() if last else b"+"
    for page in pages_between(store, before.part, before.stream, before.position, end):
        for entry in page:
            if events is not None and found and count + entry[1] > events:
                return found
            found.append(entry)
            count += entry[1]
    return found


def _write(storage: Storage, before: Snapshot, claim: Claim, entries: list[Entry]) -> tuple[list[File], int]:
    """The files of a claim, written, and how many lines were no events."""
    lines = [line for _, _, body in entries for line in body.split(b"\n")]
    frame, skipped = to_frame(before.stream, lines)
    files = []
    for month, part in by_month(frame):
        path = f"{folder(before.stream, before.part, month)}/{claim.first}_{claim.last}.parquet"
        files.append(put(storage, before, path, month, part, claim))
    return files, skipped


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
