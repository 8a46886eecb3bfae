"""One HTTP call to the API: who calls, with which timeouts, and what is known when it fails."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from .. import __version__
from ..logs import without_addresses
from . import clock
from .answers import Answer, epoch_ms_of, is_write
from .errors import ApiError, AuthenticationError, InvalidRequest, NetworkProblem

T = TypeVar("T")
Query = Mapping[str, str | int | bool | None]

_CHUNK_BYTES = 1 << 16
OLD_TOKEN = frozenset({120, 121})
"""Codes of tokens that have expired, or that a renewal elsewhere has ended."""
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,  # refused, unreachable, or the name is unknown
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    ssl.SSLCertVerificationError,
)


class Auth(Protocol):
    """What identifies us: the value of the Authorization header, asked for at each call.

    `renew` is asked when the service found that the value `used` has expired or is unknown: it answers
    another one, with which the call is repeated once, or the same.
    """

    def authorization(self) -> str: ...

    def renew(self, used: str) -> str: ...


@dataclass(frozen=True)
class ApiKey:
    """An account's or client's API key, sent as the user name of Basic authentication."""

    key: str = field(repr=False)

    def authorization(self) -> str:
        """The header's value; the password is ignored by the service."""
        return "Basic " + b64encode(f"{self.key}:x".encode()).decode("ascii")

    def renew(self, used: str) -> str:
        """There is no other one."""
        return used


@dataclass(frozen=True)
class CallRecord:
    """A call that ended. `status` is None when no answer came, `headers` are empty then.

    `endpoint` is the template (`POST /subscribers/{list}/import`); `error` is what the caller got.
    """

    endpoint: str
    status: int | None
    seconds: float
    headers: Mapping[str, str] = field(repr=False)
    error: ApiError | None


BeforeCall = Callable[[str], None]
AfterCall = Callable[[CallRecord], None]


