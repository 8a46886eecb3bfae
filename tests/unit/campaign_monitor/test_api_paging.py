import itertools

import pytest
from msgspec.structs import replace

from listbridge.campaign_monitor.errors import PagesInconsistent, RetriableError, ServerProblem
from listbridge.campaign_monitor.models import Page, UnreadableRow
from listbridge.campaign_monitor.paging import pages


def page(number, of, rows=("row",), unreadable=()):
    return Page(
        results=list(rows),
        page_number=number,
        page_size=1000,
        records_on_this_page=len(rows),
        total_number_of_records=(len(rows) + len(unreadable)) * of,
        number_of_pages=of,
        unreadable=unreadable,
    )


def fetched(*answers):
    asked = []

    def fetch(number):
        asked.append(number)
        return answers[len(asked) - 1]

    return fetch, asked


def test_all_pages_are_read_in_order_and_none_after_the_last():
    fetch, asked = fetched(page(1, 3, "a"), page(2, 3, "b"), page(3, 3, "c"))
    assert [row for read in pages(fetch) for row in read.results] == ["a", "b", "c"]
    assert asked == [1, 2, 3]


def test_reading_can_start_at_a_later_page():
    fetch, asked = fetched(page(2, 3), page(3, 3))
    assert len(list(pages(fetch, first=2))) == 2
    assert asked == [2, 3]


@pytest.mark.parametrize("stated", [0, 1])
def test_an_empty_resource_is_one_empty_page_whether_it_states_none_or_one(stated):
    fetch, asked = fetched(page(1, stated, ()))
    assert [read.results for read in pages(fetch)] == [[]]
    assert asked == [1]


def test_equal_pages_are_read_both():
    fetch, _ = fetched(page(1, 2, "aa"), page(2, 2, "aa"))
    assert len(list(pages(fetch))) == 2


def test_a_resource_that_shrank_ends_with_the_empty_page_past_its_end():
    fetch, _ = fetched(page(1, 2), page(2, 1, ()))
    assert [read.page_number for read in pages(fetch)] == [1, 2]


def test_a_resource_that_shrank_ends_when_the_last_page_comes_again_instead():
    fetch, _ = fetched(page(1, 3), page(2, 3), page(2, 2))
    assert [read.page_number for read in pages(fetch)] == [1, 2]


def test_a_resource_that_grew_is_read_to_its_new_end():
    fetch, asked = fetched(page(1, 1 + 1), page(2, 3), page(3, 3))
    assert len(list(pages(fetch))) == 3
    assert asked == [1, 2, 3]


def test_a_page_that_comes_again_is_refused():
    fetch, _ = fetched(page(1, 3), page(1, 3))
    reading = pages(fetch)
    next(reading)
    with pytest.raises(PagesInconsistent, match="asked for page 2 and got page 1"):
        next(reading)


def test_an_empty_page_in_the_middle_is_refused():
    fetch, _ = fetched(page(1, 3), page(2, 3, ()))
    with pytest.raises(PagesInconsistent, match="page 2 of 3 is empty"):
        list(pages(fetch))


def test_a_page_of_unreadable_rows_is_not_empty():
    fetch, _ = fetched(page(1, 2, (), (UnreadableRow(b"{}", "no address"),)), page(2, 2))
    assert len(list(pages(fetch))) == 2


def test_a_resource_that_never_ends_is_given_up():
    with pytest.raises(PagesInconsistent, match="more than 5 pages"):
        list(pages(lambda number: page(number, number + 1), max_pages=5))
    assert issubclass(PagesInconsistent, RetriableError)


def test_a_page_that_comes_again_and_again_under_new_numbers_is_refused():
    again = [replace(page(1, 1, "abc"), page_number=number, number_of_pages=9) for number in (1, 2)]
    fetch, _ = fetched(*again)
    with pytest.raises(PagesInconsistent, match="page 2 of 9 is not the last, and 6 of 3 rows were read"):
        list(pages(fetch))


def test_nothing_is_fetched_before_it_is_asked_for():
    fetch, asked = fetched(page(1, 9), page(2, 9))
    list(itertools.islice(pages(fetch), 1))
    assert asked == [1]


def test_an_error_of_a_page_reaches_the_reader():
    def fetch(number):
        raise ServerProblem("down")

    with pytest.raises(ServerProblem):
        list(pages(fetch))
