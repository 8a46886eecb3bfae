"""Reading what has a date: reports, whose rows stay, and the states of lists, which people also leave.

The API gives no snapshot, no cursor and no row ids, so a row that comes or goes while pages are read
shifts the others. Pages are asked for in ascending order of date, since one minute early, because
sources differ on whether `date` is included; what is too early is dropped.

Reports are read forwards, in minutes that are complete: equal rows are told apart by counting them
within their minute. List states are read from the last page to the first: new rows come at the end,
and a row that leaves moves the rows after it only to pages that are still to be read.

A row whose date can't be read is given with the others and never moves the position.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from listbridge.campaign_monitor.ahead import Reading, one_by_one
from listbridge.campaign_monitor.errors import PagesInconsistent
from listbridge.campaign_monitor.events import minute_of
from listbridge.campaign_monitor.models import Page, UnreadableRow
from listbridge.campaign_monitor.paging import pages
from listbridge.remembering import remembers_short_texts

OVERLAP_MINUTES = 60
"""How far before its position a run starts: for rows that are entered late, and for clocks that go back."""
MAX_RESTARTS = 20
MAX_READ_AGAIN = 2
"""How often all is read again because rows came with older dates than those that were being read."""

T = TypeVar("T")
Fetch = Callable[[str | None, int], Page[T]]
"""(date or None, page number) -> page, ordered by date, ascending."""
Minute = Callable[[T], str]
"""A row's minute, or an empty text when its date can't be read."""


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Rows that were read, and the position from which the next run goes on."""

    rows: Sequence[T]
    until: str
    unreadable: Sequence[UnreadableRow] = ()
    pages: int = 1
    """How many pages were read for it; those that were read again to compare them don't count."""


class _Shifted(Exception):
    """The resource changed between two pages."""


class _Unordered(Exception):
    """The pages are not in ascending order of date."""


def read_dated(
    fetch: Fetch[T],
    date_of: Callable[[T], str],
    position: str | None,
    *,
    latest: str,
    overlap_minutes: int = OVERLAP_MINUTES,
    reading: Reading = one_by_one,
) -> Iterator[Stretch[T]]:
    """Read rows that stay, from `position` (a minute; None or empty for all) to the end, in whole minutes.

    Rows of the last minute are given too and come again in the next run, which starts
    `overlap_minutes` earlier. `latest` is the minute of now, which no position goes beyond. `reading` may
    read pages before their turn. Raises `PagesInconsistent` when the resource changed too often.
    """
    minute = _minutes(date_of)
    least = min(position or "", latest)
    start = shifted(least, -overlap_minutes)
    try:
        for stretch in _forwards(fetch, minute, start, reading):
            yield replace(stretch, until=max(least, min(stretch.until, latest)))
    except _Unordered:
        stretch = _whole(fetch, minute, start)
        yield replace(stretch, until=max(least, min(stretch.until, latest)))


def _forwards(fetch: Fetch[T], minute: Minute[T], first: str, reading: Reading) -> Iterator[Stretch[T]]:
    """Stretches to the end, and all of them again when a row came before what was being read."""
    for _ in range(MAX_READ_AGAIN):
        rows, moved = 0, False
        for stretch, has_moved in _to_the_end(fetch, minute, first, reading):
            moved = has_moved
            rows += len(stretch.rows) + len(stretch.unreadable)
            yield stretch
        if not moved or not _came_late(fetch, minute, first, rows):
            return
    yield from (stretch for stretch, _ in _to_the_end(fetch, minute, first, reading))


def _to_the_end(
    fetch: Fetch[T], minute: Minute[T], first: str, reading: Reading
) -> Iterator[tuple[Stretch[T], bool]]:
    """Stretches, each with: did rows move while there were stretches before the page that was read?"""
    start, restarts, moved = first, 0, False
    while restarts < MAX_RESTARTS:
        try:
            for stretch in _attempt(fetch, minute, start, reading):
                start, restarts = stretch.until, 0
                yield stretch, moved
            return
        except _Shifted:
            restarts += 1
            moved = moved or start != first
    raise PagesInconsistent(f"the rows changed during each of {MAX_RESTARTS} readings")


def _came_late(fetch: Fetch[T], minute: Minute[T], first: str, rows: int) -> bool:
    """Are there more rows from `first` on than were read? (Or some have come at the end since: no matter.)"""
    page = fetch(shifted(first, -1) or None, 1)
    early = sum(1 for row in page.results if minute(row) and minute(row) < first)
    return page.total_number_of_records > rows + early


def _attempt(fetch: Fetch[T], minute: Minute[T], start: str, reading: Reading) -> Iterator[Stretch[T]]:
    """Pages from `start` on, a stretch for every page that completes a minute and one for the end."""
    since = shifted(start, -1) or None
    recent: list[Page[T]] = []
    held: list[T] = []
    times: list[str] = []
    undated: list[T] = []
    bad: list[UnreadableRow] = []
    read = 0
    with reading(lambda number: fetch(since, number)) as ordered:
        for page in pages(ordered):
            read += 1
            if recent and recent[-1].total_number_of_records != page.total_number_of_records:
                _check_unmoved(recent, lambda number: fetch(since, number))
            rows, minutes = page.results, [*map(minute, page.results)]
            recent = [page] if len({*minutes}) > 1 else [*recent, page]
            if "" in minutes:
                undated += [row for at, row in zip(minutes, rows, strict=True) if not at]
                rows = [row for at, row in zip(minutes, rows, strict=True) if at]
                minutes = [*filter(None, minutes)]
            _in_order([*times[-1:], *minutes])
            early = bisect_left(minutes, start)
            held += rows[early:]
            times += minutes[early:]
            bad += page.unreadable
            if page.is_last or not held or times[0] == times[-1]:
                continue
            whole = bisect_left(times, times[-1])
            yield Stretch([*undated, *held[:whole]], times[-1], bad, read)
            held, times, undated, bad, read = held[whole:], times[whole:], [], [], 0
    if held or undated or bad:
        yield Stretch([*undated, *held], times[-1] if times else start, bad, read)


