"""Reading dated resources against a model of the service that changes between any two calls."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.campaign_monitor.dated import Stretch, read_backwards, read_dated, shifted, started_at
from listbridge.campaign_monitor.errors import PagesInconsistent
from listbridge.campaign_monitor.events import numbering
from listbridge.campaign_monitor.models import Page

START = datetime(2024, 3, 1, 9)
LATEST = "2024-12-31 00:00"
SPAN = 300  # minutes that the rows are spread over
Row = tuple[str, str]  # date as the API gives it, who


def text(minute: int) -> str:
    return (START + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M:00")


def row(minute: int, who: str = "a") -> Row:
    return text(minute), who


def date_of(one: Row) -> str:
    return one[0]


@dataclass
class Resource:
    """A paged resource with a `date` filter. `changes` maps a call's number to what happens before it."""

    rows: list[Row]
    page_size: int = 5
    inclusive: bool = True
    order: Callable[[Row], Any] | None = date_of
    empty_pages: int = 1
    answers_last_page: bool = False
    changes: dict[int, Callable[[list[Row]], None]] = field(default_factory=dict)
    calls: int = 0

    def fetch(self, date: str | None, number: int) -> Page[Row]:
        self.calls += 1
        self.changes.pop(self.calls, lambda _: None)(self.rows)
        since = f"{date}:00" if date else ""
        kept = [one for one in self.rows if one[0] > since or (self.inclusive and one[0] == since)]
        if self.order:
            kept.sort(key=self.order)
        count = -(-len(kept) // self.page_size) or self.empty_pages
        if self.answers_last_page:
            number = min(number, max(count, 1))
        page = kept[(number - 1) * self.page_size : number * self.page_size]
        return Page(
            results=page,
            page_number=number,
            page_size=self.page_size,
            records_on_this_page=len(page),
            total_number_of_records=len(kept),
            number_of_pages=count,
        )


class Reader:
    """Reads a resource over several runs, as an import does, and keeps (row, ordinal) of all."""

    def __init__(self, resource: Resource, read: Any = read_dated) -> None:
        self.resource = resource
        self.read = read
        self.position: str | None = None
        self.seen: set[tuple[Row, int]] = set()
        self.rows: set[Row] = set()

    def run(self, most: int | None = None) -> None:
        """One run, stopped after `most` stretches."""
        for stretch in islice(self.stretches(), most):
            number = numbering()
            self.seen |= {(one, number(one)) for one in stretch.rows}
            self.rows |= set(stretch.rows)
            self.position = stretch.until

    def stretches(self) -> Iterator[Stretch[Row]]:
        return self.read(self.resource.fetch, date_of, self.position, latest=LATEST)


def counted(rows: list[Row]) -> set[tuple[Row, int]]:
    """Each row with each ordinal that it should have."""
    return {(one, n) for one, count in Counter(rows).items() for n in range(count)}


minutes = st.integers(0, SPAN)
people = st.sampled_from("abc")
rows_of_a_report = st.lists(st.builds(row, minutes, people), max_size=60)
crowded = st.lists(st.builds(row, st.sampled_from([0, 1, 200, 201]), people), max_size=60)
late_or_new = st.builds(row, st.integers(SPAN - 50, SPAN + 5), people)
stops = st.lists(st.integers(1, 4), max_size=4)
services = st.fixed_dictionaries(
    {
        "page_size": st.integers(1, 8),
        "inclusive": st.booleans(),
        "empty_pages": st.sampled_from([0, 1]),
        "answers_last_page": st.booleans(),
    }
)


def adding(rows: list[Row]) -> Callable[[list[Row]], None]:
    return lambda held: held.extend(rows)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(rows_of_a_report, crowded),
    st.dictionaries(st.integers(1, 25), st.lists(late_or_new, min_size=1, max_size=6), max_size=6),
    services,
    stops,
)
def test_a_report_that_grows_while_it_is_read_is_counted_exactly(rows, additions, service, stops):
    changes = {call: adding(added) for call, added in additions.items()}
    resource = Resource([row(SPAN), *rows], changes=changes, **service)
    reader = Reader(resource)
    for most in stops:
        reader.run(most)
    reader.run()
    resource.changes.clear()
    reader.run()
    assert reader.seen == counted(resource.rows)


