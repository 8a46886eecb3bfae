"""Making a backup while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from listbridge import __version__
from listbridge.backup.manifest import DATA, Manifest, NoBackup, write
from listbridge.backup.snapshot import take
from listbridge.store import keys
from listbridge.store.store import SCHEMA_VERSION, Store, now_ms


def make(store: Store, directory: Path) -> Manifest:
    """Write a backup to a directory that is new or empty.

    It holds the store as it was at one moment after the call, for its owner only; no settings, no keys of
    encryption, no archive. Raises `NoBackup` for a directory that holds something, `SnapshotFailed`, and
    `OSError` where it can't be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if found := sorted(each.name for each in directory.iterdir()):
        raise NoBackup(f"{directory} is not empty ({', '.join(found[:3])}): name a new directory")
    taken_at = now_ms()
    snapshot = take(store.client, directory / DATA)
    manifest = Manifest(
        taken_at=taken_at,
        program=__version__,
        schema=SCHEMA_VERSION,
        partitions=store.partitions,
        size=snapshot.size,
        sha256=snapshot.sha256,
        people=sum(_length(store, part.profiles) for part in store.parts),
        workflows=int(cast(Any, store.client.scard(keys.WORKFLOWS))),
        server=_server(store),
    )
    write(directory, manifest)
    return manifest


def _length(store: Store, name: str) -> int:
    return int(cast(Any, store.client.hlen(name)))


def _server(store: Store) -> str:
    found = store.client.info("server")
    name = found.get("server_name", "redis")
    return f"{name} {found.get('valkey_version', found.get('redis_version'))}"
