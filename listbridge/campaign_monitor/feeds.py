"""How current what we know of opt-outs is: when an import last read everybody who left a list."""

from __future__ import annotations

from listbridge.imports.engine import cursors
from listbridge.store.store import Store

LEFT_STATES = ("unsubscribed", "bounced", "deleted")


def opt_outs_read_at(store: Store, client_id: str, list_id: str) -> int | None:
    """When all states of people who left were last read to their end (epoch ms); None for never."""
    held = cursors(store, client_id)
    times = [held[name].finished_at if name in held else 0 for name in _names(list_id)]
    return min(times) or None


def _names(list_id: str) -> list[str]:
    return [f"list:{list_id}:{state}" for state in LEFT_STATES]
