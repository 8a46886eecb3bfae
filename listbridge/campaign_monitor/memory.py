"""What was read of a client's mailings and is good for a while: kept beside the cursors, for all imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from listbridge.campaign_monitor.mailings import Counted
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

T = TypeVar("T")
_ASKED = "asked_again_at"


class Memory:
    """Facts about one client's mailings, by name; everything in it can be read again."""

    def __init__(self, store: Store, client_id: str) -> None:
        self._store = store
        self._name = keys.remembered(client_id)

    def lists(self, campaign_id: str, read: Callable[[], frozenset[str]]) -> frozenset[str]:
        """The lists that a campaign went to, in whole or in part: that does not change once it is sent."""
        field = f"lists:{campaign_id}"
        held = self._get(field, frozenset[str])
        if held is None:
            held = read()
            self._set(field, sorted(held))
        return held

    def counts(self, field: str, good_since: int, read: Callable[[], Counted]) -> Counted:
        """The counts of a summary, read again unless they are from after `good_since` (epoch ms).

        What was read after this moment was read by a clock that has been put right since: by then nobody
        knows when.
        """
        held = self._get(field, Counted)
        if held is None or not good_since < held.at <= now_ms():
            held = read()
            self._set(field, held)
        return held

    def asked_again_at(self) -> int:
        """Since when no older counts are good, because a person wants to know now (epoch ms; 0: never)."""
        return self._get(_ASKED, int) or 0

    def ask_again(self, now: int) -> None:
        """Have all summaries read by the next run."""
        self._set(_ASKED, now)

    def _get(self, field: str, kind: type[T]) -> T | None:
        held = cast(bytes | None, self._store.client.hget(self._name, field))
        return msgspec.json.decode(held, type=kind) if held else None

    def _set(self, field: str, value: object) -> None:
        self._store.client.hset(self._name, field, msgspec.json.encode(value))
