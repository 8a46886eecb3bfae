"""Restoring a backup: into the embedded store's directory, or into an empty server.

A restored store knows less than the list: fewer opt-outs, fewer rows that were told. So nothing in it may
act before a person has looked: all of that is settled in a store beside the target, which nobody else
uses, and only then does the copy take the target's place, at one stroke.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

import redis

from listbridge.backup.copying import Copier
from listbridge.backup.manifest import DATA, Manifest, NoBackup, read, sync
from listbridge.backup.waking import put_to_rest
from listbridge.store import keys
from listbridge.store.embedded import EmbeddedStore, discover
from listbridge.store.store import SCHEMA_VERSION, Store, StoreError, connect
from settings import Settings

AOF: Final = "appendonlydir"
BESIDE: Final = "restoring"
UNDER_WAY: Final = "restoring"
"""The schema of a server while a backup is copied into it: no program starts on it."""
COPIED_AT_ONCE: Final = 200

Say = Callable[[str], object]


class TargetInUse(StoreError):
    """There is a store already where the backup is to go."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; `paused` are the workflows that wait for a person."""

    manifest: Manifest
    paused: list[str]


def restore(settings: Settings, directory: Path, say: Say = lambda _line: None) -> Restored:
    """Bring a backup back, with everything paused; what was not whole before is not changed by it.

    Raises `NoBackup`, `TargetInUse`, and `StoreError` for a server that can't read the data.
    """
    manifest = read(directory)
    _check(settings, manifest)
    if settings.redis_url:
        return _into_server(settings, directory, manifest, say)
    return _into_directory(settings, directory, manifest, say)


def _check(settings: Settings, manifest: Manifest) -> None:
    if manifest.schema > SCHEMA_VERSION:
        raise NoBackup(
            f"the backup has schema {manifest.schema} (made by {manifest.program}); this program knows "
            f"{SCHEMA_VERSION}: restore it with a newer one"
        )
    if manifest.partitions != settings.partitions:
        raise NoBackup(
            f"the backup has {manifest.partitions} partitions and LISTBRIDGE_PARTITIONS is "
            f"{settings.partitions}; set it to {manifest.partitions}"
        )


def _into_directory(settings: Settings, directory: Path, manifest: Manifest, say: Say) -> Restored:
    target = settings.data_dir / AOF
    if discover(settings.data_dir) is not None:
        raise TargetInUse(f"the store of {settings.data_dir} is running: stop `listbridge up` first")
    if target.exists():
        raise TargetInUse(
            f"{target} holds a store, which is not overwritten: move it away first "
            f"(`mv {target} {target}.before`)"
        )
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = settings.data_dir / BESIDE
    if beside.exists():
        shutil.rmtree(beside)  # of a restore that was cut off
    try:
        paused = _settled(settings, directory, beside, manifest, say)
        (beside / AOF).rename(target)
        sync(settings.data_dir)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Restored(manifest, paused)


def _settled(
    settings: Settings,
    directory: Path,
    beside: Path,
    manifest: Manifest,
    say: Say,
    then: Callable[[Store], object] = lambda _store: None,
) -> list[str]:
    """Load the data into a store of its own in `beside`, and put everything in it to rest."""
    say(f"loading {manifest.size:,} bytes ...")
    aof = beside / AOF
    aof.mkdir(mode=0o700, parents=True)
    name = "appendonly.aof.1.base.rdb"
    shutil.copyfile(directory / DATA, aof / name)
    (aof / "appendonly.aof.manifest").write_text(f"file {name} seq 1 type b\n")
    with EmbeddedStore(beside, appendfsync=settings.appendfsync) as server:
        store = connect(server.url, settings.partitions)
        try:
            _forget_messages(server.url)
            if store.client.hget(keys.META, "schema") is None:
                raise NoBackup(f"{directory / DATA} holds the data of something else: no store of Listbridge")
            store.prepare()
            paused = put_to_rest(store, manifest.taken_at)
            then(store)
        finally:
            store.client.close()
    return paused


def _forget_messages(url: str) -> None:
    """Doorbells of then would ring for nothing: what there is to do is found in the state."""
    broker = redis.Redis.from_url(url.removesuffix("/0") + "/1")
    try:
        broker.flushdb()
    finally:
        broker.close()


def _into_server(settings: Settings, directory: Path, manifest: Manifest, say: Say) -> Restored:
    target = connect(settings.redis_url, settings.partitions)
    try:
        held = cast(bytes | None, target.client.hget(keys.META, "schema"))
        if held is not None and held.decode() != UNDER_WAY:
            raise TargetInUse("LISTBRIDGE_REDIS_URL names a store in use: name an empty server or database")
        target.client.hset(keys.META, "schema", UNDER_WAY)
        if held is not None:
            _forget_all(target.client)  # of a restore that was cut off, maybe of another backup

        def copy(source: Store) -> None:
            copier = Copier(source.client, target.client)
            copied = _copy(source.client, copier)
            say(f"copied {copied:,} keys")
            copier.copy(keys.META.encode())

        with TemporaryDirectory(prefix="listbridge-restore-") as beside:
            paused = _settled(settings, directory, Path(beside) / BESIDE, manifest, say, copy)
    finally:
        target.client.close()
    return Restored(manifest, paused)


def _forget_all(target: redis.Redis) -> None:
    """Delete every key but the layout's."""
    for name in target.scan_iter(match=keys.EVERYTHING, count=COPIED_AT_ONCE):
        if name != keys.META.encode():
            target.unlink(name)


def _copy(source: redis.Redis, copier: Copier) -> int:
    """Copy every key but the layout's, which makes the target a store; -> how many."""
    copied = 0
    names: Iterator[bytes] = source.scan_iter(match=keys.EVERYTHING, count=COPIED_AT_ONCE)
    for name in names:
        if name != keys.META.encode():
            copier.copy(name)
            copied += 1
    return copied
