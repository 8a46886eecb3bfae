"""A profile as one packed value: a checksum, the version of the mappings that wrote it, the newest
event time and the fields' states.

A packed profile holds the numbers that its version of the mappings gives to the definitions. A number
is never given to another definition, nor again to one that had been away, so a number that a later
program doesn't know is a state that no longer counts.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from listbridge.aggregation import Program

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, dict[int, Any]]).decode


class CorruptProfile(Exception):
    """The stored profile's checksum is wrong or it can't be decoded; the next fold of this person
    recomputes it from the streams."""


class NewerProfile(Exception):
    """The stored profile was written by newer mappings than the program's: ask for the active ones."""


@dataclass(slots=True)
class Profile:
    """`updated_at`: the newest event time folded (epoch ms); `states`: definition number -> state."""

    updated_at: int = 0
    states: dict[int, Any] = field(default_factory=dict)


class Codec:
    """Packs and unpacks profiles by the numbers of a program."""

    def __init__(self, program: Program) -> None:
        self._version = program.version
        self._numbers = program.numbers

    def pack(self, profile: Profile) -> bytes:
        """The packed value. Raises `KeyError` for a state of a definition that is not the program's."""
        if not profile.states.keys() <= self._numbers:
            raise KeyError(min(profile.states.keys() - self._numbers))
        body = _encode((self._version, profile.updated_at, profile.states))
        return zlib.crc32(body).to_bytes(4, "big") + body

    def unpack(self, packed: bytes) -> Profile:
        """The profile, without states whose definition isn't the program's.

        Raises `CorruptProfile` when the value can't be what `pack` made, and `NewerProfile`.
        """
        body = packed[4:]
        if zlib.crc32(body).to_bytes(4, "big") != packed[:4]:
            raise CorruptProfile
        try:
            version, updated_at, states = _decode(body)
        except msgspec.MsgspecError as error:
            raise CorruptProfile from error
        if version > self._version:
            raise NewerProfile
        if not states.keys() <= self._numbers:
            states = {number: state for number, state in states.items() if number in self._numbers}
        return Profile(updated_at, states)
