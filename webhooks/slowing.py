"""Slowing down who tries tokens: after many wrong ones, an address is refused unread for a while.

Behind a proxy everybody has one address, so who has shown a right token from there lately goes on being
heard. It is kept by each process for itself, for a bounded number of addresses.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Network, ip_address
from threading import Lock

WRONG_TOKENS = 20
WINDOW_SECONDS = 60.0
KNOWN_SECONDS = 3600.0
MOST_ADDRESSES = 4096


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, and of IPv6 the /64, which one customer has to himself."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))


class Slowing:
    """Counts wrong tokens by address. `clock` answers seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Address -> when its count began, and the wrong tokens since."""
        self._known: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        """Address and hash of a right token -> when it was shown last."""

    def rest_seconds(self, address: str, offered: bytes) -> float:
        """For how long a token (its hash) from an address is not looked at; 0: look."""
        now = self._clock()
        with self._lock:
            began, count = self._wrong.get(address, (now, 0))
            left = began + WINDOW_SECONDS - now
            if count < WRONG_TOKENS or left <= 0:
                return 0.0
            shown = self._known.get((address, offered))
            return left if shown is None or now - shown > KNOWN_SECONDS else 0.0

    def wrong(self, address: str) -> None:
        """A wrong token came."""
        now = self._clock()
        with self._lock:
            began, count = self._wrong.pop(address, (now, 0))
            if now - began >= WINDOW_SECONDS:
                began, count = now, 0
            self._wrong[address] = began, count + 1
            _keep_bounded(self._wrong)

    def right(self, address: str, offered: bytes) -> None:
        """A right one came."""
        with self._lock:
            self._known[address, offered] = self._clock()
            self._known.move_to_end((address, offered))
            _keep_bounded(self._known)


def _keep_bounded(held: OrderedDict[str, tuple[float, int]] | OrderedDict[tuple[str, bytes], float]) -> None:
    while len(held) > MOST_ADDRESSES:
        held.popitem(last=False)
