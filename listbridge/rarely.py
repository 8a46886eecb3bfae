"""Questions that cost a round trip, asked less often than their answers are needed."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rarely:
    """A yes or no that is asked at most every so many seconds; between, the last answer holds.

    Threads may share it: two that ask at the same time both ask.
    """

    def __init__(self, ask: Callable[[], bool], seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self._answer, self._until = False, 0.0

    def __call__(self) -> bool:
        return self._answer if time.monotonic() < self._until else self.now()

    def now(self) -> bool:
        """Ask, whatever was answered before."""
        self._answer = self._ask()
        self._until = time.monotonic() + self._seconds
        return self._answer
