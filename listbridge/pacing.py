"""One budget per account, shared by all workers: after a refusal for pace, nobody calls until it is over."""

from __future__ import annotations

import time

from listbridge.errors import Retriable
from listbridge.store import keys
from listbridge.store.store import Store

SHORT_WAIT_SECONDS = 2.0
DEFAULT_REST_SECONDS = 5.0
"""After a refusal that does not say how long to wait."""


class Paced(Retriable):
    """Nothing to do: the account's budget is used up for now and the workflow sleeps until it is back."""


class Pace:
    """The pace of one account. `account` is any name that all users of one budget share."""

    def __init__(self, store: Store, account: str) -> None:
        self._store = store
        self._key = keys.pace(account)

    def wait(self) -> None:
        """Return when a call may be made: at once, or after a short wait. Raises `Paced` for a long one."""
        while (left := self._store.client.pttl(self._key) / 1000) > 0:
            if left > SHORT_WAIT_SECONDS:
                problem = Paced(f"the account's calls are held back for {left:.0f} s more")
                problem.retry_after_seconds = left
                raise problem
            time.sleep(left)

    def hold(self, seconds: float | None) -> None:
        """The system refused for pace: nobody calls for so long. A longer rest that is under way stays."""
        rest = DEFAULT_REST_SECONDS if seconds is None else min(max(seconds, 0.1), 3600)
        self._store.client.set(self._key, "1", px=int(rest * 1000), nx=True)
        self._store.client.pexpire(self._key, int(rest * 1000), gt=True)
