"""The last few outcomes of a person in a list: what `Delivered` and `Refused` don't say any more.

Kept as `KEPT` framed entries in one value, newest first; an entry takes about 20 bytes and its labels.
A first row that was stored or refused without any switch is no entry yet, because the present state
tells it: so a backfill costs nothing. It becomes one with the next outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.protocol import Flags

KEPT = 6
SHOWN_LABELS = 8
LONGEST_LABEL = 60

What = Literal["stored", "refused", "unanswered", "later", "absent", "taken back"]
_LETTERS: dict[What, str] = {
    "stored": "s",
    "refused": "r",
    "unanswered": "u",
    "later": "l",
    "absent": "a",
    "taken back": "t",
}
_WORDS = {letter: what for what, letter in _LETTERS.items()}


class Happened(msgspec.Struct, array_like=True, frozen=True):
    """One outcome. `at` is epoch ms by our clock; `options` are the first labels of the row that was
    sent, `more` how many others it had; `tried_again`: an attempt before had no outcome; `moved_from`: the
    address that the row was under before."""

    at: int
    letter: str
    code: str = ""
    resubscribe: bool = False
    queue_autoresponders: bool = False
    tried_again: bool = False
    options: tuple[str, ...] = ()
    more: int = 0
    moved_from: str = ""

    @property
    def what(self) -> What:
        """`unanswered`: nobody knows what became of the call; `later`: the list would not take it yet."""
        return _WORDS[self.letter]


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Happened).decode


def happened(
    what: What,
    at: int,
    *,
    code: str = "",
    flags: Flags | None = None,
    options: Sequence[str] = (),
    tried_again: bool = False,
    moved_from: str = "",
) -> Happened:
    """The entry of an outcome; what would make it large is cut."""
    sent = flags or Flags()
    shown = tuple(label[:LONGEST_LABEL] for label in options[:SHOWN_LABELS])
    return Happened(
        at,
        _LETTERS[what],
        code[:LONGEST_LABEL],
        sent.resubscribe,
        sent.queue_autoresponders,
        tried_again,
        shown,
        max(len(options) - SHOWN_LABELS, 0),
        moved_from,
    )


def framed(entry: Happened) -> bytes:
    """An entry after its length, as the scripts keep it."""
    values = msgspec.structs.astuple(entry)
    packed = _pack(values if entry.moved_from else values[:-1])
    return len(packed).to_bytes(2, "big") + packed


def unframed(held: bytes) -> list[Happened]:
    """The entries of a value, oldest first."""
    found, at = [], 0
    while at < len(held):
        size = int.from_bytes(held[at : at + 2], "big")
        found.append(_unpack(held[at + 2 : at + 2 + size]))
        at += 2 + size
    return found[::-1]


def to_remember(
    entry: Happened, before: Delivered | None, refused: Refused | None, *, in_doubt: bool
) -> tuple[bytes, bytes]:
    """What the ledger adds, and what it begins with when nothing is kept of the person yet.

    Both are empty for a first outcome that the present state tells whole.
    """
    plain = entry.what in ("stored", "refused") and not (entry.resubscribe or entry.queue_autoresponders)
    if before is None and refused is None and not in_doubt and plain:
        return b"", b""
    return framed(entry), b"" if in_doubt else b"".join(map(framed, _earlier(before, refused)))


def _earlier(before: Delivered | None, refused: Refused | None) -> list[Happened]:
    """The outcomes that the present state tells, newest first; a row that was read from the list is none."""
    found = []
    if before is not None and before.writes:
        found.append(happened("stored", before.at, options=before.options))
    if refused is not None:
        found.append(happened("refused", refused.at, code=refused.code))
    return sorted(found, key=lambda each: -each.at)
