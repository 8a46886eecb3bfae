"""One address that was written too often: it rests alone."""

import pytest

from listbridge.exports import batches
from listbridge.exports.batches import rest_ms
from listbridge.pacing import describe
from listbridge.store.store import now_ms
from listbridge.systems import limits_of
from listbridge.workflows.models import State

ANN, BOB = "ann@example.com", "bob@example.com"


def score(export, person):
    part = export.context.store.part(person)
    return export.context.store.client.zscore(part.retry(export.list.list_id), person)


def rested(export, person):
    """The person's rest is over."""
    part = export.context.store.part(person)
    export.context.store.client.zadd(part.retry(export.list.list_id), {person: 1})


def test_an_address_that_was_written_too_often_is_deferred_alone_and_longer_each_time(export):
    only = export.create("vip", "lapsed")
    export.account.switches.change({"too_fast_seconds": 600})
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.happen(("enter", ANN, "lapsed"), ("enter", BOB, "vip"))

    rests = []
    for _ in range(3):
        export.deliver()
        rests.append(score(export, ANN) - now_ms())
        rested(export, ANN)

    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])
    assert score(export, BOB) is None
    assert [round(rest / 60_000) for rest in rests] == [1, 2, 4]
    assert export.state(only) is State.RUNNING
    assert export.refusals() == {}
    seen = describe(export.context.store, export.budget, limits_of(export.context.settings))
    assert (seen.refused, seen.calls_per_second) == (0, 500)

    export.account.clock.advance(700)
    export.deliver()
    assert sorted(export.held(ANN)) == ["lapsed", "vip"]
    assert score(export, ANN) is None


def test_the_rest_starts_anew_after_a_success(export):
    export.create("vip", "lapsed")
    for audience in ("vip", "lapsed"):
        export.account.switches.change({"too_fast_seconds": 0})
        export.happen(("enter", ANN, audience))
        export.deliver()
        export.account.switches.change({"too_fast_seconds": 600})
        export.happen(("exit", ANN, audience), ("enter", BOB, audience))
        export.account.clock.advance(1)
        export.list.written[ANN] = export.account.clock.now()
        export.deliver()

        assert score(export, ANN) - now_ms() == pytest.approx(60_000, abs=2_000)
        export.account.clock.advance(700)
        rested(export, ANN)
        export.deliver()
        assert score(export, ANN) is None


@pytest.mark.parametrize(("tries", "minutes"), [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (10_000, 60)])
def test_the_rest_doubles_up_to_an_hour(tries, minutes):
    assert rest_ms(tries) == minutes * 60_000
    assert rest_ms(tries) <= batches.LONGEST_REST_MS