@settings(max_examples=60, deadline=None)
@given(rows_of_a_report, services, st.sampled_from(["who", "descending"]))
def test_a_service_that_does_not_order_is_read_whole(rows, service, order):
    keys = {"who": lambda one: (one[1], one[0]), "descending": lambda one: [-ord(c) for c in one[0]]}
    resource = Resource(rows, order=keys[order], **service)
    reader = Reader(resource)
    reader.run()
    assert reader.seen == counted(resource.rows)
    reader.run()
    assert reader.seen == counted(resource.rows)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.builds(row, minutes, st.uuids().map(str)), max_size=60),
    st.dictionaries(st.integers(1, 25), st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8),
    services,
    stops,
    st.randoms(use_true_random=False),
)
def test_nobody_who_stays_in_a_state_is_missed_while_others_leave_and_join(
    rows, changes, service, stops, chance
):
    left: set[Row] = set()
    joined: list[Row] = []

    def change(leaving: int, joining: int) -> Callable[[list[Row]], None]:
        def apply(held: list[Row]) -> None:
            for one in chance.sample(held, min(leaving, len(held))):
                held.remove(one)
                left.add(one)
            new = [row(SPAN + len(joined) + n, f"new {len(joined) + n}") for n in range(joining)]
            joined.extend(new)
            held.extend(new)

        return apply

    planned = {call: change(*amounts) for call, amounts in changes.items()}
    resource = Resource(list(rows), changes=planned, **service)
    reader = Reader(resource, read_backwards)
    for most in stops:
        reader.run(most)
    reader.run()
    stayed = set(rows) - left
    assert stayed <= reader.rows
    resource.changes.clear()
    reader.run()
    assert set(resource.rows) <= reader.rows


@pytest.mark.parametrize("read", [read_dated, read_backwards])
@pytest.mark.parametrize("empty_pages", [0, 1])
def test_an_empty_resource_gives_nothing(read, empty_pages):
    reader = Reader(Resource([], empty_pages=empty_pages), read)
    reader.run()
    assert (reader.position, reader.rows) == (None, set())


@pytest.mark.parametrize("read", [read_dated, read_backwards])
def test_a_second_run_reads_the_hour_before_the_newest_row_again(read):
    resource = Resource([row(0, "old"), row(139, "before"), row(140, "edge"), row(200, "newest")])
    reader = Reader(resource, read)
    reader.run()
    assert reader.position == "2024-03-01 12:20"
    reader.rows = set()
    reader.run()
    assert {who for _, who in reader.rows} - {"before"} == {"edge", "newest"}


def test_equal_rows_of_more_than_a_page_in_one_minute_are_all_counted():
    resource = Resource([row(10)] * 17, page_size=4)
    reader = Reader(resource)
    reader.run()
    assert len(reader.seen) == 17


def test_rows_that_are_added_at_the_end_of_a_crowded_minute_do_not_stop_the_reading():
    changes = {call: adding([row(200 + call)]) for call in range(1, 60)}
    resource = Resource([row(10)] * 17, page_size=4, changes=changes)
    reader = Reader(resource)
    reader.run()
    assert {one for one in reader.seen if one[0] == row(10)} == counted([row(10)] * 17)


def test_a_report_whose_crowded_minute_never_stands_still_is_given_up_for_now():
    def shift(held: list[Row]) -> None:
        held.insert(0, row(10, f"late {len(held)}"))

    resource = Resource([row(10)] * 17, page_size=4, changes=dict.fromkeys(range(1, 500), shift))
    with pytest.raises(PagesInconsistent, match="changed during each of 20 readings"):
        Reader(resource).run()


def test_changes_that_do_not_keep_it_from_going_on_are_never_too_many():
    def shift(held: list[Row]) -> None:
        held.insert(0, row(0, "late"))

    rows = [row(minute, "abc"[minute % 3]) for minute in range(1, 200)]
    resource = Resource(rows, page_size=3, changes=dict.fromkeys(range(2, 500, 3), shift))
    reader = Reader(resource)
    reader.run()
    assert {one for one in resource.rows if one[1] != "late"} <= {one for one, _ in reader.seen}


BAD_DATES = ["", "yesterday", "2024-13-45 10:00:00", "2024-03-01", "2024-03-01T10:00:00", "99999-01-01 00:00"]


