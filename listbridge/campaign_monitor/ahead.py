"""Pages that are read before their turn, and how many calls of one import are on their way at a time.

Pages are handed over in their order. Rows of reports stay, so the total that a page tells says when it was
made: one that counts fewer rows than the page before was made before it, and is asked for again. Any other
stands as if it had been asked for in its turn. Where it counts fewer again, rows were taken out after all and
the totals of what was asked for before tell nothing: all of it is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from listbridge.campaign_monitor.models import Page

T = TypeVar("T")
Item = TypeVar("Item")
Found = TypeVar("Found")
Fetch = Callable[[int], Page[T]]
"""A page's number -> the page."""


class Lanes:
    """The calls of one import: so many on their way at a time, those that somebody waits for first.

    Twice as many pages at most lie ready or are asked for before their turn.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._awaited = 0
        lock = threading.Lock()
        self._first, self._later = threading.Condition(lock), threading.Condition(lock)
        self._local = threading.local()
        self._room = threading.Semaphore(2 * most)
        self._pool = ThreadPoolExecutor(most, "ahead", self._mark)

    def _mark(self) -> None:
        self._local.ahead = True

    def enter(self) -> None:
        """Wait until the calling thread may make a call; `leave` ends it."""
        with self._first:
            if getattr(self._local, "ahead", False):
                while not self._free or self._awaited:
                    self._later.wait()
            else:
                self._awaited += 1
                try:
                    while not self._free:
                        self._first.wait()
                finally:
                    self._awaited -= 1
            self._free -= 1
            self._let_in()

    def leave(self) -> None:
        with self._first:
            self._free += 1
            self._let_in()

    def _let_in(self) -> None:
        if self._free:
            (self._first if self._awaited else self._later).notify()

    def submit(self, fetch: Fetch[T], number: int) -> Future[Page[T]] | None:
        """Ask for a page before its turn; None when enough are. `give_back` the room when it is taken."""
        return self._pool.submit(fetch, number) if self._room.acquire(blocking=False) else None

    def give_back(self) -> None:
        self._room.release()

    @contextmanager
    def reading(self, fetch: Fetch[T]) -> Iterator[Fetch[T]]:
        """A `fetch` that asks for the pages that follow before their turn, until the block is left."""
        ahead = _Ahead(self, fetch)
        try:
            yield ahead
        finally:
            ahead.drop()

    def end(self) -> None:
        """Ask for nothing more, and wait for what is on its way."""
        self._pool.shutdown(cancel_futures=True)


class _Ahead(Generic[T]):
    """Pages of one reading, read in order."""

    def __init__(self, lanes: Lanes, fetch: Fetch[T]) -> None:
        self._lanes = lanes
        self._fetch = fetch
        self._coming: dict[int, Future[Page[T]]] = {}
        self._total = 0

    def __call__(self, number: int) -> Page[T]:
        page = self._taken(number)
        if page is None or page.total_number_of_records < self._total:
            page = self._fetch(number)
            if page.total_number_of_records < self._total:
                self.drop()
        self._total = page.total_number_of_records
        for following in range(page.page_number + 1, page.number_of_pages + 1):
            if following not in self._coming:
                future = self._lanes.submit(self._fetch, following)
                if future is None:
                    break
                self._coming[following] = future
        return page

    def _taken(self, number: int) -> Page[T] | None:
        future = self._coming.pop(number, None)
        if future is None:
            return None
        try:
            return future.result()
        finally:
            self._lanes.give_back()

    def drop(self) -> None:
        """None of those that are still coming is wanted."""
        for future in self._coming.values():
            future.cancel()
            self._lanes.give_back()
        self._coming.clear()


class Reading(Protocol):
    """How pages are read in their order: see `Lanes.reading`."""

    def __call__(self, fetch: Fetch[Any], /) -> Any: ...


@contextmanager
def one_by_one(fetch: Fetch[T]) -> Iterator[Fetch[T]]:
    """Each page when its turn has come."""
    yield fetch


@contextmanager
def looking(many: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that look for what there is to read; leaving the block waits for what has begun only."""
    pool = ThreadPoolExecutor(many, "look")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Found], items: Iterable[Item], many: int
) -> Iterator[Found]:
    """What the work makes of each item, in their order, of so many at a time."""
    waiting: deque[Future[Found]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= many:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
