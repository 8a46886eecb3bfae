"""What a delivery did, in people and calls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeliverResult:
    """What a delivery did, in people; `calls` are all calls to the system, `refusals` people by code,
    `retries` rows that were sent again because an attempt before had no outcome, or others changed them."""

    examined: int = 0
    sent: int = 0
    added: int = 0
    updated: int = 0
    refused: int = 0
    unchanged: int = 0
    in_doubt: int = 0
    retries: int = 0
    calls: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def refuse(self, code: str) -> None:
        """Count one refused person."""
        self.refused += 1
        self.refusals[code] += 1

    def counters(self) -> dict[str, int]:
        """What an export counts, by the names of its progress."""
        counted = {
            "delivered": self.sent,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "in_doubt": self.in_doubt,
            "retries": self.retries,
        }
        return counted | {f"refused_{code}": n for code, n in self.refusals.items()}
