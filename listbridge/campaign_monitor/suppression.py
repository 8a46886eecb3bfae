"""The client's suppression list, kept in the store: who must not be added to a list they were never in.

An import refuses a suppressed person who was in the list before (code 204). For one who never was,
sources disagree on whether the API adds them, so whoever is new to a list is looked up here first.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import cast

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.caller import MAX_PAGE_SIZE
from listbridge.campaign_monitor.errors import PagesInconsistent
from listbridge.campaign_monitor.models import Page, SuppressedAddress
from listbridge.campaign_monitor.paging import pages
from listbridge.profiles.commit import touch
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

NEWEST = 100
"""How many of the newest are asked for when the copy is brought up to date."""
WHOLE_MS = 600_000
"""How often at most the whole list is read again outside an import."""

# KEYS: set, what it held when the reading began, new set, times, who left; ARGV: now, total.
# Whoever another look has added meanwhile stays: they came after the reading, and may not be forgotten.
# Safe to repeat: both sets stay until they expire.
_REPLACE = """
local left = redis.call('SDIFF', KEYS[2], KEYS[3])
for first = 1, #left, 1000 do
  redis.call('SREM', KEYS[1], unpack(left, first, math.min(first + 999, #left)))
  redis.call('SADD', KEYS[5], unpack(left, first, math.min(first + 999, #left)))
end
redis.call('SUNIONSTORE', KEYS[1], KEYS[1], KEYS[3])
redis.call('EXPIRE', KEYS[2], 60)
redis.call('EXPIRE', KEYS[3], 60)
redis.call('HSET', KEYS[4], 'whole', ARGV[1], 'gap', ARGV[2] - redis.call('SCARD', KEYS[3]))
return #left
"""
MAX_READINGS = 10


def is_suppressed(store: Store, client_id: str, address: str) -> bool:
    """Does our copy of the client's list have the address, case aside?"""
    return bool(store.client.sismember(keys.suppressed(client_id, "addresses"), address.lower()))


class SuppressionList:
    """One client's suppressed addresses, in lower case."""

    def __init__(self, store: Store, client: CampaignMonitor, client_id: str) -> None:
        self._store = store
        self._client = client
        self._client_id = client_id
        self._set = keys.suppressed(client_id, "addresses")
        self._times = keys.suppressed(client_id, "times")
        self._left = keys.suppressed(client_id, "left")

    def among(self, addresses: Sequence[str]) -> set[str]:
        """Those of the addresses that are suppressed, case aside, as of now: one small call."""
        if not addresses:
            return set()
        self.refresh(whole_after_ms=WHOLE_MS)
        held = self._store.client.smismember(self._set, [address.lower() for address in addresses])
        answers = zip(addresses, cast(list[int], held), strict=True)
        return {address for address, suppressed in answers if suppressed}

    def refresh(self, *, whole_after_ms: int = 0) -> None:
        """Read who was added, newest first, and the whole list where the total says that somebody left.

        Who left is looked at again by every export.
        """
        now = now_ms()
        self._tell_who_left()
        whole, gap = cast(list[bytes | None], self._store.client.hmget(self._times, ["whole", "gap"]))
        if whole is None or gap is None:
            self._read_whole(now)
            return
        found = self._read_newest(int(gap))
        if found > int(gap):  # all was read, and the total counts more than there are
            self._store.client.hset(self._times, "gap", found)
        if found < int(gap) and now - int(whole) >= whole_after_ms:
            self._read_whole(now)

    def _read_whole(self, now: int) -> None:
        """Raises `PagesInconsistent` when the list never stood still for one reading."""
        for _ in range(MAX_READINGS):
            reading = secrets.token_hex(8)
            before, new = (keys.suppressed(self._client_id, f"{name}:{reading}") for name in ("old", "new"))
            self._store.client.sunionstore(before, [self._set])
            self._store.client.expire(before, 3600)
            totals = set()
            for page in pages(partial(self._fetch, size=MAX_PAGE_SIZE)):
                self._add(new, page)
                self._store.client.expire(new, 3600)
                totals.add(page.total_number_of_records)
            # Somebody who came or left between two pages has moved the others.
            if len(totals) == 1:
                names = [self._set, before, new, self._times, self._left]
                self._store.script(_REPLACE, names, [now, *totals])
                self._tell_who_left()
                return
        raise PagesInconsistent(f"the suppression list changed during each of {MAX_READINGS} readings")

    def _tell_who_left(self) -> None:
        """Those too whom a process that was killed had not told of."""
        left = [*cast(set[bytes], self._store.client.smembers(self._left))]
        if left:
            touch(self._store, [person.decode() for person in left])
            self._store.client.srem(self._left, *left)

    def _read_newest(self, gap: int) -> int:
        """Newest first, until a page holds nobody new and the stated total says that nobody is missing.

        (Many can be suppressed in one second, in any order.) -> how far the total is from what we hold.
        """
        found = gap
        for page in pages(partial(self._fetch, size=NEWEST)):
            new = self._add(self._set, page)
            found = page.total_number_of_records - self._store.client.scard(self._set)
            whole_page_is_new = new == len(page.results) > 0
            if (found == gap and not whole_page_is_new) or (not new and found < gap):
                break
        return found

    def _fetch(self, number: int, size: int) -> Page[SuppressedAddress]:
        return self._client.suppression_list(
            self._client_id, page=number, page_size=size, order_field="date", order_direction="desc"
        )

    def _add(self, name: str, page: Page[SuppressedAddress]) -> int:
        addresses = [row.email_address.lower() for row in page.results]
        return self._store.client.sadd(name, *addresses) if addresses else 0
