"""What the exports made in a list: the field, every option ever made for it, the mapped fields' keys."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from listbridge.store import keys
from listbridge.store.store import Store


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """`fingerprint` tells whether the exports ask for something else by now, `feeds` whether they are
    others than those that the cursors belong to. `adopting`: what the list held before is still to be
    read (see `adoption`). `kinds` and `choices` are the mapped fields' types and options by key, `keeps`
    the keys of those whose values are left alone. `by_address`: rows may go to other addresses than
    people's keys. `checked_at` (epoch ms): when the list was last seen to
    offer all that."""

    field_key: str
    labels: tuple[str, ...]
    mapped: dict[str, str]
    kinds: dict[str, str] = {}
    choices: dict[str, tuple[str, ...]] = {}
    keeps: tuple[str, ...] = ()
    checked_at: int = 0
    adopting: bool = False
    by_address: bool = False
    fingerprint: str
    feeds: str = ""


# KEYS: setup; ARGV: as read, new -> 0 when somebody else was first
_SWAP = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

_decode = msgspec.json.Decoder(Setup).decode


def setup_of(store: Store, list_id: str) -> Setup | None:
    """The set-up of a list, or None when no export ever prepared it."""
    return read_setup(cast(bytes | None, store.client.get(keys.list_setup(list_id))))


def read_setup(held: bytes | None) -> Setup | None:
    """The set-up as it is kept, or None where there is none."""
    return _decode(held) if held else None


def prepare_again(store: Store, list_id: str) -> None:
    """Have the next delivery look whether the list still offers what the exports need."""
    change_setup(store, list_id, fingerprint="")


def change_setup(store: Store, list_id: str, **changes: Any) -> None:
    """Change some fields of a set-up, if there is one, and leave the others as they are by then."""
    name, done = keys.list_setup(list_id), False
    while not done and (old := cast(bytes | None, store.client.get(name))):
        new = msgspec.json.encode(msgspec.structs.replace(_decode(old), **changes))
        done = bool(store.script(_SWAP, [name], [old, new]))


def save_setup(store: Store, list_id: str, setup: Setup) -> None:
    store.client.set(keys.list_setup(list_id), msgspec.json.encode(setup))
