"""Calls in flight: in order, as many as there are slots, and none after a problem."""

import threading
from contextlib import ExitStack

import pytest

from listbridge.exports.calls import Calls

PATIENCE_SECONDS = 5


class Harmless(Exception):
    pass


class Grave(Exception):
    pass


class Gate:
    """Calls that wait until they are let through."""

    def __init__(self):
        self.begun, self.arrived = [], threading.Semaphore(0)
        self.through = threading.Semaphore(0)
        self.raising = {}

    def make(self, batch):
        self.begun.append(batch)
        self.arrived.release()
        assert self.through.acquire(timeout=PATIENCE_SECONDS)
        if batch in self.raising:
            raise self.raising[batch]
        return batch * 10

    def wait(self, n):
        for _ in range(n):
            assert self.arrived.acquire(timeout=PATIENCE_SECONDS)

    def let(self, n):
        for _ in range(n):
            self.through.release()


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def start(gate):
    with ExitStack() as stack:

        def opened(in_flight, before=lambda: None):
            calls = Calls(gate.make, before, in_flight, harmless=Harmless)
            stack.enter_context(calls.opened())
            stack.callback(gate.let, 100)
            return calls

        yield opened


def settled(calls, n):
    found = []
    while len(found) < n:
        found += calls.ended(PATIENCE_SECONDS)
    return found


def test_as_many_begin_as_there_are_slots_and_the_rest_in_order_by_themselves(gate, start):
    calls = start(2)
    calls.put([1, 2, 3, 4, 5])
    gate.wait(2)
    assert (sorted(gate.begun), calls.waiting, calls.unsettled) == ([1, 2], 3, 5)

    gate.let(3)
    gate.wait(3)  # nobody has asked for what ended

    assert gate.begun[2:] == [3, 4, 5]
    gate.let(2)
    assert sorted(each.result() for each in settled(calls, 5)) == [10, 20, 30, 40, 50]
    assert calls.unsettled == 0


def test_what_follows_a_call_goes_before_all_others(gate, start):
    calls = start(1)
    calls.put([1, 4, 5])
    gate.wait(1)
    calls.put([2, 3], first=True)
    gate.let(5)
    settled(calls, 5)

    assert gate.begun == [1, 2, 3, 4, 5]


def test_after_a_problem_none_begins_and_the_rest_is_given_back(gate, start):
    calls = start(2)
    gate.raising = {1: Grave(), 2: Grave()}
    calls.put([1, 2, 3, 4])
    gate.wait(2)
    gate.let(2)

    assert {each.batch: type(each.problem) for each in settled(calls, 2)} == {1: Grave, 2: Grave}
    assert (calls.halt(), sorted(gate.begun)) == ([3, 4], [1, 2])


def test_a_harmless_problem_stops_no_other_call(gate, start):
    calls = start(1)
    gate.raising = {1: Harmless()}
    calls.put([1, 2])
    gate.let(2)

    first, second = settled(calls, 2)

    with pytest.raises(Harmless):
        first.result()
    assert second.result() == 20


def test_no_call_begins_without_leave(gate, start):
    def refuse():
        raise Grave("no")

    calls = start(3, refuse)
    calls.put([1, 2])

    assert calls.ended(PATIENCE_SECONDS) == []
    assert isinstance(calls.take_problem(), Grave)
    assert (calls.halt(), gate.begun, calls.unsettled) == ([1, 2], [], 0)


def test_waiting_ends_when_nothing_is_under_way(start):
    assert start(2).ended(PATIENCE_SECONDS) == []
