import pytest

from listbridge import bells
from listbridge.store import keys
from listbridge.store.lease import Lease


@pytest.fixture(params=["store", "fake_store"])
def any_store(request):
    return request.getfixturevalue(request.param)


def test_a_lease_has_one_holder(any_store):
    one, other = Lease(any_store, "x", 5000), Lease(any_store, "x", 5000)

    assert one.acquire()
    assert not other.acquire()
    assert Lease(any_store, "y", 5000).acquire()
    one.release()
    assert other.acquire()


def test_a_lease_that_was_acquired_without_hearing_the_reply_is_ours(any_store):
    lease = Lease(any_store, "x", 5000)

    assert lease.acquire()
    assert lease.acquire()


def test_a_lease_runs_out_unless_it_is_extended(any_store):
    lease = Lease(any_store, "x", 5000)
    lease.acquire()
    any_store.client.pexpire(keys.lease("x"), 1000)

    assert lease.extend()
    assert 4000 < any_store.client.pttl(keys.lease("x")) <= 5000


def test_a_lease_that_ran_out_can_neither_be_extended_nor_released_under_its_next_holder(any_store):
    one, other = Lease(any_store, "x", 5000), Lease(any_store, "x", 5000)
    one.acquire()
    any_store.client.delete(keys.lease("x"))

    assert not one.extend()
    assert other.acquire()
    assert not one.extend()
    one.release()
    assert other.extend()


def test_a_lease_that_was_never_acquired_is_released_without_harm(any_store):
    Lease(any_store, "x", 5000).release()


def test_a_bell_rings_once_until_it_is_cleared(any_store):
    assert bells.ring(any_store, "deliver:l1")
    assert not bells.ring(any_store, "deliver:l1")
    assert bells.ring(any_store, "deliver:l2")
    assert bells.is_rung(any_store, "deliver:l1")

    assert bells.clear(any_store, "deliver:l1")
    assert not bells.is_rung(any_store, "deliver:l1")
    assert not bells.clear(any_store, "deliver:l1")
    assert bells.ring(any_store, "deliver:l1")


def test_a_bell_whose_message_was_lost_falls_silent_by_itself(any_store):
    bells.ring(any_store, "deliver:l1")

    assert 0 < any_store.client.pttl(keys.bell("deliver:l1")) <= bells.LIFE_MS
