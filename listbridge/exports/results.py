"""What a delivery did, in people and calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeliverResult:
    """What a delivery did, in people; `calls` are all calls to the system, `refusals` people by code,
    `retries` rows that were sent again because an attempt before had no outcome, or others changed them.

    `dropped` counts the values by field key that were left out of rows that were stored.
    """

    examined: int = 0
    sent: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    """People whose row got another address."""
    refused: int = 0
    unchanged: int = 0
    in_doubt: int = 0
    retries: int = 0
    unsubscribed: int = 0
    calls: int = 0
    swallowed: int = 0
    """Changes of membership that no row showed, because another one undid them before."""
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    dropped: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def refuse(self, code: str) -> None:
        """Count one refused person."""
        self.refused += 1
        self.refusals[code] += 1

    def drop(self, values: Iterable[tuple[str, str]]) -> None:
        """Count values that were left out of one row."""
        for key, _ in values:
            self.dropped[key] += 1

    def counters(self) -> dict[str, int]:
        """What an export counts, by the names of its progress."""
        counted = {
            "delivered": self.sent,
            "added": self.added,
            "updated": self.updated,
            "moved": self.moved,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "unsubscribed": self.unsubscribed,
            "values_dropped": sum(self.dropped.values()),
            "swallowed": self.swallowed,
            "in_doubt": self.in_doubt,
            "retries": self.retries,
        }
        return counted | {f"refused_{code}": n for code, n in self.refusals.items()}
