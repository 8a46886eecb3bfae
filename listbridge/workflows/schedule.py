"""When an import that is kept updated runs again. Pure; times are epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from listbridge.workflows.models import ImportConfig

MINUTE_MS = 60_000


def next_run(config: ImportConfig, began: int, now: int) -> int:
    """When the next run is due after one that began at `began` and has ended `now`.

    The beats of `every_minutes` are counted from the run's beginning; those that have passed meanwhile are
    left out, so that runs never queue.
    """
    if config.daily_at is not None:
        return next_daily(config.daily_at, config.daily_zone, now)
    every = config.every_minutes * MINUTE_MS
    return began + (max(now - began, 0) // every + 1) * every


def next_daily(at: str, zone: str, now: int) -> int:
    """The next time that a zone's clocks show `at` (HH:MM).

    Where a day has that time twice, the first counts; where it has it never, the clocks of before the change.
    """
    clocks, of_day = ZoneInfo(zone), time.fromisoformat(at)
    today = datetime.fromtimestamp(now / 1000, clocks).date()
    moments = (datetime.combine(today + timedelta(days=days), of_day, clocks) for days in (-1, 0, 1, 2))
    return min(found for each in moments if (found := int(each.astimezone(UTC).timestamp() * 1000)) > now)
