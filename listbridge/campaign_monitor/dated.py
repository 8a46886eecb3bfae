"""Reading what has a date and only grows: reports and list states, in minutes that are complete.

The API gives no snapshot and no row ids, so a row that appears while pages are read shifts the
others. Pages are asked for in ascending order of date; as long as the stated total stays the same
between two pages nothing shifted, and every minute before the newest one read is complete. When the
total changed, reading starts again at the last complete minute. `date` is asked one minute early,
because sources differ on whether it is included, and what is too early is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from listbridge.campaign_monitor.errors import PagesInconsistent
from listbridge.campaign_monitor.events import minute_of
from listbridge.campaign_monitor.models import Page, UnreadableRow
from listbridge.campaign_monitor.paging import pages

OVERLAP_MINUTES = 60
"""How far before its position a run starts, for rows that the service enters late."""
MAX_RESTARTS = 20

T = TypeVar("T")
Fetch = Callable[[str | None, int], Page[T]]
"""(date or None, page number) -> page, ordered by date, ascending."""


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """All rows of some whole minutes, in order; `until` is the first minute not known to be complete."""

    rows: Sequence[T]
    until: str
    unreadable: Sequence[UnreadableRow] = ()


class _Shifted(Exception):
    """The resource changed between two pages."""


class _Unordered(Exception):
    """The pages are not in ascending order of date."""


def read_dated(fetch: Fetch[T], date_of: Callable[[T], str], position: str | None) -> Iterator[Stretch[T]]:
    """Read on from `position` (a minute, or None for all) to the end.

    Rows of the last minute are given too and come again in the next run: equal rows must have
    equal identities. Raises `PagesInconsistent` when the resource never stood still long enough.
    """
    start = shifted(position, -OVERLAP_MINUTES) if position else None
    newest = position or ""
    whole = False
    for _ in range(MAX_RESTARTS):
        try:
            for stretch in _attempt(fetch, date_of, start, whole=whole):
                start = stretch.until or start
                newest = max(newest, stretch.until)
                yield Stretch(stretch.rows, newest, stretch.unreadable)
            return
        except _Shifted:
            continue
        except _Unordered:
            whole = True
    raise PagesInconsistent(f"the rows changed during each of {MAX_RESTARTS} readings")


def _attempt(
    fetch: Fetch[T], date_of: Callable[[T], str], start: str | None, *, whole: bool
) -> Iterator[Stretch[T]]:
    """Pages from `start` on; `whole` keeps everything until the end, for a service that does not order."""
    since = shifted(start, -1) if start else None
    total: int | None = None
    held: list[T] = []
    bad: list[UnreadableRow] = []
    given = start or ""
    for page in pages(lambda number: fetch(since, number)):
        if total is not None and page.total_number_of_records != total:
            raise _Shifted
        total = page.total_number_of_records
        fresh = [row for row in page.results if not start or minute_of(date_of(row)) >= start]
        if not whole and any(minute_of(date_of(row)) < given for row in fresh):
            raise _Unordered
        held += fresh
        bad += page.unreadable
        if page.is_last or whole or not held:
            continue
        boundary = max(minute_of(date_of(row)) for row in held)
        complete = [row for row in held if minute_of(date_of(row)) < boundary]
        if complete:
            yield Stretch(_sorted(complete, date_of), boundary, bad)
            held, bad, given = [row for row in held if minute_of(date_of(row)) >= boundary], [], boundary
    if held or bad:
        until = max((minute_of(date_of(row)) for row in held), default=given)
        yield Stretch(_sorted(held, date_of), until, bad)


def _sorted(rows: list[T], date_of: Callable[[T], str]) -> list[T]:
    return sorted(rows, key=date_of)


def shifted(minute: str, by: int) -> str:
    """A minute (`YYYY-MM-DD HH:MM`) some minutes later, by the naive clock."""
    at = datetime.strptime(minute, "%Y-%m-%d %H:%M") + timedelta(minutes=by)
    return at.strftime("%Y-%m-%d %H:%M")
