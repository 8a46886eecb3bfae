"""What was called, and how it was answered: the simulator's counters."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import Any

_PREFIX = re.compile(r"^/api/<[^>]+>")
_PARAMETER = re.compile(r"<(?:[^:>]+:)?(\w+?)(?:_id)?>")


def endpoint_name(method: str, rule: str | None) -> str:
    """`POST /subscribers/{list}/import` for a routing rule; rules that matched nothing are one."""
    if rule is None:
        return f"{method} unknown"
    path = _PREFIX.sub("", rule).removesuffix(".json")
    named = _PARAMETER.sub(lambda match: "{" + match[1] + "}", path)
    return f"{method} {named}"


class Calls:
    """Counts of API calls (faulted ones too) and of webhook POSTs and the events in them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.by_endpoint: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.webhook_posts = 0
        self.webhook_events = 0

    def count(self, endpoint: str, status: str) -> None:
        """Count one API call with its HTTP status, or `dropped`."""
        with self._lock:
            self.by_endpoint[endpoint] += 1
            self.by_status[status] += 1

    def count_post(self, events: int) -> None:
        """Count one webhook POST that was attempted, with the events in it."""
        with self._lock:
            self.webhook_posts += 1
            self.webhook_events += events

    def report(self) -> dict[str, Any]:
        """All counts."""
        with self._lock:
            return {
                "total": sum(self.by_endpoint.values()),
                "by_endpoint": dict(sorted(self.by_endpoint.items())),
                "by_status": dict(sorted(self.by_status.items())),
                "webhook_posts": self.webhook_posts,
                "webhook_events": self.webhook_events,
            }
