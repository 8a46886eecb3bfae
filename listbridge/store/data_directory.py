"""The files of an embedded store's data directory: the record of the server, the locks, the log."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from listbridge.store.server import DirectoryInUse, EmbeddedError, server_info

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

LOCK_SECONDS = 1.0
ORPHAN_SECONDS = 60.0
POLL_SECONDS = 0.02
LOG_BYTES = 16 * 1024 * 1024


class Record(msgspec.Struct, frozen=True):
    """The content of store.json. `pid` is 0 until the server process exists."""

    url: str
    port: int
    password: str
    pid: int = 0


def take_lock(data_dir: Path) -> int:
    """Lock store.lock for this process; the descriptor holds the lock.

    Tried for a moment, because `discover` in another process touches the lock, too.
    """
    lock = open_lock(data_dir / "store.lock")
    deadline = time.monotonic() + LOCK_SECONDS
    while not _try_lock(lock):
        if time.monotonic() > deadline:
            os.close(lock)
            raise DirectoryInUse(f"another process runs the embedded store on {data_dir}; stop it first")
        time.sleep(POLL_SECONDS)
    return lock


def claim_server_lock(data_dir: Path, stopping: threading.Event) -> int:
    """Lock server.lock for the server to come; first stop one that outlived its supervisor."""
    lock = open_lock(data_dir / "server.lock")
    deadline = time.monotonic() + ORPHAN_SECONDS
    told: set[int] = set()
    while not _try_lock(lock):
        orphan = _orphan(data_dir)
        if orphan and orphan not in told:
            log.warning("stopping the server %d, which outlived its supervisor", orphan)
            told.add(orphan)
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGTERM)
        if stopping.wait(POLL_SECONDS):
            os.close(lock)
            raise EmbeddedError("the embedded store was stopped before it started")
        if time.monotonic() > deadline:
            os.close(lock)
            record = read_record(data_dir)
            raise DirectoryInUse(
                f"a server that outlived its supervisor holds {data_dir} and doesn't end; "
                f"its process was {record.pid if record else 'not recorded'}"
            )
    return lock


def _orphan(data_dir: Path) -> int | None:
    record = read_record(data_dir)
    seen = server_info(record.url) if record else None
    return seen.pid if seen and seen.config_file == str(data_dir / "store.conf") else None


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int, kind: int | None = None) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if kind is None else kind) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def read_record(data_dir: Path) -> Record | None:
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((data_dir / "store.json").read_bytes(), type=Record)
    return None


def write_record(data_dir: Path, record: Record) -> None:
    write_private(data_dir / "store.json", msgspec.json.encode(record))


def write_private(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.new")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)


def open_log(path: Path) -> Any:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def log_tail(path: Path, start: int, lines: int = 10) -> str:
    with path.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
