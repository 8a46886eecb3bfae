"""Pages that are read before their turn, in any order, of a service that changes between any two calls."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reading_by_date import (
    Reader,
    Resource,
    adding,
    counted,
    crowded,
    late_or_new,
    row,
    rows_of_a_report,
    services,
    stops,
)

from listbridge.campaign_monitor.ahead import Lanes, in_order, looking
from listbridge.campaign_monitor.dated import read_dated

SPAN = 300


class Late(Future):
    """A page that is on its way: which of those that are comes next is left to chance."""

    def __init__(self, lanes):
        super().__init__()
        self.lanes = lanes

    def result(self, timeout=None):
        while not self.done():
            self.lanes.answer()
        return super().result(timeout)


class Scrambled(Lanes):
    """Lanes whose calls are answered one by one, in an order of chance."""

    def __init__(self, most, seed):
        super().__init__(most)
        self.chance = Random(seed)
        self.coming = []

    def submit(self, fetch, number):
        if not self._room.acquire(blocking=False):
            return None
        future = Late(self)
        self.coming.append((future, fetch, number))
        while self.coming and self.chance.random() < 0.4:
            self.answer()
        return future

    def answer(self):
        future, fetch, number = self.coming.pop(self.chance.randrange(len(self.coming)))
        if future.set_running_or_notify_cancel():
            future.set_result(fetch(number))


lanes = st.builds(Scrambled, st.integers(1, 6), st.integers(0, 10_000))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(rows_of_a_report, crowded),
    st.dictionaries(st.integers(1, 40), st.lists(late_or_new, min_size=1, max_size=6), max_size=8),
    services,
    stops,
    lanes,
)
def test_a_report_that_grows_while_it_is_read_ahead_is_counted_exactly(
    rows, additions, service, stops, ahead
):
    changes = {call: adding(added) for call, added in additions.items()}
    resource = Resource([row(SPAN), *rows], changes=changes, **service)
    reader = Reader(resource, partial(read_dated, reading=ahead.reading))
    for most in stops:
        reader.run(most)
    reader.run()
    resource.changes.clear()
    reader.run()
    assert reader.seen == counted(resource.rows)


@settings(max_examples=200, deadline=None)
@given(st.integers(5, 40), st.integers(0, 10_000), st.integers(1, 16), st.booleans(), st.integers(1, 6))
def test_rows_that_come_before_what_is_read_ahead_shift_nothing_out(many, seed, call, inclusive, most):
    """One row comes in anywhere, at any call: what was there before is there, each once."""
    before = [row(minute) for minute in range(many)]
    resource = Resource(list(before), inclusive=inclusive, page_size=4)
    resource.changes = {call: adding([row(Random(seed).randrange(many), "late")])}
    reader = Reader(resource, partial(read_dated, reading=Scrambled(most, seed).reading))
    reader.run()
    assert counted(before) <= reader.seen <= counted(resource.rows)


@settings(max_examples=200, deadline=None)
@given(st.integers(5, 40), st.integers(0, 10_000), st.integers(1, 24), st.booleans(), st.integers(1, 6))
def test_a_row_that_is_taken_out_while_pages_are_read_ahead_doubles_nothing(
    many, seed, call, inclusive, most
):
    """A person was deleted for good, and so was a row of theirs: equal ones that stay are counted once."""
    before = [row(minute // 7) for minute in range(many)]
    resource = Resource(list(before), inclusive=inclusive, page_size=4)
    resource.changes = {call: lambda rows: rows.pop(Random(seed).randrange(len(rows)))}
    reader = Reader(resource, partial(read_dated, reading=Scrambled(most, seed).reading))
    reader.run()
    assert reader.seen <= counted(before)


@pytest.mark.parametrize("most", [1, 3, 16])
def test_a_report_that_stays_is_read_by_the_same_calls(most):
    still, ahead = (Resource([row(minute) for minute in range(97)]) for _ in range(2))
    Reader(still).run()
    Reader(ahead, partial(read_dated, reading=Scrambled(most, 1).reading)).run()
    assert ahead.calls == still.calls


def test_what_was_asked_for_and_is_not_wanted_gives_its_room_back():
    ahead = Scrambled(2, 1)
    resource = Resource([row(minute) for minute in range(97)])
    for most in range(1, 15):
        reader = Reader(resource, partial(read_dated, reading=ahead.reading))
        reader.run(most)
    assert ahead._room._value == 4


def test_no_more_calls_are_on_their_way_than_there_are_lanes():
    ahead, lock = Lanes(3), threading.Lock()
    now, most = 0, 0
    full = threading.Barrier(3)

    def fetch(number):
        nonlocal now, most
        ahead.enter()
        with lock:
            now += 1
            most = max(most, now)
        if number < 3:
            full.wait(5)
        with lock:
            now -= 1
        ahead.leave()
        return number

    futures = [ahead.submit(fetch, number) for number in range(8)]
    assert [None if each is None else each.result(5) for each in futures] == [0, 1, 2, 3, 4, 5, None, None]
    assert most == 3
    ahead.end()


def test_a_call_that_somebody_waits_for_goes_before_those_that_are_read_ahead():
    ahead, order = Lanes(1), []
    ahead.enter()
    waiting = ahead.submit(lambda _: (ahead.enter(), order.append("ahead"), ahead.leave()), 1)
    awaited = threading.Event()

    def direct():
        awaited.set()
        ahead.enter()
        order.append("awaited")
        ahead.leave()

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(direct)
        assert awaited.wait(5)
        while not ahead._awaited:
            threading.Event().wait(0.001)
        ahead.leave()
        made.result(5)
    waiting.result(5)
    assert order == ["awaited", "ahead"]
    ahead.end()


def test_what_is_looked_for_comes_in_order_and_so_many_at_a_time():
    now, most, lock = 0, 0, threading.Lock()

    def work(number):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1
        return number * 2

    with looking(3) as pool:
        assert list(in_order(pool, work, range(20), 3)) == [number * 2 for number in range(20)]
    assert most <= 3
