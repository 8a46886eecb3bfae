"""Who may deliver: the receivers of imports, remembered for a few seconds to save a read per delivery."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from listbridge.campaign_monitor.webhooks import Receiver, digest, receiver
from listbridge.store.store import Store

KNOWN_SECONDS = 5.0
UNKNOWN_SECONDS = 1.0
"""A token that isn't known may be of a webhook that was made just now: it is looked up again after this."""
MAX_REMEMBERED = 1024
MAX_ID = 64

_NOBODY = Receiver(
    client_id="", client_name="", zone="UTC", lists={}, token="", tokens=[digest(secrets.token_urlsafe())]
)


class Receivers:
    """The receivers by workflow. `clock` answers seconds and never goes back."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._remembered: dict[str, tuple[float, Receiver | None]] = {}

    def admitted(self, workflow_id: str, token: str) -> Receiver | None:
        """The import's receiver if the token is one of its own, else None, whatever is wrong.

        An unknown import costs the same work as an unknown token. Raises `redis.RedisError`.
        """
        for max_age in (KNOWN_SECONDS, UNKNOWN_SECONDS):
            found = self._look(workflow_id, max_age)
            if (found or _NOBODY).admits(token):
                return found
        return None

    def _look(self, workflow_id: str, max_age: float) -> Receiver | None:
        if len(workflow_id) > MAX_ID:
            return None
        now = self._clock()
        at, found = self._remembered.get(workflow_id, (None, None))
        if at is None or now - at > max_age:
            found = receiver(self._store, workflow_id)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[workflow_id] = (now, found)
        return found
