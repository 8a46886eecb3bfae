"""Waiting for what was written: nothing is concluded from a reading that came too early."""

from types import SimpleNamespace

import pytest

from listbridge.campaign_monitor.models import Subscriber
from listbridge.doctor.findings import Examination, Outcome, failed, fine, patiently, warning
from listbridge.doctor.scratch import Scratch
from listbridge.doctor.trials import Patience, Trials, Unclear
from listbridge.errors import Fatal, Retriable


def person(name, state="Active"):
    return Subscriber("ann@example.com", "2026-05-01 12:00:00", state, name)


def trials(*readings):
    """Trials whose list shows these, one after the other."""
    shown = list(readings)
    api = SimpleNamespace(subscriber=lambda *_: shown.pop(0) if len(shown) > 1 else shown[0])
    scratch = Scratch(api, "c1", "example.com", token="00000000", list_id="l1")
    return Trials(scratch, Patience(shows=0.05, counted=0.05, rests=0.05, poll=0.001), "[Many]", "[Text]")


def test_a_reading_waits_until_it_shows_the_write():
    made = trials(None, person("marker 7"), person("marker 0"))
    assert made.shown(made.row("ann@example.com")).name == "marker 0"


def test_a_write_that_never_shows_leaves_a_question_open():
    made = trials(person("marker 7"))
    with pytest.raises(Unclear, match="did not show within"):
        made.shown(made.row("ann@example.com"))


def test_a_state_is_waited_for():
    trials(person("a"), person("a", "Unsubscribed")).left("ann@example.com", "unsubscribed")
    with pytest.raises(Unclear, match="unsubscribed did not show"):
        trials(person("a")).left("ann@example.com", "unsubscribed")


def test_no_two_rows_have_one_name():
    made = trials(None)
    assert len({made.row("ann@example.com").name for _ in range(5)}) == 5


@pytest.mark.parametrize("counts", [(0, 2, 3, 3), (1, 3, 3)])
def test_a_segment_counts_when_it_says_the_same_twice(counts):
    made, left = trials(None), list(counts)
    made.scratch.api.segment = lambda _: SimpleNamespace(active_subscribers=left.pop(0))
    assert made.counted("s1") == 3


def test_a_segment_that_is_never_counted_leaves_a_question_open():
    made = trials(None)
    made.scratch.api.segment = lambda _: SimpleNamespace(active_subscribers=0)
    with pytest.raises(Unclear, match="no segment was counted"):
        made.counted("s1")


# An examination


def test_what_needs_something_that_failed_is_skipped_and_says_so():
    told = []
    exam = Examination(told.append)
    first = exam.step("store", "", lambda: failed("gone", "start it"))
    second = exam.step("key", "Acme", lambda: fine("valid"), needs=[first])
    third = exam.step("lists", "", lambda: fine("3 lists"), needs=[second])
    assert [each.outcome for each in told] == [Outcome.FAILED, Outcome.SKIPPED, Outcome.SKIPPED]
    assert second.found == "needs store, which failed"
    assert third.found == "needs key (Acme), which was skipped"
    assert not exam.healthy


def test_a_warning_holds_nothing_up():
    exam = Examination()
    first = exam.step("clock", "", lambda: warning("late", "set it"))
    assert exam.step("lists", "", lambda: fine("3"), needs=[first]).outcome is Outcome.OK
    assert exam.healthy


def test_problems_of_the_system_are_failures_with_what_to_do():
    def look():
        raise Fatal("the list is gone")

    found = Examination().step("list", "A", look)
    assert (found.outcome, found.found) == (Outcome.FAILED, "the list is gone")
    assert found.remedy.startswith("Stop the workflow and read the message")


def test_other_errors_are_raised():
    with pytest.raises(ZeroDivisionError):
        Examination().step("list", "A", lambda: 1 / 0)


def test_patience_ends():
    calls = []

    def never():
        calls.append(1)
        raise Retriable("busy")

    with pytest.raises(Retriable):
        patiently(never, 0.6)
    assert len(calls) == 2


def test_a_wait_that_is_asked_for_and_too_long_is_not_begun():
    problem = Retriable("busy")
    problem.retry_after_seconds = 60

    def never():
        raise problem

    with pytest.raises(Retriable):
        patiently(never, 1.0)
