"""`backup.json`: what a backup is of. It is written last, so a directory that has it is whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from listbridge.store.store import StoreError

NAME: Final = "backup.json"
DATA: Final = "store.rdb"
FORMAT: Final = 1
_CHUNK: Final = 1 << 20


class NoBackup(StoreError):
    """A directory holds no whole backup, or one that is damaged or of another make."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """`taken_at` is when the copy was asked for (epoch ms): what was acknowledged before is in it."""

    format: int = FORMAT
    taken_at: int
    program: str
    schema: int
    partitions: int
    size: int
    sha256: str
    people: int
    workflows: int
    server: str


def write(directory: Path, manifest: Manifest) -> None:
    """Write it so that a crash leaves the whole of it or nothing."""
    draft = directory / f"{NAME}.part"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(directory / NAME)
    sync(directory)


def sync(directory: Path) -> None:
    """Have the names in a directory on disk."""
    held = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def read(directory: Path) -> Manifest:
    """The manifest of a backup, its data checked against it. Raises `NoBackup`."""
    try:
        text = (directory / NAME).read_bytes()
    except OSError as problem:
        raise NoBackup(
            f"{directory} holds no whole backup: {NAME} can't be read ({problem.strerror})"
        ) from None
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise NoBackup(f"{directory / NAME} is damaged: {problem}") from None
    if found.format != FORMAT:
        raise NoBackup(f"{directory} has format {found.format}; this program reads format {FORMAT}")
    _check_data(directory / DATA, found)
    return found


def _check_data(path: Path, manifest: Manifest) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while part := file.read(_CHUNK):
                digest.update(part)
                size += len(part)
    except OSError as problem:
        raise NoBackup(f"{path} can't be read: {problem.strerror}") from None
    if (size, digest.hexdigest()) != (manifest.size, manifest.sha256):
        raise NoBackup(
            f"{path} is damaged: it has {size} bytes of SHA-256 {digest.hexdigest()[:16]}…, "
            f"and the backup was made with {manifest.size} bytes of {manifest.sha256[:16]}…"
        )
