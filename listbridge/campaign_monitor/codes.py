"""What the API's HTTP statuses and error codes mean, as tables.

Source of the codes: the error registry of the v3.3 documentation; rows that come from elsewhere
say so. Texts are never looked at: for code 1 the documentation, the recorded answers and the live
API each have another (createsend-ruby issue 19).
"""

from __future__ import annotations

from typing import Literal

from .errors import (
    AlreadyExists,
    ApiError,
    AuthenticationError,
    InvalidRequest,
    NotVisible,
    PermissionMissing,
    RateLimited,
    RowRefused,
    SegmentBusy,
    SegmentLimitReached,
    ServerProblem,
    SkippableError,
    TokenExpired,
    UnknownRefusal,
    UnreadableAnswer,
    WebhookTestFailed,
)

IMPORT_HAD_FAILURES = 210
NOT_IN_LIST = 203
INVALID_RULES = 277

RowOutcome = Literal[
    "invalid",
    "in_list",
    "not_in_list",
    "suppressed",
    "deleted",
    "unsubscribed",
    "bounced",
    "unconfirmed",
    "consent",
    "mobile",
    "too_fast",
    "unknown",
]

_ROW_OUTCOMES: dict[int, RowOutcome] = {
    1: "invalid",
    211: "invalid",
    221: "invalid",  # the address and the mobile number
    220: "mobile",
    201: "in_list",  # the new address of a changed one
    NOT_IN_LIST: "not_in_list",
    204: "suppressed",
    205: "deleted",
    206: "unsubscribed",
    207: "bounced",
    208: "unconfirmed",
    213: "consent",  # the registry has no 213, but the live API answered -213 (verbb/formie issue 1761)
    -213: "consent",
    214: "consent",
    215: "consent",
    429: "too_fast",  # the same address too often in a short time (createsend-ruby pull request 67)
}


def row_outcome(code: int) -> RowOutcome:
    """Why one row of an import was refused, by the code in its `FailureDetails`."""
    return _ROW_OUTCOMES.get(code, "unknown")


def refusal_code(code: int) -> str:
    """The code by which a refused row is kept: our word, or `code N` for one that no table knows."""
    word = row_outcome(code)
    return f"code {code}" if word == "unknown" else word


_BY_CODE: dict[int, type[ApiError]] = {
    5: InvalidRequest,  # a date
    50: AuthenticationError,  # "Must supply a valid HTTP Basic Authorization header", before v3.3
    60: PermissionMissing,  # arrives as 401, though the credential is good
    100: AuthenticationError,
    101: NotVisible,  # "Invalid ListID": not in the registry, seen live (createsend-ruby issue 44)
    102: NotVisible,  # says ClientID, means any id (createsend-dotnet issue 30)
    120: AuthenticationError,
    121: TokenExpired,
    122: AuthenticationError,
    152: InvalidRequest,
    176: RowRefused,  # address not in the suppression list
    **dict.fromkeys((code for code in _ROW_OUTCOMES if code != 429), RowRefused),
    209: InvalidRequest,
    IMPORT_HAD_FAILURES: SkippableError,
    212: InvalidRequest,
    250: AlreadyExists,
    251: InvalidRequest,
    252: InvalidRequest,
    253: InvalidRequest,
    254: InvalidRequest,
    255: AlreadyExists,
    256: InvalidRequest,
    257: InvalidRequest,
    259: InvalidRequest,
    261: InvalidRequest,
    271: NotVisible,
    272: InvalidRequest,
    273: InvalidRequest,
    275: AlreadyExists,
    INVALID_RULES: InvalidRequest,
    278: SegmentBusy,
    283: SegmentLimitReached,
    284: InvalidRequest,
    285: InvalidRequest,
    286: PermissionMissing,  # the plan has no engagement segments
    287: SegmentBusy,
    403: PermissionMissing,
    404: NotVisible,
    410: NotVisible,
    429: RateLimited,
    500: ServerProblem,
    601: InvalidRequest,
    602: InvalidRequest,
    603: InvalidRequest,
    610: WebhookTestFailed,
    **dict.fromkeys(range(800, 804), InvalidRequest),  # page, page size, order field, order direction
    920: InvalidRequest,
    922: InvalidRequest,
    927: InvalidRequest,
    **dict.fromkeys(range(2703, 2763), InvalidRequest),  # the rules of a segment
    3000: NotVisible,  # a journey
    3002: NotVisible,  # an e-mail of a journey
}

# Statuses that mean one thing whatever the code.
_BY_STATUS: dict[int, type[ApiError]] = {
    403: PermissionMissing,
    404: NotVisible,
    408: ServerProblem,
    410: NotVisible,
    413: InvalidRequest,
    425: ServerProblem,
    429: RateLimited,
}


WRITES_OF_ONE_ADDRESS = frozenset({"POST /subscribers/{list}", "PUT /subscribers/{list}"})
"""A 429 to these without a word of a limit is about the address (createsend-ruby pull request 67)."""


def decide(status: int, code: int | None) -> type[ApiError]:
    """The kind of error that an HTTP status and the API's code (None: no readable body) are.

    A 401 says "not your id" as well as "wrong key": only the codes tell them apart, and one that we
    don't know means the id (createsend-php issue 125 saw 401 with 4001).
    """
    if status >= 500:
        return ServerProblem
    if status < 400:
        return UnreadableAnswer
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 401:
        return _unauthorized(code)
    return _BY_CODE.get(code, UnknownRefusal) if code is not None else UnknownRefusal


def _unauthorized(code: int | None) -> type[ApiError]:
    if code is None:
        return AuthenticationError
    kind = _BY_CODE.get(code, NotVisible)
    return kind if issubclass(kind, AuthenticationError | PermissionMissing) else NotVisible
