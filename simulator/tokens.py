"""OAuth 2 tokens: codes, access tokens of 14 simulated days, refresh tokens that stay."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from simulator.clock import Clock
from simulator.errors import ApiError

LIFETIME = timedelta(days=14)


class Tokens:
    """The codes and tokens that were given out."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock, self._seed = clock, seed
        self._lock = threading.Lock()
        self._given = 0
        self._codes: set[str] = set()
        self._refresh: set[str] = set()
        self._expires: dict[str, datetime | None] = {}

    def _new(self, kind: str) -> str:
        self._given += 1
        return f"{kind}-{self._seed}-{self._given:06}"

    def code(self) -> str:
        """A code that can be exchanged once."""
        with self._lock:
            code = self._new("code")
            self._codes.add(code)
            return code

    def exchange(self, code: str) -> dict[str, object] | None:
        """The first tokens for a code, or None for a wrong one."""
        with self._lock:
            if code not in self._codes:
                return None
            self._codes.remove(code)
            refresh_token = self._new("refresh")
            self._refresh.add(refresh_token)
            return self._issue(refresh_token)

    def refresh(self, refresh_token: str) -> dict[str, object] | None:
        """A new access token, or None for a wrong refresh token."""
        with self._lock:
            return self._issue(refresh_token) if refresh_token in self._refresh else None

    def _issue(self, refresh_token: str) -> dict[str, object]:
        access_token = self._new("access")
        self._expires[access_token] = self._clock.now() + LIFETIME
        seconds = int(LIFETIME.total_seconds())
        return {"access_token": access_token, "expires_in": seconds, "refresh_token": refresh_token}

    def revoke(self) -> None:
        """Revoke all tokens, as the account's holder may."""
        with self._lock:
            self._refresh.clear()
            self._expires = dict.fromkeys(self._expires)

    def check(self, access_token: str) -> None:
        """Raises `ApiError` 120 for an unknown token, 121 for an expired and 122 for a revoked one."""
        with self._lock:
            if access_token not in self._expires:
                raise ApiError(120)
            expires = self._expires[access_token]
        if expires is None:
            raise ApiError(122)
        if expires <= self._clock.now():
            raise ApiError(121)
