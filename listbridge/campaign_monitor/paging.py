"""Reading all pages of a paged resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import PagesInconsistent
from .models import Page

T = TypeVar("T")

MAX_PAGES = 1_000_000


def pages(
    fetch: Callable[[int], Page[T]], *, first: int = 1, max_pages: int = MAX_PAGES
) -> Iterator[Page[T]]:
    """Yield the pages of a resource from `first` on; `fetch` reads the page of a number.

    Ends after the last page, after an empty resource (0 or 1 pages), and when the resource shrank
    so that the next page is past its end (that page, if it comes empty, is yielded).

    Raises `PagesInconsistent` when an answer is not the page that was asked for, when a page in the
    middle is empty or comes after all rows that the answer counts, or after `max_pages` pages. Contents
    are not compared, for a full page of equal rows is legitimate: a scanner can open an e-mail a
    thousand times in a minute.
    """
    rows = 0
    for number in range(first, first + max_pages):
        page = fetch(number)
        if page.page_number < number and page.number_of_pages < number:
            return  # the service may answer with the last page when asked for one past it
        rows += len(page.results) + len(page.unreadable)
        _check(page, number, rows)
        yield page
        if page.is_last:
            return
    raise PagesInconsistent(f"more than {max_pages} pages")


def _check(page: Page[T], number: int, rows: int) -> None:
    if page.page_number != number:
        raise PagesInconsistent(f"asked for page {number} and got page {page.page_number}")
    if page.is_empty and not page.is_last:
        raise PagesInconsistent(f"page {number} of {page.number_of_pages} is empty")
    if rows > page.total_number_of_records and not page.is_last:
        total, said = page.total_number_of_records, page.number_of_pages
        raise PagesInconsistent(
            f"page {number} of {said} is not the last, and {rows} of {total} rows were read"
        )
