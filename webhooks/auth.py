"""The lock of `/v1` and `/metrics`: a configured token, checked before the body is read."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable

from flask import request

from settings import HASHED
from webhooks.errors import Refusal
from webhooks.slowing import Slowing, network_of

_HEADERS = {"WWW-Authenticate": 'Bearer realm="listbridge"'}


def bearer_lock(
    tokens: Iterable[str], metrics_tokens: Iterable[str] = (), slowing: Slowing | None = None
) -> Callable[[], None]:
    """A check to run before every request: `/v1` and `/metrics` need `Authorization: Bearer TOKEN`.

    `metrics_tokens` open `/metrics` and nothing else. A token may be given as `sha256:` and its sum. All are
    compared, each in constant time; who shows many wrong ones is slowed down. Raises `Refusal` (401, 429).
    """
    slowing = slowing or Slowing()
    api = [_configured(token) for token in tokens]
    doors = {"v1": api, "metrics": [*api, *(_configured(token) for token in metrics_tokens)]}

    def check() -> None:
        valid = doors.get(request.path.split("/", 2)[1])
        if valid is None:
            return
        if not valid:
            raise Refusal(
                401, "no token is configured: set LISTBRIDGE_API_TOKENS to one or more", headers=_HEADERS
            )
        # Werkzeug takes a token with = inside for a list of parameters.
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(401, "send `Authorization: Bearer TOKEN`", headers=_HEADERS)
        offered, address = _digest(token.strip()), network_of(request.remote_addr or "")
        if rest := slowing.rest_seconds(address, offered):
            seconds = str(math.ceil(rest))
            raise Refusal(
                429, "too many wrong tokens came from your address", headers={"Retry-After": seconds}
            )
        if not sum(hmac.compare_digest(offered, each) for each in valid):
            slowing.wrong(address)
            raise Refusal(401, "the token is not one of LISTBRIDGE_API_TOKENS", headers=_HEADERS)
        slowing.right(address, offered)

    return check


def _configured(token: str) -> bytes:
    """The sum of a token of the settings."""
    return bytes.fromhex(token.removeprefix(HASHED)) if token.startswith(HASHED) else _digest(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
