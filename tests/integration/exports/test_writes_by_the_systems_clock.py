"""Our own writes come back as webhooks, and are known by the system's time, whatever our clock says."""

import time

import pytest

from listbridge.campaign_monitor import clock
from listbridge.exports.delivered import unpack_delivered
from simulator.faults import Fault

ANN, BOB = "ann@example.com", "bob@example.com"
ASKED = "GET /systemdate"


@pytest.fixture
def our_clock(monkeypatch):
    """Seconds by which our clock, and not the steady one, is wrong."""
    real, held = time.time_ns, {"seconds": 0}
    monkeypatch.setattr(time, "time_ns", lambda: real() + held["seconds"] * 1_000_000_000)
    monkeypatch.setattr(clock, "_heard", {})
    return held


def written_at(export, email):
    """When the list was last told of the person, by the simulator's clock: seconds from now."""
    store, list_id = export.context.store, export.list.list_id
    told = unpack_delivered(store.client.hget(store.part(email).delivered(list_id), email))
    return told.writes[-1][0] / 1000 - export.account.clock.now().timestamp()


@pytest.mark.parametrize("moved", [600, -600, 90_000, -90_000])
def test_a_clock_that_is_moved_between_two_deliveries_moves_no_write(export, our_clock, moved):
    export.create("vip", existing_users=True)
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    assert abs(written_at(export, ANN)) < 60
    asked = export.calls(ASKED)
    our_clock["seconds"] = moved
    export.happen(("enter", BOB, "vip"))

    export.deliver()

    assert export.held(BOB) == ["vip"]
    assert abs(written_at(export, BOB)) < 60
    assert export.calls(ASKED) <= asked + 1


def test_a_clock_that_stays_as_it_is_costs_no_call(export, our_clock):
    our_clock["seconds"] = 600
    export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    asked = export.calls(ASKED)
    export.happen(("enter", BOB, "vip"))

    export.deliver()

    assert abs(written_at(export, BOB)) < 60
    assert export.calls(ASKED) == asked


def test_a_system_that_does_not_tell_its_time_is_believed_to_have_ours(export, our_clock):
    export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    our_clock["seconds"] = 600
    export.server.simulator.faults.add(Fault(match="systemdate", kind="500", times=-1))
    export.happen(("enter", BOB, "vip"))

    export.deliver()

    assert export.held(BOB) == ["vip"]
