"""The client's suppression list, kept in the store: who must not be added to a list they were never in.

An import refuses a suppressed person who was in the list before (code 204). For one who never was,
sources disagree on whether the API adds them, so whoever is new to a list is looked up here first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.models import Page, SuppressedAddress
from listbridge.campaign_monitor.paging import pages
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

FRESH_MS = 30_000
WHOLE_MS = 6 * 3_600_000
"""How long until the whole list is read again, for those who were taken off it."""

# KEYS: set, new set, times; ARGV: now -> the new set takes the place of the old one
_REPLACE = """
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[1])
else
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[3], 'whole', ARGV[1], 'at', ARGV[1])
"""


class SuppressionList:
    """One client's suppressed addresses."""

    def __init__(self, store: Store, client: CampaignMonitor, client_id: str) -> None:
        self._store = store
        self._client = client
        self._client_id = client_id
        self._set = keys.suppressed(client_id, "addresses")
        self._new = keys.suppressed(client_id, "new")
        self._times = keys.suppressed(client_id, "times")

    def among(self, addresses: Sequence[str]) -> set[str]:
        """Those of the addresses that are suppressed, case aside; the list is at most half a minute old."""
        if not addresses:
            return set()
        self._refresh()
        held = self._store.client.smismember(self._set, [address.lower() for address in addresses])
        return {address for address, suppressed in zip(addresses, cast(list[int], held), strict=True) if suppressed}

    def _refresh(self) -> None:
        now = now_ms()
        at, whole = cast(list[bytes | None], self._store.client.hmget(self._times, ["at", "whole"]))
        if at is not None and now - int(at) < FRESH_MS:
            return
        if whole is None or now - int(whole) >= WHOLE_MS:
            self._read_whole(now)
        else:
            self._read_newest(now)

    def _read_whole(self, now: int) -> None:
        self._store.client.delete(self._new)
        for page in pages(self._fetch):
            self._add(self._new, page.results)
        self._store.script(_REPLACE, [self._set, self._new, self._times], [now])

    def _read_newest(self, now: int) -> None:
        """Newest first, until a page holds nobody who is new."""
        for page in pages(self._fetch):
            if not self._add(self._set, page.results):
                break
        self._store.client.hset(self._times, "at", now)

    def _fetch(self, number: int) -> Page[SuppressedAddress]:
        return self._client.suppression_list(
            self._client_id, page=number, order_field="date", order_direction="desc"
        )

    def _add(self, name: str, rows: Iterable[SuppressedAddress]) -> int:
        addresses = [row.email_address.lower() for row in rows]
        return self._store.client.sadd(name, *addresses) if addresses else 0