@pytest.mark.parametrize("read", [read_dated, read_backwards])
@pytest.mark.parametrize("bad", BAD_DATES)
def test_a_row_with_an_unreadable_date_is_given_and_moves_nothing(read, bad):
    rows = [row(5), (bad, "bad"), row(70)]
    reader = Reader(Resource(rows, order=lambda one: one[1]), read)
    reader.run()
    assert reader.rows == set(rows)
    assert reader.position == "2024-03-01 10:10"
    reader.run()


@pytest.mark.parametrize("read", [read_dated, read_backwards])
def test_a_row_dated_in_the_future_does_not_hide_what_comes_until_then(read):
    resource = Resource([row(5), ("2199-01-01 00:00:00", "wrong")])
    reader = Reader(resource, read)
    reader.run()
    assert reader.position == LATEST
    resource.rows.append(("2024-12-31 08:00:00", "later"))
    reader.run()
    assert ("2024-12-31 08:00:00", "later") in reader.rows


@pytest.mark.parametrize("read", [read_dated, read_backwards])
def test_the_first_minute_of_the_calendar_is_a_date_like_others(read):
    reader = Reader(Resource([("0001-01-01 00:00:00", "a")]), read)
    reader.run()
    reader.run()
    assert reader.rows == {("0001-01-01 00:00:00", "a")}


def test_reading_backwards_says_in_the_middle_what_is_left():
    resource = Resource([row(minute) for minute in range(12)], page_size=5)
    found = list(Reader(resource, read_backwards).stretches())
    assert [stretch.until for stretch in found] == [
        "/2/2024-03-01 09:11",
        "/1/2024-03-01 09:11",
        "2024-03-01 09:11",
    ]
    assert [len(stretch.rows) for stretch in found] == [2, 5, 5]


def test_a_reading_backwards_ends_though_everybody_left_its_first_page_meanwhile():
    resource = Resource([row(minute) for minute in range(12)], page_size=5)
    resource.changes = {4: lambda held: held.clear()}
    reader = Reader(resource, read_backwards)
    reader.run()
    assert reader.position == "2024-03-01 09:11"
    later = [row(minute, "b") for minute in range(100, 120)]
    resource.rows += later
    reader.run()
    assert reader.rows >= {*later}


@pytest.mark.parametrize(
    ("position", "minute"),
    [
        ("2024-03-01 09:11", "2024-03-01 09:11"),
        ("2024-03-01 09:11/3/2024-03-01 12:00", "2024-03-01 09:11"),
        ("/3/2024-03-01 12:00", ""),
        ("", ""),
    ],
)
def test_where_an_unfinished_reading_started(position, minute):
    assert started_at(position) == minute


@pytest.mark.parametrize(
    ("minute", "by", "expected"),
    [
        ("2024-03-01 00:10", -60, "2024-02-29 23:10"),
        ("2024-12-31 23:59", 1, "2025-01-01 00:00"),
        ("0001-01-01 00:00", -1, "0001-01-01 00:00"),
        ("", -60, ""),
    ],
)
def test_minutes_are_shifted_by_the_naive_clock(minute, by, expected):
    assert shifted(minute, by) == expected


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("call", range(3, 9))
def test_a_row_that_comes_before_what_is_being_read_is_found_by_the_same_run(call, inclusive):
    resource = Resource(
        [row(minute) for minute in range(40)],
        inclusive=inclusive,
        changes={call: adding([row(2, "late"), row(2)])},
    )
    reader = Reader(resource)
    reader.run()
    assert reader.seen == counted(resource.rows)


def test_a_reading_again_that_is_broken_off_goes_on_from_where_it_was():
    resource = Resource([row(minute) for minute in range(40)], changes={5: adding([row(2, "late")])})
    reader = Reader(resource)
    first = sum(1 for _ in Reader(Resource(list(resource.rows))).stretches())
    reader.run(first + 1)
    reader.run()
    assert reader.seen == counted(resource.rows)


def test_rows_that_come_at_the_end_do_not_have_all_read_again():
    still, growing = (Resource([row(minute) for minute in range(40)]) for _ in range(2))
    growing.changes = {call: adding([row(50 + call)]) for call in range(2, 8)}
    for resource in (still, growing):
        Reader(resource).run()
    assert growing.calls <= 2 * still.calls + 6
