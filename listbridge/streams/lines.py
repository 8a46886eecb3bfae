"""Events as they are written: encoded, with what an append has to know of each."""

from __future__ import annotations

import msgspec

from listbridge.store.keys import hash_of
from listbridge.streams.events import Event, encode


class Line(msgspec.Struct, frozen=True, gc=False):
    """One event of `stream`, encoded.

    `key` is the person's and `hash` its CRC-32, by which the partition is chosen; `time` is epoch
    milliseconds, `day` the one under which the id is kept, `body` a line of JSON without a newline.
    """

    stream: str
    key: str
    hash: int
    time: int
    day: int
    id: bytes
    body: bytes


def line_of(event: Event, received: int) -> Line:
    """The event as it is written when it was received at that time (epoch ms)."""
    identity = event.id
    return Line(
        event.stream,
        event.key,
        hash_of(event.key.encode()),
        event.time,
        event.seen_day,
        identity,
        encode(event, received, identity),
    )
