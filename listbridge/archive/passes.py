"""A pass of the archive: write what is new, put small files together, trim, publish, delete what is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import redis

from listbridge.archive.compaction import GRACE_MS, compact_next
from listbridge.archive.errors import StorageError
from listbridge.archive.manifest import everything, publish
from listbridge.archive.reading import Archive
from listbridge.archive.state import Snapshot, change, forget_retired, load, retired
from listbridge.archive.trimming import trim
from listbridge.archive.writing import Conflict, archive_next, writer_name
from listbridge.logs import without_addresses
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
    uncompacted: str = ""
    """Why some files could not be put together; nothing else suffers from it."""


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
                _isolated(archive, part, folded, stopping, grace_ms, result)
        if publish(store, archive.storage):
            _delete_retired(archive, result)
    except StorageError as error:
        result.error = str(error)
        logger.warning("the archive can't go on, and nothing more is trimmed: %s", error)
    _record(archive, result)
    return result


def _isolated(
    archive: Archive,
    part: PartitionKeys,
    folded: Sequence[str],
    stopping: Callable[[], bool],
    grace_ms: int,
    result: PassResult,
) -> None:
    """A partition by itself: what is wrong with one must not keep the others from being archived."""
    try:
        _partition(archive, part, folded, stopping, grace_ms, result)
    except (StorageError, redis.RedisError):
        raise
    except Exception as error:
        result.error = without_addresses(f"partition {part.number}: {type(error).__name__}: {error}")
        logger.exception("partition %d can't be archived", part.number)


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
                _settle(archive, part, stream)
                while not (stopping() or lost.is_set()):
                    written = archive_next(store, storage, part, stream)
                    result.trimmed += trim(store, part, stream, folded=stream in folded)
                    if written is None:
                        break
                    result.events += written
                _compact(archive, part, stream, lambda: stopping() or lost.is_set(), grace_ms, result)
    finally:
        lease.release()


def _settle(archive: Archive, part: PartitionKeys, stream: str) -> None:
    """Take back a compaction that was broken off: what is new comes first, and nothing was replaced."""
    [found] = load(archive.store, [(part, stream)])
    if found.state.claim is not None and found.state.claim.kind == "compact":
        change(archive.store, found, msgspec.structs.replace(found.state, claim=None))


def _compact(
    archive: Archive,
    part: PartitionKeys,
    stream: str,
    stopping: Callable[[], bool],
    grace_ms: int,
    result: PassResult,
) -> None:
    """Put small files together. One that can't be read now is no reason not to archive the rest."""
    try:
        while not stopping():
            replaced = compact_next(archive.store, archive.storage, part, stream, grace_ms=grace_ms)
            if not replaced:
                return
            result.compacted += replaced
    except StorageError as error:
        logger.warning("files of partition %d stay small for now: %s", part.number, error)
        result.uncompacted = str(error)
        _settle(archive, part, stream)


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
