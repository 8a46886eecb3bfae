"""A snapshot of a Redis or Valkey server at one point in time, over the network, while it serves.

The server takes us for a replica and sends its data in the RDB format, as `valkey-cli --rdb` has it:
https://valkey.io/topics/replication/ ("How Valkey replication works"). It forks for that; nothing is
written to its disk.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import redis

from listbridge.store.store import StoreError

SILENT_SECONDS: Final = 60.0
"""How long a server may send nothing; while it prepares the data it sends a sign of life each second."""
_CHUNK: Final = 1 << 20
_LONGEST_LINE: Final = 4096
_MARK_BYTES: Final = 40


class SnapshotFailed(StoreError):
    """The server gave no whole snapshot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was written: its length in bytes and its SHA-256, in hexadecimal digits."""

    size: int
    sha256: str


def take(client: redis.Redis, path: Path, *, silent_seconds: float = SILENT_SECONDS) -> Snapshot:
    """Write everything that the server holds to a new file, readable for its owner only.

    The file is on disk when this returns. Raises `SnapshotFailed` when the server refuses, falls silent or
    breaks off, and `redis.RedisError` when it can't be reached.
    """
    connection: Any = client.connection_pool.make_connection()
    connection.connect()
    try:
        # The handshake (TLS, password) is over and every reply to it was read: from here on it is a stream.
        stream: socket.socket = connection._sock
        stream.settimeout(silent_seconds)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            made = _received(_Stream(stream), file)
            file.flush()
            os.fsync(file.fileno())
        return made
    except (TimeoutError, OSError) as problem:
        raise SnapshotFailed(f"the store's snapshot was cut off: {problem}") from problem
    finally:
        connection.disconnect()


class _Stream:
    """What the server sends, read by lines and then by bytes."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._held = b""

    def send(self, *words: str) -> None:
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self._stream.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())

    def line(self) -> str:
        """The next line; empty ones are signs of life."""
        while True:
            line, found, rest = self._held.partition(b"\n")
            if not found:
                if len(line) > _LONGEST_LINE:
                    raise SnapshotFailed("the store answered a request for a snapshot with something else")
                self._held += self._more()
                continue
            self._held = rest
            if text := line.strip().decode(errors="replace"):
                return text

    def some(self) -> bytes:
        """The next bytes, at least one."""
        held, self._held = self._held, b""
        return held or self._more()

    def _more(self) -> bytes:
        found = self._stream.recv(_CHUNK)
        if not found:
            raise SnapshotFailed("the store closed the connection before its snapshot was whole")
        return found


def _received(stream: _Stream, file: BinaryIO) -> Snapshot:
    stream.send("REPLCONF", "capa", "eof")
    _expect(stream.line(), "+OK", "REPLCONF")
    stream.send("PSYNC", "?", "-1")
    _expect(stream.line(), "+FULLRESYNC", "PSYNC")
    head = stream.line()
    _expect(head, "$", "PSYNC")
    writer = _Writer(file)
    if head.startswith("$EOF:"):
        _until_mark(stream, head.removeprefix("$EOF:").encode(), writer)
    else:
        _so_many(stream, int(head[1:]), writer)
    return Snapshot(writer.size, writer.digest.hexdigest())


def _expect(line: str, wanted: str, command: str) -> None:
    if not line.startswith(wanted):
        raise SnapshotFailed(
            f"the store answered {line!r} to {command}: it gives no snapshots to this user; "
            "make a backup with the means of whoever runs it"
        )


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)


def _so_many(stream: _Stream, size: int, writer: _Writer) -> None:
    while writer.size < size:
        writer.write(stream.some()[: size - writer.size])


def _until_mark(stream: _Stream, mark: bytes, writer: _Writer) -> None:
    """A server without a disk doesn't know the length: what ends with the mark is whole."""
    if len(mark) != _MARK_BYTES:
        raise SnapshotFailed(f"the store announced a mark of {len(mark)} bytes; {_MARK_BYTES} are usual")
    tail = b""
    while True:
        tail += stream.some()
        if tail.endswith(mark):
            return writer.write(tail[:-_MARK_BYTES])
        if len(tail) > _MARK_BYTES:
            writer.write(tail[:-_MARK_BYTES])
            tail = tail[-_MARK_BYTES:]
