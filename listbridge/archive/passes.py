"""A pass of the archive: write what is new, put small files together, trim, publish, delete what is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from listbridge.archive.compaction import GRACE_MS, compact_next
from listbridge.archive.errors import StorageError
from listbridge.archive.manifest import everything, publish
from listbridge.archive.reading import Archive
from listbridge.archive.state import Snapshot, forget_retired, load, retired
from listbridge.archive.trimming import trim
from listbridge.archive.writing import Conflict, archive_next, writer_name
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.lease import Lease
from listbridge.store.store import now_ms
from listbridge.streams.schemas import SCHEMAS

logger = logging.getLogger(__name__)

LEASE_MS = 30_000


@dataclass(slots=True)
class PassResult:
    """What a pass did; `error` says why it ended early."""

    events: int = 0
    compacted: int = 0
    """Files that were put together with others."""
    trimmed: int = 0
    deleted: int = 0
    error: str = ""


def run_pass(
    archive: Archive,
    folded: Sequence[str],
    *,
    stopping: Callable[[], bool] = lambda: False,
    grace_ms: int = GRACE_MS,
) -> PassResult:
    """Archive everything that the streams hold, as far as nobody else is at it.

    `folded` are the streams that the mappings read: those are trimmed no further than they are folded.
    When the storage fails, the pass ends; why is kept in the store and said in one line of the log.
    """
    result = PassResult()
    store = archive.store
    try:
        for part in store.parts:
            if not stopping():
                _partition(archive, part, folded, stopping, grace_ms, result)
        if publish(store, archive.storage):
            _delete_retired(archive, result)
    except StorageError as error:
        result.error = str(error)
        logger.warning("the archive can't go on, and nothing more is trimmed: %s", error)
    _record(archive, result)
    return result


def _partition(
    archive: Archive,
    part: PartitionKeys,
    folded: Sequence[str],
    stopping: Callable[[], bool],
    grace_ms: int,
    result: PassResult,
) -> None:
    store, storage = archive.store, archive.storage
    lease = Lease(store, f"archive:{part.number}", LEASE_MS)
    if not lease.acquire():
        return
    try:
        with lease.kept() as lost, suppress(Conflict):
            storage.tidy(writer_name(part))
            for stream in SCHEMAS:
                _settle(archive, part, stream, grace_ms, result)
                while not (stopping() or lost.is_set()):
                    written = archive_next(store, storage, part, stream)
                    result.trimmed += trim(store, part, stream, folded=stream in folded)
                    if written is None:
                        break
                    result.events += written
                while not (stopping() or lost.is_set()):
                    replaced = compact_next(store, storage, part, stream, grace_ms=grace_ms)
                    if not replaced:
                        break
                    result.compacted += replaced
    finally:
        lease.release()


def _settle(archive: Archive, part: PartitionKeys, stream: str, grace_ms: int, result: PassResult) -> None:
    """Finish a compaction that was broken off, before anything new is claimed."""
    [found] = load(archive.store, [(part, stream)])
    if found.state.claim is not None and found.state.claim.kind == "compact":
        result.compacted += compact_next(archive.store, archive.storage, part, stream, grace_ms=grace_ms)


def _delete_retired(archive: Archive, result: PassResult) -> None:
    """Delete what was replaced long enough ago; the published manifest doesn't name it."""
    now = now_ms()
    for part in archive.store.parts:
        for stream in SCHEMAS:
            over = [path for path, at in retired(archive.store, part, stream).items() if at <= now]
            for path in over:
                archive.storage.delete(path)
            forget_retired(archive.store, part, stream, over)
            result.deleted += len(over)


def _record(archive: Archive, result: PassResult) -> None:
    """How the pass ended, for `archive status` and for whoever finds the streams full."""
    client, now = archive.store.client, now_ms()
    if result.error:
        client.hsetnx(keys.ARCHIVE, "error_since", now)
        client.hset(keys.ARCHIVE, mapping={"last_pass": now, "error": result.error})
        return
    count = taken(everything(archive.store))
    client.hset(keys.ARCHIVE, mapping={"last_pass": now, "last_success": now, "taken": count})
    client.hdel(keys.ARCHIVE, "error", "error_since")


def taken(snapshots: Sequence[Snapshot]) -> int:
    """Lines of the streams that are archived, or no events."""
    return sum(found.state.events + found.state.skipped for found in snapshots)