class Transport:
    """Makes calls, each thread over its own session. Nothing is retried and no redirect is followed."""

    def __init__(
        self,
        auth: Auth,
        base_url: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        before_call: BeforeCall | None,
        after_call: AfterCall | None,
    ) -> None:
        self.clock_offset_ms: int | None = None
        self._auth = auth
        self._base_url = base_url.rstrip("/")
        self._timeouts = (connect_timeout, read_timeout)
        self._before_call = before_call
        self._after_call = after_call
        self._local = threading.local()

    def call(
        self,
        endpoint: str,
        ids: tuple[str, ...],
        query: Query,
        body: bytes | None,
        read: Callable[[Answer], T],
    ) -> T:
        """Send `endpoint` with its ids filled in; return what `read` makes of the answer.

        Raises `NetworkProblem` and what `read`, `before_call` and the credential raise; when one of the last
        two raises, nothing is sent. `after_call` sees every call that was tried. A call whose token had
        expired was not applied, and is repeated with a renewed one.
        """
        url = self._base_url + path_of(endpoint, ids) + query_of(query)
        authorization = self._auth.authorization()
        try:
            return self._call(endpoint, url, body, authorization, read)
        except AuthenticationError as problem:
            if problem.code not in OLD_TOKEN:
                raise
            renewed = self._auth.renew(authorization)
            if renewed == authorization:
                raise
        return self._call(endpoint, url, body, renewed, read)

    def _call(
        self, endpoint: str, url: str, body: bytes | None, authorization: str, read: Callable[[Answer], T]
    ) -> T:
        if self._before_call:
            self._before_call(endpoint)
        started = time.monotonic()
        answer: Answer | None = None
        error: ApiError | None = None
        try:
            answer = self._send(endpoint, url, body, authorization)
            return read(answer)
        except ApiError as problem:
            error = problem
            raise
        finally:
            if self._after_call:
                headers = answer.headers if answer else {}
                status = answer.status if answer else None
                seconds = time.monotonic() - started
                self._after_call(CallRecord(endpoint, status, seconds, headers, error))

    def _send(self, endpoint: str, url: str, body: bytes | None, authorization: str) -> Answer:
        try:
            with self._session().request(
                endpoint.partition(" ")[0],
                url,
                data=body,
                headers={"Content-Type": "application/json; charset=utf-8"} if body else None,
                auth=_Authorization(authorization),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                self._note_clock(response.headers.get("Date"))
                content = _read_body(response.raw, time.monotonic() + self._timeouts[1])
                return Answer(endpoint, response.status_code, response.headers, content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
            # Not chained: the text of these errors holds the URL, which may hold an address.
            raise network_problem(endpoint, problem) from None

    def _session(self) -> requests.Session:
        # A forked child must not write to its parent's connections.
        if getattr(self._local, "process", None) != os.getpid():
            self._local.process = os.getpid()
            self._local.session = _new_session()
        session: requests.Session = self._local.session
        return session

    def close(self) -> None:
        """Close the calling thread's connections; other threads' close when their thread ends."""
        if getattr(self._local, "process", None) == os.getpid():
            self._local.session.close()
            self._local.process = None

    def _note_clock(self, date: str | None) -> None:
        server_ms = epoch_ms_of(date)
        if server_ms is not None:
            self.clock_offset_ms = clock.hear(self._base_url, server_ms)

    @property
    def known_offset_ms(self) -> int | None:
        """The service's clock minus ours by the last answer that any client of this process had, if our
        clock was not moved since."""
        return clock.offset_ms(self._base_url)


class _Authorization(AuthBase):
    """Set on each request, so that a .netrc file is never consulted."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _new_session() -> requests.Session:
    session = requests.Session()
    session.headers.update({"User-Agent": f"listbridge/{__version__}", "Accept": "application/json"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    return session


def _read_body(raw: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The whole body. `requests` times each read only, so that a trickle would never end."""
    parts = []
    while part := raw.read1(_CHUNK_BYTES, decode_content=True):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer took longer than the read timeout")
    return b"".join(parts)


# Requests


def path_of(endpoint: str, ids: tuple[str, ...]) -> str:
    """The path of `GET /lists/{list}/stats` with its ids filled in: `/lists/1f.../stats.json`.

    Raises `InvalidRequest` for an id that would make another path.
    """
    path, rest = "", iter(ids)
    for part in endpoint.partition(" ")[2].split("/")[1:]:
        path += "/" + (_quoted(next(rest), part, endpoint) if part.startswith("{") else part)
    return path + ".json"


def _quoted(value: str, name: str, endpoint: str) -> str:
    if not value.strip(". "):
        raise InvalidRequest(f"the id of {name} is empty", endpoint=endpoint)
    return quote(value, safe="")


def query_of(query: Query) -> str:
    """`?name=value&…` of what is not None; `+` and `@` are percent-encoded."""
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return f"?{urlencode(given, quote_via=quote, safe='')}" if given else ""


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# Failures


def network_problem(endpoint: str, problem: BaseException) -> NetworkProblem:
    """The error for a call without a whole answer: did it reach the service, perhaps?"""
    causes = _causes(problem)
    sent = not any(isinstance(cause, _NOT_SENT) for cause in causes)
    names = " from ".join(dict.fromkeys(type(cause).__name__ for cause in causes))
    what = "the connection failed or was cut" if sent else "no connection"
    return NetworkProblem(
        f"{what} ({names})", endpoint=endpoint, may_have_been_applied=sent and is_write(endpoint)
    )


def _causes(problem: BaseException | None) -> list[BaseException]:
    """The error and what it was made from; urllib3 keeps that in `reason` or among the arguments.

    `__context__` is not followed: it may be an older failure that the caller is just handling.
    """
    found: list[BaseException] = []
    waiting = [problem]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [getattr(cause, "reason", None), cause.__cause__, *cause.args]
    return found


class _NoAddresses(logging.Filter):
    """urllib3 warns of unreadable headers with the whole URL, which may hold an address."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            record.msg, record.args = without_addresses(record.getMessage()), ()
            record.exc_info = None
        return True


logging.getLogger("urllib3.connection").addFilter(_NoAddresses())
