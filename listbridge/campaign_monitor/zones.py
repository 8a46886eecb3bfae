"""By which time zone a client's times are read: that of the first reading, until a person confirms another.

All times of the API are texts in the client's zone, so a zone that changes by itself would move everything.
"""

from __future__ import annotations

from typing import cast

from listbridge.campaign_monitor.errors import ZoneChanged
from listbridge.store import keys
from listbridge.store.store import Store

__all__ = ["ZoneChanged", "check", "confirm", "confirmed", "keep", "waiting"]


def keep(store: Store, client_id: str, found: str) -> None:
    """Read the client's times by this zone (an IANA name) from now on, unless there is one already."""
    store.client.hsetnx(keys.client_zone(client_id), "zone", found)


def check(store: Store, client_id: str, found: str) -> None:
    """Raises `ZoneChanged` when the client's zone is another one than that by which times are read."""
    held = confirmed(store, client_id)
    if held in ("", found):
        store.client.hdel(keys.client_zone(client_id), "found")
        return
    store.client.hset(keys.client_zone(client_id), "found", found)
    raise ZoneChanged(f"the client's time zone was {held} and is {found} now")


def confirmed(store: Store, client_id: str) -> str:
    """The zone by which the client's times are read; empty before the first reading."""
    return _held(store, client_id, "zone")


def waiting(store: Store, client_id: str) -> str:
    """The zone that was found last and is not confirmed; empty for none."""
    return _held(store, client_id, "found")


def confirm(store: Store, client_id: str, zone: str) -> None:
    """Read the client's times by this zone from now on."""
    name = keys.client_zone(client_id)
    store.client.hset(name, "zone", zone)
    store.client.hdel(name, "found")


def _held(store: Store, client_id: str, field: str) -> str:
    held = cast(bytes | None, store.client.hget(keys.client_zone(client_id), field))
    return held.decode() if held else ""
