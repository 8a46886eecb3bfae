"""Who opted out while a row for them was already on its way to a list that they were not in.

The list is not theirs to refuse, and the API adds without conditions: whoever enters the suppression list
between our look at it and the moment at which the call is applied is added, and nobody could have known. The
simulator notes over each connection when it was last asked; only an opt-out after that look is such a race.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LONGEST_MS = 5_000
"""A look that is older than this when the call is applied is no look just before."""


@dataclass(frozen=True)
class Added:
    """One who was added after an opt-out. Times are RFC 3339 in UTC; empty where there was none."""

    list_id: str
    email: str
    how: str
    opted_out_at: str
    looked_at: str
    added_at: str

    @property
    def open_ms(self) -> int:
        """From the look to the moment at which the row was applied; -1 without a look."""
        if not self.looked_at:
            return -1
        return round((_instant(self.added_at) - _instant(self.looked_at)) * 1000)

    @property
    def was_a_race(self) -> bool:
        """Did they opt out after the look that went just before their row?"""
        return 0 <= self.open_ms <= LONGEST_MS and self.opted_out_at >= self.looked_at

    def __str__(self) -> str:
        return (
            f"{self.email} ({self.how} at {self.opted_out_at}) was added to {self.list_id} at "
            f"{self.added_at}; the caller had last looked at {self.looked_at or 'no time'}"
        )


def added_after_opt_out(records: Mapping[str, Any]) -> list[Added]:
    """Everybody whom an API write made active after their opt-out, with that opt-out."""
    return [_added(each, records["opt_outs"]) for each in records["added_after_opt_out"]]


def _added(log: Mapping[str, str], opt_outs: list[dict[str, str]]) -> Added:
    list_id = "" if log["how"] == "suppressed" else log["list_id"]
    theirs = [
        each["at"]
        for each in opt_outs
        if (each["list_id"], each["email"].lower()) == (list_id, log["email"].lower())
        and each["at"] <= log["at"]
    ]
    left = max(theirs, default="")
    return Added(log["list_id"], log["email"], log["how"], left, log["looked_at"], log["at"])


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
