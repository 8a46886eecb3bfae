"""OAuth 2 of Campaign Monitor: where a person grants access, and how tokens are had and renewed.

The application is the user's own, registered in their account. Sources: the API's documentation and the
official client; there is no PKCE, and a refresh takes no client id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import Empty, Queue
from threading import Thread
from typing import TypeVar, cast
from urllib.parse import urlencode

import msgspec
import requests
import urllib3

from listbridge.campaign_monitor.errors import AccessWithdrawn, ServerProblem
from listbridge.campaign_monitor.http import network_problem

SCOPES = ("ManageLists", "ImportSubscribers", "ViewReports", "ViewSubscribersInReports")
"""What reading lists and activity and writing people needs; segments, fields and webhooks are ManageLists."""

TOKEN = "POST /oauth/token"  # noqa: S105 - an endpoint
_MAX_ANSWER_BYTES = 65_536

T = TypeVar("T")


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, when it expires (epoch ms), and what renews it."""

    access_token: str
    refresh_token: str
    expires_at: int


class _Answer(msgspec.Struct):
    access_token: str
    refresh_token: str
    expires_in: float = 1_209_600


class _Refused(msgspec.Struct):
    error: str
    error_description: str = ""


def authorize_url(base_url: str, client_id: str, redirect_uri: str, state: str) -> str:
    """Where a person grants access; they come back to `redirect_uri` with `code` and `state`."""
    query = {
        "type": "web_server",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": ",".join(SCOPES),
        "state": state,
    }
    return f"{root_of(base_url)}/oauth?{urlencode(query)}"


def exchange(
    base_url: str,
    *,
    client_id: str,
    client_secret: str,
    redirect_uri: str,
    code: str,
    timeouts: tuple[float, float],
) -> Tokens:
    """The first tokens, for a code, which works once. Raises as `refresh`."""
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": client_secret,
        "redirect_uri": redirect_uri,
        "code": code,
    }
    return _tokens(base_url, form, timeouts)


def refresh(base_url: str, refresh_token: str, *, timeouts: tuple[float, float]) -> Tokens:
    """New tokens. Raises `AccessWithdrawn` when they aren't given, `NetworkProblem`, `ServerProblem`."""
    return _tokens(base_url, {"grant_type": "refresh_token", "refresh_token": refresh_token}, timeouts)


def root_of(base_url: str) -> str:
    """`https://api.createsend.com` of the API's `https://api.createsend.com/api/v3.3`."""
    return base_url.rstrip("/").partition("/api/")[0]


def _tokens(base_url: str, form: Mapping[str, str], timeouts: tuple[float, float]) -> Tokens:
    """The whole call takes no longer than both timeouts together, whatever trickles in."""
    status, body = within(sum(timeouts), lambda: _answer(base_url, form, timeouts))
    if status == 200:
        try:
            given = msgspec.json.decode(body, type=_Answer, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        else:
            expires_at = time.time_ns() // 1_000_000 + int(given.expires_in * 1000)
            return Tokens(
                access_token=given.access_token, refresh_token=given.refresh_token, expires_at=expires_at
            )
    raise _refusal(status, body)


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call answers in the time. One that takes longer is left to itself, and nobody hears of it.

    Raises `NetworkProblem` then. Timeouts of a connection only bound each of its reads.
    """
    ended: Queue[tuple[T | None, BaseException | None]] = Queue()

    def run() -> None:
        try:
            ended.put((call(), None))
        except BaseException as problem:
            ended.put((None, problem))

    Thread(target=run, name="oauth", daemon=True).start()
    try:
        answer, problem = ended.get(timeout=seconds)
    except Empty:
        late = TimeoutError("the answer took longer than both timeouts")
        raise network_problem(TOKEN, late) from None
    if problem is not None:
        raise problem
    return cast(T, answer)


def _answer(base_url: str, form: Mapping[str, str], timeouts: tuple[float, float]) -> tuple[int, bytes]:
    """Status and body. Raises `NetworkProblem`."""
    try:
        with (
            requests.Session() as session,
            session.post(
                f"{root_of(base_url)}/oauth/token",
                data=form,
                auth=_no_password_file,
                timeout=timeouts,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            return response.status_code, response.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
        # Not chained: the text of these errors can hold what was sent.
        raise network_problem(TOKEN, problem) from None


def _refusal(status: int, body: bytes) -> AccessWithdrawn | ServerProblem:
    """Only words that say no are a no: a proxy's page, whatever its status, is tried again."""
    try:
        refused = msgspec.json.decode(body, type=_Refused)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ServerProblem("the answer is no token", endpoint=TOKEN, status=status)
    if status >= 500 or status == 429:
        return ServerProblem(refused.error, endpoint=TOKEN, status=status)
    return AccessWithdrawn(refused.error_description or refused.error, endpoint=TOKEN, status=status)


def _no_password_file(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication by the form alone: without it, requests would look into a .netrc file."""
    return request
