"""From an HTTP answer to a value or an error. Pure: nothing here talks to the network."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from ..logs import without_addresses
from .codes import WRITES_OF_ONE_ADDRESS, decide
from .errors import (
    AddressTooFast,
    ApiError,
    RateLimited,
    RetriableError,
    UnreadableAnswer,
)
from .models import Page, UnreadableRow

T = TypeVar("T")

MAX_RETRY_AFTER_SECONDS = 86_400.0
MAX_LIMIT = 1e9
_PREVIEW_LENGTH = 80
_TEXT_VALUE = re.compile(r'(:\s*)"(?:[^"\\]|\\.)*"?')


@dataclass(frozen=True)
class Answer:
    """An HTTP answer to the call `endpoint`; `headers` are looked up without regard to case."""

    endpoint: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_write(self) -> bool:
        """True when the call can have changed something."""
        return is_write(self.endpoint)


def is_write(endpoint: str) -> bool:
    """True for every method but GET."""
    return not endpoint.startswith("GET ")


class ErrorBody(msgspec.Struct, rename="pascal"):
    """`{"Code", "Message"[, "ResultData"]}`, the body of every error of the API."""

    code: int
    message: str | None = ""
    result_data: msgspec.Raw = msgspec.Raw()


# Errors


def error_of(answer: Answer) -> ApiError | None:
    """The error that the answer is, or None when its status is 2xx."""
    if 200 <= answer.status < 300:
        return None
    body = error_body(answer)
    kind = decide(answer.status, body.code if body else None)
    if kind is RateLimited and answer.endpoint in WRITES_OF_ONE_ADDRESS and not _tells_limit(answer.headers):
        kind = AddressTooFast
    error = kind(
        body.message or "no message" if body else _unexplained(answer),
        endpoint=answer.endpoint,
        status=answer.status,
        code=body.code if body else None,
        may_have_been_applied=answer.is_write and answer.status >= 500,
        result_data=msgspec.json.decode(body.result_data) if body and body.result_data else None,
    )
    if isinstance(error, RetriableError):
        error.retry_after_seconds = retry_after_seconds(answer.headers)
    return error


def error_body(answer: Answer) -> ErrorBody | None:
    """The answer's error body, or None when it is not one (a proxy's page, say)."""
    try:
        body: ErrorBody = _decoder(ErrorBody).decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return body


def _unexplained(answer: Answer) -> str:
    reason = next((status.phrase for status in HTTPStatus if status == answer.status), "an unknown status")
    return f"{reason}, {described(answer)}"


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the answer asks to wait, or None when it doesn't say.

    `X-RateLimit-Reset` is in seconds from now (documented for transactional e-mail only);
    `Retry-After`, which only a proxy would send, may also be a date, relative to the answer's own.
    When both come the longer counts. Values that are not a time within a day are passed over.
    """
    waits = [_seconds(headers.get("X-RateLimit-Reset")), _retry_after(headers)]
    known = [wait for wait in waits if wait is not None and 0 <= wait <= MAX_RETRY_AFTER_SECONDS]
    return max(known, default=None)


def _tells_limit(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name) for name in ("X-RateLimit-Limit", "X-RateLimit-Reset", "Retry-After"))


def quota_of(headers: Mapping[str, str]) -> tuple[int, int, float] | None:
    """The X-RateLimit headers: calls a window, calls left, seconds until it ends.

    None unless all three are there and make sense.
    """
    limit, left = _seconds(headers.get("X-RateLimit-Limit")), _seconds(headers.get("X-RateLimit-Remaining"))
    reset = _seconds(headers.get("X-RateLimit-Reset"))
    if limit is None or left is None or reset is None:
        return None
    if not (1 <= limit <= MAX_LIMIT and 0 <= left <= limit and 0 <= reset <= MAX_RETRY_AFTER_SECONDS):
        return None
    return int(limit), int(left), reset


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After")
    seconds = _seconds(text)
    if seconds is not None or not text:
        return seconds
    until, now = epoch_ms_of(text), epoch_ms_of(headers.get("Date"))
    return (until - now) / 1000 if until is not None and now is not None else None


def epoch_ms_of(http_date: str | None) -> int | None:
    """The time of an HTTP date header as epoch milliseconds, or None when it is none."""
    if not http_date:
        return None
    try:
        return int(parsedate_to_datetime(http_date).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


# Values


def decode(answer: Answer, shape: type[T], body: bytes | None = None) -> T:
    """The answer's body (or the part of it given) as `shape`. Raises `UnreadableAnswer`."""
    try:
        value: T = _decoder(shape).decode(answer.body if body is None else body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise unreadable(answer, str(problem)) from None
    return value


def decode_page(answer: Answer, row: type[T]) -> Page[T]:
    """The answer as a page of `row`. Rows of another shape are set aside in `Page.unreadable`.

    Raises `UnreadableAnswer` when the page itself is not of its shape.
    """
    try:
        page: Page[T] = _decoder(Page[row]).decode(answer.body)  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_rows(decode(answer, Page[msgspec.Raw]), row)
    return page


def _decode_rows(page: Page[msgspec.Raw], row: type[T]) -> Page[T]:
    results: list[T] = []
    set_aside: list[UnreadableRow] = []
    for raw in page.results:
        try:
            results.append(_decoder(row).decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            set_aside.append(UnreadableRow(bytes(raw), without_addresses(str(problem))))
    fields = {name: getattr(page, name) for name in page.__struct_fields__}
    return Page[T](**{**fields, "results": results, "unreadable": tuple(set_aside)})


def unreadable(answer: Answer, problem: str) -> UnreadableAnswer:
    """The error for an answer with a 2xx status that is not what the API is documented to send."""
    return UnreadableAnswer(
        f"{problem}; {described(answer)}",
        endpoint=answer.endpoint,
        status=answer.status,
        may_have_been_applied=answer.is_write,
    )


def described(answer: Answer) -> str:
    """The answer's type, size and beginning, without anything that a person could be known by."""
    kind = answer.headers.get("Content-Type", "no content type")
    return f"{len(answer.body)} bytes of {kind}: {preview(answer.body)}"


def preview(body: bytes) -> str:
    """The first characters of a body. Addresses and the text values of JSON are left out."""
    text = body[: 4 * _PREVIEW_LENGTH].decode("utf-8", "replace")
    shown = " ".join(without_addresses(_TEXT_VALUE.sub(r'\1"…"', text)).split())
    return repr(shown[:_PREVIEW_LENGTH])


def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return _cached_decoder(shape)


@lru_cache(maxsize=256)
def _cached_decoder(shape: Hashable) -> msgspec.json.Decoder[Any]:
    # Not strict: numbers come as strings in places (`NumberOfCampaigns` of the tags, for one).
    return msgspec.json.Decoder(shape, strict=False)
