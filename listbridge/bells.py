"""Bells: a flag that says work was asked for and not begun, so that a burst asks once.

A message that was lost leaves its flag set; the sweep asks again by looking at the state itself.
"""

from __future__ import annotations

from listbridge.store import keys
from listbridge.store.store import Store

LIFE_MS = 60_000


def ring(store: Store, what: str) -> bool:
    """True when nobody rang since the bell was last cleared: then a task must be sent."""
    return bool(store.client.set(keys.bell(what), "1", nx=True, px=LIFE_MS))


def clear(store: Store, what: str) -> bool:
    """Clear the bell before looking for work; -> had it been rung?"""
    return bool(store.client.delete(keys.bell(what)))


def is_rung(store: Store, what: str) -> bool:
    return bool(store.client.exists(keys.bell(what)))
