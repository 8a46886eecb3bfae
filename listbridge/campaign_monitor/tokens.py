"""The credential that calls are made with, as an authorization keeps it: an API key, or tokens that renew.

Many workers hold one token. Whoever finds it old renews it under a lease and stores the new one; the
others take what is stored then.
"""

from __future__ import annotations

import time
from threading import Lock

import msgspec

from listbridge import authorizations
from listbridge.authorizations import API_KEY, Authorization
from listbridge.campaign_monitor import oauth
from listbridge.campaign_monitor.errors import NetworkProblem, RetriableError
from listbridge.campaign_monitor.http import ApiKey, Auth
from listbridge.campaign_monitor.oauth import Tokens
from listbridge.secrets import Secrets
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms

EARLY_MS = 3_600_000
"""How long before it expires a token is renewed."""
LOOK_SECONDS = 0.1

_decode = msgspec.json.Decoder(Tokens).decode


def pack(tokens: Tokens) -> str:
    """What an authorization keeps, encrypted, of tokens."""
    return msgspec.json.encode(tokens).decode()


def auth_of(store: Store, box: Secrets, held: Authorization, timeouts: tuple[float, float]) -> Auth:
    """What identifies us by this authorization."""
    if held.credential == API_KEY:
        return ApiKey(box.decrypt(held.secret))
    return StoredToken(store, box, held, timeouts)


class StoredToken:
    """A token that is renewed before it expires, and when the service finds that it has; for all threads."""

    def __init__(
        self, store: Store, box: Secrets, held: Authorization, timeouts: tuple[float, float]
    ) -> None:
        self._store = store
        self._box = box
        self._held = held
        self._timeouts = timeouts
        self._tokens = self._read(held)
        self._lock = Lock()

    def authorization(self) -> str:
        """The header's value. Raises as `renew` when the token has expired and can't be renewed."""
        if now_ms() < self._tokens.expires_at - EARLY_MS:
            return self._header()
        try:
            return self.renew(self._header())
        except RetriableError:
            if now_ms() >= self._tokens.expires_at:
                raise
            return self._header()

    def renew(self, used: str) -> str:
        """The header's value after `used`, which is old; one caller renews, the others wait for it.

        Raises `AccessWithdrawn`, `NoSuchAuthorization`, `NetworkProblem` and `ServerProblem`.
        """
        with self._lock:
            milliseconds = int(sum(self._timeouts) * 1000) + 2000
            deadline = time.monotonic() + milliseconds / 1000
            while True:
                if self._take_stored() != used:
                    return self._header()
                lease = Lease(self._store, f"oauth:{self._held.id}", milliseconds)
                if lease.acquire():
                    try:
                        return self._renewed(used)
                    finally:
                        lease.release()
                if time.monotonic() > deadline:
                    raise NetworkProblem("another worker renews the token, and it takes long")
                time.sleep(LOOK_SECONDS)

    def _renewed(self, used: str) -> str:
        if self._take_stored() != used:
            return self._header()
        fresh = oauth.refresh(self._held.base_url, self._tokens.refresh_token, timeouts=self._timeouts)
        authorizations.replace_secret(self._store, self._box, self._held, pack(fresh))
        self._take_stored()
        return self._header()

    def _take_stored(self) -> str:
        """Use what is stored now; -> the header's value. Raises `NetworkProblem` when that is no token: the
        next attempt uses it."""
        held = authorizations.get(self._store, self._held.id)
        if held.credential == API_KEY:
            raise NetworkProblem("an API key has taken the place of the token")
        if held != self._held:
            self._held, self._tokens = held, self._read(held)
        return self._header()

    def _read(self, held: Authorization) -> Tokens:
        return _decode(self._box.decrypt(held.secret))

    def _header(self) -> str:
        return f"Bearer {self._tokens.access_token}"
