"""Quiet hours: a daily window by a zone's clocks, in which nothing is delivered."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from listbridge.workflows.models import QuietHours


def quiet_until(hours: QuietHours | None, now: int) -> int | None:
    """When the window ends that `now` lies in (both epoch ms), or None outside of it.

    On a day when the clocks change, a time of day that comes twice or never makes the window the longer
    one: it starts with the first reading of `start` and ends with the last of `end`.
    """
    if hours is None:
        return None
    zone = ZoneInfo(hours.zone)
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    over_midnight = timedelta(days=end <= start)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    for day in (today - timedelta(days=1), today):
        opens, closes = min(_readings(day, start, zone)), max(_readings(day + over_midnight, end, zone))
        if opens <= now < closes:
            return closes
    return None


def _readings(day: date, at: time, zone: ZoneInfo) -> tuple[int, int]:
    """The moments (epoch ms) that a time of day stands for: two, and equal on most days."""
    first, second = (datetime.combine(day, at, zone).replace(fold=fold) for fold in (0, 1))
    return _ms(first), _ms(second)


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
