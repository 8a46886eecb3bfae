"""An event without an erased person: left out when it is about them, without its mention when it isn't."""

from __future__ import annotations

from typing import Any

import msgspec

from listbridge.erasure.mentions import Mentions
from listbridge.streams.events import owner, time_of

_encode = msgspec.json.Encoder().encode
_META = frozenset({"_id", "_time", "_received", "_day", "_key"})


class Without:
    """Makes of a line of JSON what may stay of it: None when it is the person's own.

    `newest` is the latest time (epoch ms) of the person's own events that it has left out; 0 for none.
    """

    __slots__ = ("_pattern", "_person", "newest")

    def __init__(self, person: str) -> None:
        self._person = person
        self._pattern = Mentions(person)
        self.newest = 0

    def __call__(self, line: bytes) -> bytes | None:
        pattern = self._pattern
        if not pattern.search(line):
            return line
        if owner(line) == self._person:
            self.newest = max(self.newest, time_of(line))
            return None
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return None  # nobody can read it: a copy, with the reason, is in the quarantine
        if not isinstance(event, dict):
            return None
        return _encode(
            {
                name: _left(value, pattern) if name not in _META else value
                for name, value in event.items()
                if not _is_mention(name, value, pattern)
            }
        )


def _is_mention(name: str, value: Any, pattern: Mentions) -> bool:
    return name not in _META and isinstance(value, str) and pattern.search(value.encode())


def _left(value: Any, pattern: Mentions) -> Any:
    """A map, which is a list of key and value, without the entries that name the person."""
    if not isinstance(value, list):
        return value
    return [
        pair
        for pair in value
        if not any(isinstance(each, str) and pattern.search(each.encode()) for each in _texts(pair))
    ]


def _texts(pair: Any) -> list[Any]:
    return list(pair.values()) if isinstance(pair, dict) else [pair]
