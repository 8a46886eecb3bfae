"""A list's figures, in calendar windows of the client's zone; weeks start on Sunday."""

from __future__ import annotations

from datetime import date, timedelta

from simulator.account import SubscriberList

_COUNTED = (
    ("Active", "TotalActiveSubscribers", "NewActiveSubscribers"),
    ("Unsubscribed", "TotalUnsubscribes", "Unsubscribes"),
    ("Deleted", "TotalDeleted", "Deleted"),
    ("Bounced", "TotalBounces", "Bounces"),
)


def list_stats(target: SubscriberList, today: date) -> dict[str, int]:
    """The 24 numbers of `GET /lists/{id}/stats.json`; `today` is the client's."""
    stats: dict[str, int] = {}
    for state, total, prefix in _COUNTED:
        days = [person.date[:10] for person in target.subscribers.values() if person.state == state]
        stats[total] = len(days)
        for window, (first, end) in _windows(today).items():
            stats[prefix + window] = sum(first <= day < end for day in days)
    return stats


def _windows(today: date) -> dict[str, tuple[str, str]]:
    tomorrow = today + timedelta(days=1)
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    windows = {
        "Today": (today, tomorrow),
        "Yesterday": (today - timedelta(days=1), today),
        "ThisWeek": (sunday, tomorrow),
        "ThisMonth": (today.replace(day=1), tomorrow),
        "ThisYear": (today.replace(month=1, day=1), tomorrow),
    }
    return {name: (first.isoformat(), end.isoformat()) for name, (first, end) in windows.items()}
