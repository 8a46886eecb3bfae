"""What was acknowledged so far, and who may still act."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

AUDIENCES = ("beach-lovers", "city-breakers", "frequent-flyers", "win-back")

Event = dict[str, Any]


@dataclass
class Ledger:
    """What was acknowledged, in order, and who may still act: each person acts once at most."""

    events: list[Event] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    """Those of the first list who may still do something themselves."""
    list_id: str = ""
    moment: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))
    seeds: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, records: dict[str, Any], seed: int) -> Ledger:
        """The people of the simulator's records."""
        first = records["lists"][0]
        people = sorted({p["email"] for each in records["lists"] for p in each["subscribers"]})
        people += [f"new.reader.{number}@example.org" for number in range(len(people) // 10)]
        active = [p["email"] for p in first["subscribers"] if p["state"] == "Active"]
        random.Random(seed).shuffle(active)
        return cls(people=people, active=active, list_id=first["list_id"])

    def event(self, email: str, audience: str, what: str) -> Event:
        """One that nobody made before: each is seven milliseconds later than the last."""
        with self._lock:
            self.moment += timedelta(milliseconds=7)
            at = self.moment.isoformat(timespec="milliseconds")
        return {"email": email, "audience": audience, "event": what, "timestamp": at}
