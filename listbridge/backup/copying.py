"""Copying keys from one server to another, which may be of another make or an older version.

The form in which a server dumps a key is its own: an older one, or one of another make, refuses it
(`DUMP payload version or checksum are wrong`), and some hosts forbid the command. Then the key is
copied by what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import redis

from listbridge.store.store import StoreError

T = TypeVar("T")

ELEMENTS_AT_ONCE: Final = 500
_GUARD: Final = "0-1"
"""The id of an entry that makes an empty stream; real ids are times."""


class Copier:
    """Copies keys, each in place of what the target holds under its name. Safe to repeat."""

    def __init__(self, source: redis.Redis, target: redis.Redis) -> None:
        self._source: Any = source
        self._target: Any = target
        self._refused = False

    def copy(self, name: bytes) -> None:
        """Copy one key, if it is there. Raises `StoreError` for a kind that no store of ours holds."""
        if not self._refused:
            data = self._source.dump(name)
            if data is None:
                return
            try:
                self._target.restore(name, max(self._source.pttl(name), 0), data, replace=True)
            except redis.ResponseError:
                self._refused = True
            else:
                return
        self._by_content(name)

    def _by_content(self, name: bytes) -> None:
        kind = self._source.type(name)
        if kind == b"none":
            return
        if kind not in _WAYS:
            raise StoreError(
                f"{name.decode(errors='replace')} is a {kind.decode()}: no store of Listbridge has such"
            )
        self._target.delete(name)
        _WAYS[kind](self._source, self._target, name)
        if (left := self._source.pttl(name)) > 0:
            self._target.pexpire(name, left)


def _string(source: Any, target: Any, name: bytes) -> None:
    target.set(name, source.get(name))


def _hash(source: Any, target: Any, name: bytes) -> None:
    for some in _in_parts(source.hscan_iter(name, count=ELEMENTS_AT_ONCE)):
        target.hset(name, mapping=dict(some))


def _set(source: Any, target: Any, name: bytes) -> None:
    for some in _in_parts(source.sscan_iter(name, count=ELEMENTS_AT_ONCE)):
        target.sadd(name, *some)


def _sorted_set(source: Any, target: Any, name: bytes) -> None:
    for some in _in_parts(source.zscan_iter(name, count=ELEMENTS_AT_ONCE)):
        target.zadd(name, dict(some))


def _stream(source: Any, target: Any, name: bytes) -> None:
    """The entries under their ids, and the last id that was given, whether or not it is still there."""
    after = "-"
    while page := source.xrange(name, min=after, count=ELEMENTS_AT_ONCE):
        for entry, fields in page:
            _append(target, name, entry, fields)
        after = f"({page[-1][0].decode()}"
    if not target.exists(name):
        _append(target, name, _GUARD, {"n": 0})
        target.xdel(name, _GUARD)
    target.execute_command("XSETID", name, source.xinfo_stream(name)["last-generated-id"])


def _append(target: Any, name: bytes, entry: bytes | str, fields: Any) -> None:
    try:
        target.xadd(name, fields, id=entry)
    except redis.ResponseError:
        if not target.xrange(name, min=entry, max=entry):
            raise  # else the answer to the first try was lost


_WAYS: Final[dict[bytes, Callable[[Any, Any, bytes], None]]] = {
    b"string": _string,
    b"hash": _hash,
    b"set": _set,
    b"zset": _sorted_set,
    b"stream": _stream,
}


def _in_parts(elements: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(elements, ELEMENTS_AT_ONCE)):
        yield some
