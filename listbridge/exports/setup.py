"""What the exports made in a list: the field, every option ever made for it, the mapped fields' keys."""

from __future__ import annotations

from typing import cast

import msgspec

from listbridge.store import keys
from listbridge.store.store import Store


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """`fingerprint` tells whether the exports ask for something else by now, `feeds` whether they are
    others than those that the cursors belong to."""

    field_key: str
    labels: tuple[str, ...]
    mapped: dict[str, str]
    dates: tuple[str, ...] = ()
    fingerprint: str
    feeds: str = ""


_decode = msgspec.json.Decoder(Setup).decode


def setup_of(store: Store, list_id: str) -> Setup | None:
    """The set-up of a list, or None when no export ever prepared it."""
    held = cast(bytes | None, store.client.get(keys.list_setup(list_id)))
    return _decode(held) if held else None


def prepare_again(store: Store, list_id: str) -> None:
    """Have the next delivery look whether the list still offers what the exports need."""
    held = setup_of(store, list_id)
    if held is not None:
        save_setup(store, list_id, msgspec.structs.replace(held, fingerprint=""))


def save_setup(store: Store, list_id: str, setup: Setup) -> None:
    store.client.set(keys.list_setup(list_id), msgspec.json.encode(setup))
