"""Every error as JSON: `{"error": {"status", "message", "faults"?: [{"path", "message"}]}}`.

A caller who is wrong gets 4xx and what would be right; when the store can't be used the answer is
503 with Retry-After, because senders read that as "try again later". No log line holds a path or the
text of an unexpected error: both can hold tokens and addresses.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, request
from redis import RedisError
from werkzeug.exceptions import HTTPException

from listbridge.audiences import Fault
from listbridge.authorizations import NoSuchAuthorization
from listbridge.errors import Retriable, SystemProblem
from listbridge.secrets import NoEncryptionKey, WrongEncryptionKey
from listbridge.store.store import StoreError
from listbridge.workflows.registry import NoSuchWorkflow, NotAllowed
from listbridge.workflows.service import FieldNameTaken
from webhooks.answers import answer

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5

STATUSES: Mapping[type[Exception], int] = {
    NoSuchWorkflow: 404,
    NoSuchAuthorization: 404,
    NotAllowed: 409,
    FieldNameTaken: 409,
    NoEncryptionKey: 500,
    WrongEncryptionKey: 500,
    StoreError: 500,
    Retriable: 503,
    SystemProblem: 502,
}
"""The domain's errors whose message is for the caller -> HTTP status."""

_MESSAGES: Mapping[int, str] = {
    404: "there is nothing at this address",
    405: "this address has other methods: see Allow",
    413: "the body is larger than LISTBRIDGE_MAX_BODY_BYTES: send fewer events at once",
}
"""What Flask itself refuses -> why, where its own words are about browsers."""


class Refusal(Exception):
    """What was asked can't be done; the message, and the faults where there are some, say what is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.faults = list(faults)
        self.headers = dict(headers or {})


def register(app: Flask) -> None:
    """Answer every exception of a view as JSON."""
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(HTTPException, http_exception)
    app.register_error_handler(RedisError, _store_problem)
    app.register_error_handler(Exception, _unexpected)
    for kind in STATUSES:
        app.register_error_handler(kind, _known)


def error_response(
    status: int,
    message: str,
    faults: Iterable[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {"status": status, "message": message}
    if listed := list(faults):
        body["faults"] = listed
    return answer({"error": body}, status, headers)


def http_exception(error: HTTPException) -> Response:
    """What Flask itself refuses: no such path or method, a body that is too large."""
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    status = error.code or 500
    message = _MESSAGES.get(status) or error.description or error.name
    return error_response(status, message, headers=headers)


def _refusal(error: Refusal) -> Response:
    return error_response(error.status, error.message, error.faults, error.headers)


def _known(error: Exception) -> Response:
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    return error_response(status, str(error), headers=headers)


def _store_problem(error: RedisError) -> Response:
    logger.error("the store can't be used: %s, for %s", type(error).__name__, _what())
    logger.debug("the store's error", exc_info=error)
    return error_response(
        503,
        "the store can't be used now; nothing is lost if you send this again",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _unexpected(error: Exception) -> Response:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.name}, line {last.lineno} of {last.filename.rpartition('/')[2]}"
    logger.error("%s failed: %s in %s", _what(), type(error).__name__, place)
    logger.debug("the unexpected error", exc_info=error)
    return error_response(500, "something unexpected happened; the log says where")


def _what() -> str:
    """The request without what stands in its path: the method and the route's template."""
    return f"{request.method} {request.url_rule or 'an unknown path'}"