def _check_unmoved(recent: Sequence[Page[T]], fetch: Callable[[int], Page[T]]) -> None:
    """Rows that were added after the last page don't matter; when pages read otherwise now, rows moved.

    `recent` goes back to a page that holds two minutes: within one minute rows may be equal, so that a
    page can look the same although it moved.
    """
    for before in reversed(recent):
        again = fetch(before.page_number)
        if (before.results, before.unreadable) != (again.results, again.unreadable):
            raise _Shifted


def _in_order(minutes: Sequence[str]) -> None:
    if minutes != sorted(minutes):
        raise _Unordered


def _whole(fetch: Fetch[T], minute: Minute[T], start: str) -> Stretch[T]:
    """Everything from `start` on as one stretch, for a service that does not order."""
    since = shifted(start, -1) or None
    for _ in range(MAX_RESTARTS):
        read = list(pages(lambda number: fetch(since, number)))
        if len({page.total_number_of_records for page in read}) <= 1:
            rows = [row for page in read for row in page.results if not minute(row) or minute(row) >= start]
            bad = [row for page in read for row in page.unreadable]
            return Stretch(sorted(rows, key=minute), _newest(rows, minute) or start, bad, len(read))
    raise PagesInconsistent(f"the rows changed during each of {MAX_RESTARTS} readings")


def read_backwards(
    fetch: Fetch[T],
    date_of: Callable[[T], str],
    position: str | None,
    *,
    latest: str,
    overlap_minutes: int = OVERLAP_MINUTES,
    likely_last: int = 1,
) -> Iterator[Stretch[T]]:
    """Read rows that may leave, from `position` on, a stretch for each page, the last page first.

    Some rows come twice, and all come again that lie in the `overlap_minutes` before the position.
    Which page is the last is asked of page `likely_last`: where that is right, it saves a call.
    A position is a minute, or `SINCE/PAGE/MINUTE` in the middle: what is asked for, the next page,
    and the minute that is reached after page 1. Raises `PagesInconsistent`.
    """
    minute = _minutes(date_of)
    until = position or ""
    since, number, newest = _unfinished(until)
    reached = number > 0
    if not reached:
        newest = min(position or "", latest)
        since = shifted(newest, -overlap_minutes - 1)
    try:
        for page in _pages_backwards(fetch, since or None, number, likely_last):
            _in_order([*filter(None, map(minute, page.results))])
            if not reached:
                newest = max(newest, min(_newest(page.results, minute), latest))
                reached = not page.is_empty
            number = _number_before(page)
            if not page.is_empty or (not number and "/" in until):
                until = f"{since}/{number}/{newest}" if number else newest
                yield Stretch(page.results, until, page.unreadable)
    except _Unordered:
        stretch = _whole(fetch, minute, since)
        yield replace(stretch, until=max(newest, min(stretch.until, latest)))


def _unfinished(position: str) -> tuple[str, int, str]:
    since, _, rest = position.partition("/")
    number, _, newest = rest.partition("/")
    return since, int(number or 0), newest


def is_unfinished(position: str) -> bool:
    """Does the position stand in the middle of a reading of list states?"""
    return "/" in position


def started_at(position: str) -> str:
    """The minute from which a position's reading started, or the position if that is a minute."""
    return position.partition("/")[0]


def _pages_backwards(fetch: Fetch[T], since: str | None, number: int, likely_last: int) -> Iterator[Page[T]]:
    """The pages from `number` (0: the last) to the first."""
    page = fetch(since, number or likely_last)
    if not number:
        number = likely_last
        if page.number_of_pages > likely_last:
            number = page.number_of_pages
            page = fetch(since, number)
    while True:
        if page.page_number > max(number, 1):
            raise PagesInconsistent(f"asked for page {number} and got page {page.page_number}")
        yield page
        number = _number_before(page)
        if not number:
            return
        page = fetch(since, number)


def _number_before(page: Page[T]) -> int:
    """The page to read after this one, which may lie beyond the end because rows have left."""
    return min(page.page_number - 1, page.number_of_pages)


def _newest(rows: Iterable[T], minute: Minute[T]) -> str:
    return max(map(minute, rows), default="")


def _minutes(date_of: Callable[[T], str]) -> Minute[T]:
    return lambda row: _readable(date_of(row))


@remembers_short_texts(16_384)
def _readable(date: str) -> str:
    minute = minute_of(date)
    try:
        return minute if datetime.fromisoformat(minute).isoformat(" ", "minutes") == minute else ""
    except ValueError:
        return ""


def shifted(minute: str, by: int) -> str:
    """A minute (`YYYY-MM-DD HH:MM`) some minutes later, by the naive clock; an empty one stays empty."""
    if not minute:
        return ""
    try:
        return (datetime.fromisoformat(minute) + timedelta(minutes=by)).isoformat(" ", "minutes")
    except OverflowError:
        return minute
