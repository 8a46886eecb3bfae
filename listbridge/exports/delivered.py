"""What a list was last told of each person, and what it refused: the records of a delivery."""

from __future__ import annotations

import hashlib

import msgspec

from listbridge.exports.protocol import Row

RECENT_WRITES = 4


class Delivered(msgspec.Struct, array_like=True, frozen=True):
    """The row a list was last told, and our last few writes, by which their echoes are recognised.

    `at` is epoch ms by our clock; `writes` are (epoch ms by the system's clock, content), newest last.
    """

    at: int
    name: str | None
    options: tuple[str, ...]
    values: dict[str, str | tuple[str, ...]]
    writes: tuple[tuple[int, str], ...] = ()

    def holds(self, row: Row) -> bool:
        """Does the list already hold this row?"""
        return (self.name, self.options, self.values) == (row.name, row.options, dict(row.values))


class Refused(msgspec.Struct, array_like=True, frozen=True):
    """Why a row was not stored; `at` is epoch ms by our clock, `row` the content that was refused."""

    at: int
    code: str
    message: str
    row: str


def content(name: str | None, options: tuple[str, ...]) -> str:
    """A short fingerprint of what a webhook about this row would show."""
    text = msgspec.json.encode([name or "", sorted(options)])
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def delivered(row: Row, before: Delivered | None, at: int, system_at: int) -> Delivered:
    """The record of writing `row` now."""
    writes = (*(before.writes if before else ()), (system_at, content(row.name, row.options)))
    return Delivered(at, row.name, row.options, dict(row.values), writes[-RECENT_WRITES:])


pack = msgspec.msgpack.Encoder().encode
unpack_delivered = msgspec.msgpack.Decoder(Delivered).decode
unpack_refused = msgspec.msgpack.Decoder(Refused).decode
