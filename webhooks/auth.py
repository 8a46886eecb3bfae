"""The lock of `/v1` and `/metrics`: a configured token, checked before the body is read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable

from flask import request

from webhooks.errors import Refusal

_HEADERS = {"WWW-Authenticate": 'Bearer realm="listbridge"'}


def bearer_lock(tokens: Iterable[str], metrics_tokens: Iterable[str] = ()) -> Callable[[], None]:
    """A check to run before every request: `/v1` and `/metrics` need `Authorization: Bearer TOKEN`.

    `metrics_tokens` open `/metrics` and nothing else. All tokens are compared, each in constant time.
    Raises `Refusal` (401).
    """
    api = [_digest(token) for token in tokens]
    doors = {"v1": api, "metrics": [*api, *(_digest(token) for token in metrics_tokens)]}

    def check() -> None:
        valid = doors.get(request.path.split("/", 2)[1])
        if valid is None:
            return
        if not valid:
            raise Refusal(
                401, "no token is configured: set LISTBRIDGE_API_TOKENS to one or more", headers=_HEADERS
            )
        given = request.authorization
        if given is None or given.type != "bearer" or not given.token:
            raise Refusal(401, "send `Authorization: Bearer TOKEN`", headers=_HEADERS)
        offered = _digest(given.token)
        if not sum(hmac.compare_digest(offered, each) for each in valid):
            raise Refusal(401, "the token is not one of LISTBRIDGE_API_TOKENS", headers=_HEADERS)

    return check


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
