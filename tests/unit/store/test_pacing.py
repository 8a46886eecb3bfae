import pytest

from listbridge import pacing
from listbridge.errors import Retriable
from listbridge.pacing import Pace, Paced
from listbridge.store import keys


@pytest.fixture
def pace(store):
    return Pace(store, "account")


@pytest.fixture
def slept(monkeypatch):
    """The sleeps of the process, which take no time."""
    found = []
    monkeypatch.setattr(pacing.time, "sleep", found.append)
    return found


def rest(store):
    return store.client.pttl(keys.pace("account")) / 1000


def test_nobody_waits_before_the_first_refusal(pace, slept):
    pace.wait()

    assert slept == []


def test_a_long_rest_is_an_error_that_says_how_long(pace):
    pace.hold(60)

    with pytest.raises(Paced, match="held back for 60 s more") as caught:
        pace.wait()
    assert isinstance(caught.value, Retriable)
    assert 59 < caught.value.retry_after_seconds <= 60


def test_a_short_rest_is_waited_out(pace, store, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        store.client.delete(keys.pace("account"))

    monkeypatch.setattr(pacing.time, "sleep", sleep)
    pace.hold(1.5)
    pace.wait()

    assert len(slept) == 1
    assert 1 < slept[0] <= 1.5


def test_a_rest_that_was_made_longer_meanwhile_is_waited_for_too(pace, store, monkeypatch):
    monkeypatch.setattr(pacing.time, "sleep", lambda _: pace.hold(30))
    pace.hold(1)

    with pytest.raises(Paced):
        pace.wait()


def test_the_longest_rest_holds(pace, store):
    pace.hold(60)
    pace.hold(None)
    assert 59 < rest(store) <= 60

    pace.hold(90)
    assert 89 < rest(store) <= 90


@pytest.mark.parametrize(
    ("said", "low", "high"), [(None, 4, 5), (0, 0, 0.1), (-3, 0, 0.1), (10**9, 3599, 3600)]
)
def test_what_was_not_said_or_makes_no_sense_is_kept_in_bounds(pace, store, said, low, high):
    pace.hold(said)

    assert low <= rest(store) <= high


def test_every_worker_of_an_account_rests_and_those_of_others_do_not(pace, store):
    pace.hold(60)

    with pytest.raises(Paced):
        Pace(store, "account").wait()
    Pace(store, "another").wait()
