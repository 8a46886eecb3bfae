import threading
import time

import pytest
import redis

from listbridge.errors import Retriable
from listbridge.pacing import Budget, Limits, Outcome, Paced, Pacer, describe, pacer


@pytest.fixture
def pacer_of(store):
    def make(*, limits=None, **options):
        return Pacer(Budget(store, "a", limits or Limits()), **options)

    return make


def test_nobody_waits_before_the_first_refusal(pacer_of, monkeypatch):
    monkeypatch.setattr(pacer.time, "sleep", lambda _: pytest.fail("waited"))
    one = pacer_of()

    for _ in range(5):
        one.before()
        one.after(Outcome.ANSWERED)


def test_a_long_rest_is_an_error_that_says_how_long(pacer_of):
    one = pacer_of()
    one.before()
    one.after(Outcome.REFUSED, rest_seconds=60)

    for patient in (False, True):
        with pytest.raises(Paced, match=r"rests for 60 s more") as caught:
            pacer_of(patient=patient).before()
        assert isinstance(caught.value, Retriable)
        assert 59 < caught.value.retry_after_seconds <= 60


def test_a_short_rest_is_waited_out(pacer_of):
    one = pacer_of()
    one.before()
    one.after(Outcome.REFUSED, rest_seconds=0.6)
    began = time.monotonic()

    one.before()

    assert time.monotonic() - began >= 0.5


def test_who_waits_stops_when_asked_to_and_leaves_no_call_in_flight(store, pacer_of):
    limits = Limits(most=0.5)
    first = pacer_of(limits=limits)
    first.before()
    first.after(Outcome.ANSWERED)
    stopping = threading.Event()
    timer = threading.Timer(0.3, stopping.set)
    timer.start()

    with pytest.raises(Paced, match="stopped"):
        pacer_of(limits=limits, stopping=stopping.is_set).before()
    timer.join()

    seen = describe(store, "a", limits)
    assert (seen.in_flight, seen.calls) == (0, 1)


def test_who_has_waited_while_the_account_was_refused_does_not_call(pacer_of):
    limits = Limits(most=1)
    one, other = pacer_of(limits=limits), pacer_of(limits=limits)
    one.before()
    problems = []

    def call():
        try:
            other.before()
        except Paced as problem:
            problems.append(str(problem))

    waiting = threading.Thread(target=call)
    waiting.start()
    waiting.join(0.3)
    one.after(Outcome.REFUSED, rest_seconds=60)
    waiting.join(5)

    (problem,) = problems
    assert "rests" in problem


def test_who_finds_all_slots_taken_gets_the_next_that_is_free(pacer_of):
    limits = Limits(in_flight=1)
    one, other = pacer_of(limits=limits), pacer_of(limits=limits)
    one.before()
    waiting = threading.Thread(target=other.before)
    waiting.start()
    waiting.join(0.3)
    waited = waiting.is_alive()
    one.after(Outcome.ANSWERED)
    waiting.join(2)

    assert (waited, waiting.is_alive()) == (True, False)


def test_who_finds_all_slots_taken_for_long_sleeps(pacer_of):
    limits = Limits(in_flight=1)
    pacer_of(limits=limits).before()

    with pytest.raises(Paced, match="as many calls in flight as it may"):
        pacer_of(limits=limits).before()


def test_a_call_is_not_undone_by_a_store_that_cannot_be_told(pacer_of, monkeypatch, caplog):
    one = pacer_of()
    one.before()

    def broken(*_, **__):
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(one.budget, "settle", broken)
    one.after(Outcome.ANSWERED)

    assert "could not be told" in caplog.text


def test_each_thread_has_a_permit_of_its_own(store, pacer_of):
    one = pacer_of()
    barrier = threading.Barrier(4)

    def call():
        one.before()
        barrier.wait(5)
        one.after(Outcome.ANSWERED)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = describe(store, "a", Limits())
    assert (seen.calls, seen.in_flight) == (4, 0)
