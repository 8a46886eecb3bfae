"""What the store knows of the archive: how far each stream is archived, and the files that count.

The state of a (stream, partition) is one value with a token, replaced by one script that compares it:
files added, files replaced, the position and the claim move together or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that counts. Entry ids `first` and `last` of the range it came from; times are epoch ms."""

    path: str
    """Relative to the archive's root."""
    month: str
    events: int
    bytes: int
    first: str
    last: str
    low: str
    """The least key in it."""
    high: str
    from_time: int
    to_time: int
    unreadable: str = ""
    """Why it could not be read when it was to be compacted."""


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is being written. The files' names and contents follow from it, whoever writes them."""

    kind: Literal["append", "compact"]
    first: str
    last: str
    month: str = ""
    sources: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a (stream, partition) is archived."""

    token: str = ""
    position: str = "0-0"
    """The id of the last entry that is archived."""
    events: int = 0
    """Events of the entries up to the position that are in files."""
    skipped: int = 0
    """Lines of the entries up to the position that are no events."""
    at: int = 0
    """When the position moved last (epoch ms)."""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The archive of one (stream, partition) at one moment."""

    part: PartitionKeys
    stream: str
    raw: bytes
    state: State
    files: tuple[File, ...]

    @property
    def position(self) -> bytes:
        """The id of the last archived entry; events of later ones are in the stream only."""
        return self.state.position.encode()

    @property
    def events(self) -> int:
        return sum(file.events for file in self.files)


_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(State).decode
_decode_file = msgspec.json.Decoder(File).decode

# KEYS: archive, archived; ARGV: stream -> [state, [file, ...]]
_LOAD = "return {redis.call('HGET', KEYS[1], ARGV[1]) or '', redis.call('HVALS', KEYS[2])}"

# KEYS: archive, archived, retired
# ARGV: stream, state read, new state, files to set, (path, file)..., when to delete, replaced paths...
# -> 1 when written, now or by an earlier try of this very call; 0 when somebody else was first.
_CHANGE = """
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held == ARGV[3] then return 1 end
if held ~= ARGV[2] then return 0 end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for i = at + 1, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[at])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


def load(store: Store, where: Sequence[tuple[PartitionKeys, str]]) -> list[Snapshot]:
    """The archive of each (partition, stream), each of one moment."""
    calls = [([part.archive, part.archived(stream)], [stream]) for part, stream in where]
    return [
        _snapshot(part, stream, raw, files)
        for (part, stream), (raw, files) in zip(where, store.scripts(_LOAD, calls), strict=True)
    ]


def _snapshot(part: PartitionKeys, stream: str, raw: bytes, files: Sequence[bytes]) -> Snapshot:
    state = _decode_state(raw) if raw else State()
    return Snapshot(part, stream, raw, state, tuple(sorted(map(_decode_file, files), key=lambda f: f.path)))


def change(
    store: Store,
    before: Snapshot,
    state: State,
    *,
    files: Sequence[File] = (),
    retire: Sequence[str] = (),
    delete_at: int = 0,
) -> bool:
    """Write the new state with its files; False when somebody changed the state since `before` was read.

    The paths of `retire` count no more and are deleted at `delete_at` (epoch ms).
    """
    state = msgspec.structs.replace(state, token=secrets.token_hex(8))
    args: list[Any] = [before.stream, before.raw, _encode(state), len(files)]
    for file in files:
        args += (file.path, _encode(file))
    args += (delete_at, *retire)
    part = before.part
    names = [part.archive, part.archived(before.stream), part.retired(before.stream)]
    return bool(store.script(_CHANGE, names, args))


def retired(store: Store, part: PartitionKeys, stream: str) -> Mapping[str, int]:
    """Path -> when it is to be deleted (epoch ms)."""
    held: Any = store.client.hgetall(part.retired(stream))
    return {path.decode(): int(at) for path, at in held.items()}


def forget_retired(store: Store, part: PartitionKeys, stream: str, paths: Sequence[str]) -> None:
    """The files are deleted."""
    if paths:
        store.client.hdel(part.retired(stream), *paths)
