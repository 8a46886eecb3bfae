"""A profile as one packed value: a checksum, the newest event time and the fields' states.

Field ids are long (a name and a fingerprint of its definition), so the store keeps a register that
gives each a small number; a packed profile holds only the numbers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from listbridge.store import keys
from listbridge.store.store import Store

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, dict[int, Any]]).decode

_REGISTER = """
for i = 1, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    redis.call('HSET', KEYS[1], ARGV[i], redis.call('HLEN', KEYS[1]) + 1)
  end
end
return redis.call('HMGET', KEYS[1], unpack(ARGV))
"""


class CorruptProfile(Exception):
    """The stored profile's checksum is wrong, or it holds a field that the register lacks; the next fold
    of this person recomputes it from the streams."""


@dataclass(slots=True)
class Profile:
    """`updated_at`: the newest event time folded, epoch milliseconds; `states`: field id -> state."""

    updated_at: int = 0
    states: dict[str, Any] = field(default_factory=dict)


class Codec:
    """Packs and unpacks profiles; keeps this process's copy of the register."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def pack(self, profile: Profile) -> bytes:
        states = profile.states
        if not states.keys() <= self._numbers.keys():
            self._register([name for name in states if name not in self._numbers])
        numbers = self._numbers
        body = _encode((profile.updated_at, {numbers[name]: state for name, state in states.items()}))
        return zlib.crc32(body).to_bytes(4, "big") + body

    def unpack(self, packed: bytes) -> Profile:
        """Raises `CorruptProfile` when the value can't be what `pack` made."""
        body = packed[4:]
        if zlib.crc32(body).to_bytes(4, "big") != packed[:4]:
            raise CorruptProfile
        updated_at, states = _decode(body)
        if not states.keys() <= self._names.keys():
            self._reload()
        names = self._names
        if not states.keys() <= names.keys():
            raise CorruptProfile
        return Profile(updated_at, {names[number]: state for number, state in states.items()})

    def _register(self, names: list[str]) -> None:
        for name, number in zip(names, self._store.script(_REGISTER, [keys.FIELDS], names), strict=True):
            self._remember(name, int(number))

    def _reload(self) -> None:
        held = cast(dict[bytes, bytes], self._store.client.hgetall(keys.FIELDS))
        for name, number in held.items():
            self._remember(name.decode(), int(number))

    def _remember(self, name: str, number: int) -> None:
        self._numbers[name] = number
        self._names[number] = name
