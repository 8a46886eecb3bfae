"""Faults to order: which calls fail, how, and who opts out in the middle of one."""

from __future__ import annotations

import re
import threading
from typing import Literal, TypeVar

import msgspec

FaultKind = Literal[
    "429",
    "429-headers",
    "401-permission",
    "401-hidden",
    "500",
    "504-html",
    "200-html",
    "cut",
    "drip",
    "slow",
    "slow-after",
    "drop-after",
    "drop-before",
    "webhook-double",
]


class _Match(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to match: a regular expression searched in `METHOD path`, past the first `after` hits, for
    `times` hits; a negative `times` never ends."""

    match: str = ""
    times: int = 1
    after: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match is no regular expression: {error}") from None

    def hit(self, call: str) -> bool:
        """Whether this call is meant; counts it if so."""
        if self.times == 0 or not re.search(self.match, call):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= self.times > 0
        return True


class Fault(_Match):
    """A fault. `slow` waits `seconds` and then applies the call, `slow-after` applies it and answers
    `seconds` after it came; `drop-before` and `drop-after` close the connection without an answer;
    `429-headers` names `seconds` as X-RateLimit-Reset; `401-permission` is code 60, `401-hidden` code 102, as
    for an id of another account; `200-html` is a page that no API sends; `cut` ends half-way through the
    answer, `drip` takes `seconds` for it, a little at a time; `webhook-double` sends each webhook POST
    (`POST url`) twice."""

    kind: FaultKind
    seconds: float = 1.0


class Interjection(_Match):
    """Somebody acts just before a matching call is applied: `people` of those in its body."""

    action: Literal["unsubscribe", "delete", "spam", "bounce"] = "unsubscribe"
    people: int = 1


Ordered = TypeVar("Ordered", Fault, Interjection)


class Faults:
    """The orders that stand; each call takes the first fault of its kind that means it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.faults: list[Fault] = []
        self.interjections: list[Interjection] = []

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self.faults.append(fault)

    def interject(self, interjection: Interjection) -> None:
        """Order an interjection."""
        with self._lock:
            self.interjections.append(interjection)

    def clear(self) -> None:
        """Forget every order."""
        with self._lock:
            self.faults.clear()
            self.interjections.clear()

    def for_call(self, call: str) -> Fault | None:
        """The fault of an API call `METHOD path`, or None."""
        return self._take([fault for fault in self.faults if fault.kind != "webhook-double"], call)

    def for_webhook(self, call: str) -> Fault | None:
        """The fault of a webhook `POST url`, or None."""
        return self._take([fault for fault in self.faults if fault.kind == "webhook-double"], call)

    def interjection(self, call: str) -> Interjection | None:
        """The interjection before an API call, or None."""
        return self._take(self.interjections, call)

    def _take(self, orders: list[Ordered], call: str) -> Ordered | None:
        with self._lock:
            return next((order for order in orders if order.hit(call)), None)
