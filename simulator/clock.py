"""The simulator's time: the machine's, moved by an offset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


class Clock:
    """Real UTC time plus an offset that only ever changes on request."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at `start` (aware), or at the real time."""
        self.offset = timedelta(0) if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        """The simulated time, aware, in UTC."""
        return datetime.now(UTC) + self.offset

    def advance(self, seconds: float) -> None:
        """Move by `seconds`, backwards if negative."""
        self.offset += timedelta(seconds=seconds)

    def set(self, moment: datetime) -> None:
        """Make it `moment` (aware) now."""
        self.offset = moment - datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant as the API writes it: naive in the client's zone; `utc` is RFC 3339, milliseconds."""

    minute: str
    second: str
    utc: str


def moment(at: datetime, zone: ZoneInfo) -> Moment:
    """Write the aware time `at` in every precision that the API uses."""
    local = at.astimezone(zone)
    second = local.replace(tzinfo=None).isoformat(" ", "seconds")
    return Moment(second[:17] + "00", second, utc_text(at))


def utc_text(at: datetime) -> str:
    """`2026-01-01T00:00:00.000Z` for the aware time `at`."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat("T", "milliseconds") + "Z"
