"""A stream without some of its lines: written beside it under the same entry ids, then put in its place.

Entries keep their ids and their order, so offsets, cursors and the archive's position stay right; an
entry that holds nothing any more is left out. Until the copy takes the stream's place nothing has
changed, and a copy that was broken off goes by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from listbridge.erasure.errors import ErasureError
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.reading import START, entry_order

Change = Callable[[bytes], bytes | None]
"""A line as it is to be: None to leave it out."""

ENTRIES_A_PAGE = 200
COPY_MS = 600_000
TRIES = 20
_GUARD = "0-1"
"""The id of an entry that keeps an empty copy there; real ids are times."""

# KEYS: stream, copy, totals, erasures
# ARGV: stream's name, last entry that was copied, first entry that was, lines that were left out and not
#       archived, rewriting before this one, this rewriting, entries that may be copied here
# -> 1 when the copy stands in the stream's place, now or by an earlier try of this very call; 0 when somebody
# else was first or the stream was trimmed; 2 when too many entries came meanwhile: copy on.
_SWAP = """
local field = 'rewritten:' .. ARGV[1]
local held = redis.call('HGET', KEYS[4], field) or ''
if held == ARGV[6] then return 1 end
if held ~= ARGV[5] or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first or first[1] ~= ARGV[3] then return 0 end
local more = redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+', 'COUNT', tonumber(ARGV[7]) + 1)
if #more > tonumber(ARGV[7]) then return 2 end
local shift = tonumber(ARGV[4])
for _, entry in ipairs(more) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 't' then entry[2][i + 1] = string.format('%.0f', tonumber(entry[2][i + 1]) - shift) end
  end
  redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local last
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
redis.call('XDEL', KEYS[2], 'GUARD')
redis.call('XSETID', KEYS[2], last)
redis.call('PERSIST', KEYS[2])
redis.call('RENAME', KEYS[2], KEYS[1])
if shift ~= 0 then redis.call('HINCRBY', KEYS[3], ARGV[1], -shift) end
redis.call('HSET', KEYS[4], field, ARGV[6])
return 1
""".replace("GUARD", _GUARD)


@dataclass(slots=True)
class _Copy:
    """How far a copy has come."""

    name: str
    before: bytes
    first: bytes = b""
    last: bytes = START
    lines: int = 0
    """Lines that were left out or changed."""
    shift: int = 0
    """Lines that were left out of entries beyond the archive's position."""


def rewrite(
    store: Store,
    part: PartitionKeys,
    stream: str,
    change: Change,
    position: bytes,
    before: Callable[[], object] = lambda: None,
) -> int:
    """Write a partition's stream anew with each line as `change` says; -> how many were left out or changed.

    `position`: the last archived entry; nothing may be trimmed meanwhile. `before` is called when all lines
    were seen and nothing has gone yet. Raises `ErasureError`.
    """
    if not _touches(store, part, stream, change):
        return 0
    for _ in range(TRIES):
        copy = _begin(store, part, stream)
        try:
            while _copy_page(store, part, stream, copy, change, position):
                pass
            lines = _swap(store, part, stream, copy, change, position, before)
        finally:
            store.client.delete(copy.name)
        if lines is not None:
            return lines
    raise ErasureError(f"the stream {stream} of partition {part.number} was changed by others all the time")


def _touches(store: Store, part: PartitionKeys, stream: str, change: Change) -> bool:
    after = START
    while page := _page(store, part, stream, after):
        for _, fields in page:
            if any(change(line) != line for line in fields[b"e"].split(b"\n")):
                return True
        after = page[-1][0]
    return False


def _begin(store: Store, part: PartitionKeys, stream: str) -> _Copy:
    before = cast(bytes | None, store.client.hget(part.erasures, f"rewritten:{stream}")) or b""
    copy = _Copy(part.rewriting(f"{stream}:{secrets.token_hex(8)}"), before)
    store.client.xadd(copy.name, {"n": 0}, id=_GUARD)
    store.client.pexpire(copy.name, COPY_MS)
    return copy


def _page(
    store: Store, part: PartitionKeys, stream: str, after: bytes
) -> list[tuple[bytes, dict[bytes, bytes]]]:
    name = part.stream(stream)
    found = store.client.xrange(name, min=f"({after.decode()}", count=ENTRIES_A_PAGE)
    return cast(list[tuple[bytes, dict[bytes, bytes]]], found)


def _copy_page(
    store: Store, part: PartitionKeys, stream: str, copy: _Copy, change: Change, position: bytes
) -> bool:
    """Copy the next entries; False when there are none."""
    page = _page(store, part, stream, copy.last)
    pipe = store.client.pipeline(transaction=False)
    for entry, fields in page:
        copy.first = copy.first or entry
        copy.last = entry
        before = fields[b"e"].split(b"\n")
        after = [changed for line in before if (changed := change(line)) is not None]
        copy.lines += sum(1 for line in before if change(line) != line)
        if entry_order(entry) > entry_order(position):
            copy.shift += len(before) - len(after)
        if after:
            kept: dict[Any, Any] = fields | {b"n": len(after), b"e": b"\n".join(after)}
            if b"t" in fields:
                kept[b"t"] = int(fields[b"t"]) - copy.shift
            pipe.xadd(copy.name, kept, id=entry.decode())
    if len(pipe):
        pipe.execute()
        store.client.pexpire(copy.name, COPY_MS)
    return bool(page)


def _swap(
    store: Store,
    part: PartitionKeys,
    stream: str,
    copy: _Copy,
    change: Change,
    position: bytes,
    before: Callable[[], object],
) -> int | None:
    """Put the copy in the stream's place; None when the stream was changed otherwise than by appends."""
    names = [part.stream(stream), copy.name, part.totals, part.erasures]
    token = secrets.token_hex(8)
    while True:
        before()
        args = [stream, copy.last, copy.first, copy.shift, copy.before, token, ENTRIES_A_PAGE]
        answer = int(store.script(_SWAP, names, args))
        if answer != 2:
            return copy.lines if answer else None
        _copy_page(store, part, stream, copy, change, position)
