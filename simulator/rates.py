"""The limit of calls: fixed windows, as switched on by `Switches.rate_limit`."""

from __future__ import annotations

import threading
import time

from simulator.switches import Switches


class RateLimit:
    """Counts the calls of the account in the present window; a refused call counts for nothing."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._lock = threading.Lock()
        self._window = -1
        self._calls = 0

    def take(self) -> tuple[bool, dict[str, str]]:
        """Whether one more call is allowed now, and the X-RateLimit headers of its answer, if switched on."""
        limit, seconds = self._switches.rate_limit, self._switches.rate_window_seconds
        if limit == 0:
            return True, {}
        with self._lock:
            now = time.monotonic()
            window = int(now / seconds)
            if window != self._window:
                self._window, self._calls = window, 0
            allowed = self._calls < limit
            self._calls += allowed
            left = max(limit - self._calls, 0)
        if not self._switches.rate_headers:
            return allowed, {}
        reset = (window + 1) * seconds - now
        return allowed, {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": f"{reset:.3f}",
        }
