"""The manifest: which files count, for readers outside. The store has the truth; this follows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from listbridge.archive.state import Snapshot, load
from listbridge.archive.storage import Storage
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import Store
from listbridge.streams.schemas import SCHEMAS

PATH = "manifest.ndjson"
LEASE_MS = 60_000
_encode = msgspec.json.Encoder().encode


def everything(store: Store) -> list[Snapshot]:
    """The archive of every stream and partition."""
    return load(store, [(part, stream) for stream in SCHEMAS for part in store.parts])


def publish(store: Store, storage: Storage) -> bool:
    """Write the manifest when it is not what was written last; False when somebody else is at it."""
    lease = Lease(store, "archive:manifest", LEASE_MS)
    if not lease.acquire():
        return False
    try:
        content = manifest(everything(store))
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        if store.client.hget(keys.ARCHIVE, "published") != digest.encode():
            storage.tidy(PATH)
            storage.put(PATH, content, writer=PATH)
            store.client.hset(keys.ARCHIVE, "published", digest)
    finally:
        lease.release()
    return True


def manifest(snapshots: Iterable[Snapshot]) -> bytes:
    """One line of JSON for each file; times are epoch ms, `first` and `last` the range's entry ids."""
    return b"".join(
        _encode(
            {
                "stream": found.stream,
                "partition": found.part.number,
                "month": file.month,
                "path": file.path,
                "events": file.events,
                "bytes": file.bytes,
                "first": file.first,
                "last": file.last,
                "from_time": file.from_time,
                "to_time": file.to_time,
            }
        )
        + b"\n"
        for found in snapshots
        for file in found.files
    )
