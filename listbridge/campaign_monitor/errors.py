"""What a call to Campaign Monitor can fail with.

    ApiError                      status, code, message, endpoint, may_have_been_applied
    ├── FatalError                stop the workflow; nothing is lost
    │   ├── AuthenticationError
    │   │   ├── TokenExpired
    │   │   └── AccessWithdrawn
    │   ├── PermissionMissing
    │   ├── NotVisible
    │   ├── InvalidRequest
    │   │   └── AlreadyExists
    │   ├── SegmentLimitReached
    │   ├── WebhookTestFailed
    │   ├── UnknownTimeZone
    │   ├── ZoneChanged           not until a person has confirmed it
    │   └── UnknownRefusal        home of every code that no table knows
    ├── RetriableError            wait (retry_after_seconds, when told) and repeat
    │   ├── RateLimited
    │   ├── ServerProblem
    │   ├── NetworkProblem
    │   ├── SegmentBusy
    │   ├── UnreadableAnswer
    │   └── PagesInconsistent
    └── SkippableError            one person or row; set it aside and go on
        ├── RowRefused
        ├── AddressTooFast
        └── LimitExceeded

The three branches derive from those of `listbridge.errors`, which is what the engines catch. Which
error a status and code become is the table in `codes`. No text of an error holds an e-mail
address: what looks like one is replaced in `message`, and `endpoint` is a template.
"""

from __future__ import annotations

import inspect
from typing import Any

from listbridge.errors import Deferred, Fatal, Retriable, Skippable, SystemProblem, Waits
from listbridge.logs import without_addresses


class ApiError(SystemProblem):
    """A call to Campaign Monitor failed; the message says which call and how.

    `endpoint` is the call's template (`POST /subscribers/{list}/import`), `status` the HTTP status
    and `code` the API's own, each None when there was none. `may_have_been_applied` is True when a
    write could have taken effect although no answer says so. `result_data` is the decoded
    `ResultData` of an error that carries one; it can hold addresses, so it never becomes text.
    """

    def __init__(
        self,
        message: str,
        *,
        endpoint: str = "",
        status: int | None = None,
        code: int | None = None,
        may_have_been_applied: bool = False,
        result_data: Any = None,
    ) -> None:
        self.message = without_addresses(message)
        super().__init__(self.message)
        self.endpoint = endpoint
        self.status = status
        self.code = code
        self.may_have_been_applied = may_have_been_applied
        self.result_data = result_data

    def __str__(self) -> str:
        answered = [f"HTTP {self.status}"] if self.status is not None else []
        answered += [f"code {self.code}"] if self.code is not None else []
        place = " ".join(filter(None, [self.endpoint, f"({', '.join(answered)})" if answered else ""]))
        return f"{place}: {self.message}" if place else self.message

    @property
    def remedy(self) -> str:
        """What an operator should do: the docstring of the error's class."""
        return inspect.getdoc(type(self)) or ""


class FatalError(ApiError, Fatal):
    """Repeating the call cannot help; correct what the message names, then start the workflow again."""


class AuthenticationError(FatalError):
    """The API key or token is wrong or was revoked; store a valid one, then resume the workflow.

    `listbridge authorization change-key` puts another key in the place of the one that is stored.
    """


class TokenExpired(AuthenticationError):
    """The OAuth token has expired; refresh it and repeat, or authorize again if that fails."""


class AccessWithdrawn(AuthenticationError):
    """Access was withdrawn or its grant ran out; connect again, then resume the workflow.

    `listbridge authorization connect` opens the way; with the same description it replaces what is stored.
    """


class PermissionMissing(FatalError):
    """The credential or plan does not allow this call; grant the permission or use another credential."""


class NotVisible(FatalError):
    """The id does not exist or belongs to another account; check the client, list, segment or campaign id.

    It is not the credential: Campaign Monitor answers 401 for an id that it does not show.
    """


class InvalidRequest(FatalError):
    """The request is not one that the API accepts; correct the setting that the message names."""


class AlreadyExists(InvalidRequest):
    """The list has a field, segment or list of that name; use it, or choose another name."""


class SegmentLimitReached(FatalError):
    """The account may have no more segments; delete unused ones or ask Campaign Monitor for more."""


class WebhookTestFailed(FatalError):
    """Campaign Monitor could not deliver to the webhook's URL; make it reachable and answer 2xx."""


class UnknownTimeZone(FatalError):
    """Nothing is read until its times can be told: give the client another zone and resume the import.

    One whose clocks go the same way will do. Report the label, so that it is added to `zone_labels`.
    """


class ZoneChanged(FatalError, Waits):
    """All times are told by it: confirm the change if it was made on purpose, or set the zone back.

    `listbridge import confirm-zone ID` does the one, or goes on after the other.
    """

    waits_for = "zone"


class UnknownRefusal(FatalError):
    """The API refused with a code that we don't know; look the code up, then start the workflow again."""


class RetriableError(ApiError, Retriable):
    """A passing problem; the call is repeated by itself, so act only if it persists."""


class RateLimited(RetriableError):
    """Too many calls; pacing slows down by itself. Lower the calls in flight if it persists."""


class ServerProblem(RetriableError):
    """Campaign Monitor failed on its side; it is repeated by itself. See its status page if it persists."""


class NetworkProblem(RetriableError):
    """Campaign Monitor was not reached or the connection was cut; check the network if it persists."""


class SegmentBusy(RetriableError):
    """The segment is being calculated or changed; the call is repeated by itself."""


class UnreadableAnswer(RetriableError):
    """The answer is not what the API is documented to send; if it persists, check the base URL."""


class PagesInconsistent(RetriableError):
    """The pages of one resource do not follow each other; they are read again by themselves."""


class SkippableError(ApiError, Skippable):
    """One person or row could not be handled; it is set aside with its reason, the rest goes on."""


class RowRefused(SkippableError):
    """The API refused this person; see the code, correct the record and retry it."""


class AddressTooFast(SkippableError, Deferred):
    """This address was written too often in a short time; it rests alone and is tried again by itself."""


class LimitExceeded(SkippableError):
    """Some rows hold a value that the API does not take; shorten it and retry these rows.

    `rows` are the positions of these rows in what was to be sent; nothing was sent.
    """

    rows: tuple[int, ...] = ()
