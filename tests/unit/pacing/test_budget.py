from itertools import pairwise

import pytest
from account_in_time import Api, Clock, most_within, run
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from listbridge.pacing import Budget, Limits, Outcome, Quota, describe
from listbridge.store import keys

HOUR, DAY = 3_600_000_000, 86_400_000_000
PROPERTY = examples(15)


def unlimited(_at):
    return 10**9


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def budget_of(store, clock):
    def make(account="a", **limits):
        return Budget(store, account, Limits(**limits), clock=clock)

    return make


def reserve(budget, name, longest=60.0, **options):
    return budget.reserve(name, longest_seconds=longest, **options)


@PROPERTY
@given(callers=st.integers(1, 60), rate=st.sampled_from([0.5, 2, 7.5, 40, 300]))
def test_callers_who_ask_at_once_get_moments_of_their_own_an_interval_apart(store, callers, rate):
    store.client.flushall()
    budget = Budget(store, "a", Limits(most=rate, in_flight=256), clock=Clock())

    waits = [reserve(budget, f"c{n}", longest=600).wait_seconds for n in range(callers)]

    assert waits[0] == 0
    burst = 1 + int(0.1 * rate + 1e-6)
    assert all(wait == 0 for wait in waits[:burst])
    late = waits[burst - 1 :]
    assert all(abs(b - a - 1 / rate) < 1e-4 for a, b in pairwise(late[1:]))


@PROPERTY
@given(
    rate=st.sampled_from([3, 20, 150]),
    jumps=st.lists(
        st.tuples(st.integers(0, 10_000_000), st.sampled_from([-DAY, -HOUR, -1_000_000, -7, HOUR, DAY])),
        max_size=4,
    ),
)
def test_a_clock_that_jumps_neither_stops_the_calls_nor_lets_a_burst_through(store, rate, jumps):
    store.client.flushall()

    calls = run(store, Api(unlimited), callers=8, seconds=10, limits=Limits(most=rate), jumps=jumps)

    # A jump forward, like an idle time, gives one burst; what the callers had reserved goes beside it.
    forward = sum(by > 0 for _, by in jumps)
    allowed = rate * 1.1 + 1 + forward * (0.1 * rate + 1 + 8)
    assert most_within(calls, 1.0) <= allowed
    gaps = [b - a for (a, _), (b, _) in pairwise(sorted(calls))]
    assert max(gaps) <= 1_000_000 / rate * 9
    reaches = min(8 / 0.03, rate)
    assert len(calls) >= 9 * reaches * 0.9


@pytest.mark.parametrize("by", [-DAY, -HOUR, HOUR, DAY])
def test_a_rest_is_not_stretched_by_a_clock_that_jumps(budget_of, clock, by):
    budget = budget_of()
    got = reserve(budget, "one")
    budget.settle("one", got.epoch, Outcome.REFUSED, rest_seconds=30)

    clock.off += by

    left = reserve(budget, "two").wait_seconds
    assert left == (pytest.approx(30) if by < 0 else 0)
    clock.now += 30_000_000
    assert reserve(budget, "two").granted


@pytest.mark.parametrize("tells", [True, False])
def test_an_api_that_halves_its_limit_silently_refuses_few(store, tells):
    """100 calls in 2 s, then 40: beside it, the same callers at a fixed rate."""

    def limit(at):
        return 100 if at < 6_000_000 else 40

    paced = Api(limit, tells=tells)
    run(store, paced, callers=8, seconds=20, limits=Limits(most=50), account="paced")
    fixed = Api(limit)
    for number in range(20 * 50):
        fixed.call(number * 20_000)

    assert fixed.refused > 150
    assert paced.refused <= (0 if tells else 3 * 8)
    assert paced.accepted >= (0.9 if tells else 0.5) * fixed.accepted


def test_without_a_word_of_the_limit_it_is_found_and_kept(store):
    """20 calls in 2 s from the first, by callers who could make hundreds."""
    api = Api(lambda _at: 20)
    clock = Clock()

    run(store, api, callers=8, seconds=60, clock=clock)
    early = api.refused, api.accepted
    run(store, api, callers=8, seconds=240, clock=clock)

    assert early[0] <= 60
    assert api.refused - early[0] <= 24
    assert api.accepted - early[1] >= 0.6 * 240 * 10


def test_after_the_limit_is_gone_the_rate_comes_back(store):
    api = Api(lambda at: 20 if at < 20_000_000 else 10**9)
    clock = Clock()

    run(store, api, callers=8, seconds=20, clock=clock)
    run(store, api, callers=8, seconds=150, clock=clock)
    last = run(store, api, callers=8, seconds=5, clock=clock)

    assert len(last) > 5 * 200


def test_refusals_of_calls_in_flight_together_count_once(store, budget_of):
    budget = budget_of()
    held = [reserve(budget, f"c{n}") for n in range(8)]

    for n, got in enumerate(held):
        budget.settle(f"c{n}", got.epoch, Outcome.REFUSED)
    once = describe(store, "a", budget.limits)
    budget.settle("c0", held[0].epoch, Outcome.REFUSED)

    assert once.refused == 8
    assert once.calls_per_second == pytest.approx(8 * 0.7)
    assert describe(store, "a", budget.limits).calls_per_second == once.calls_per_second
    assert budget.epoch() == 1


def test_each_refusal_in_a_row_doubles_the_rest_and_a_success_forgets_them(budget_of, clock):
    budget, rests = budget_of(), []

    def call(outcome):
        got = reserve(budget, "one")
        assert got.granted
        clock.now += int(got.wait_seconds * 1e6)
        budget.settle("one", got.epoch, outcome)

    for outcome in (Outcome.REFUSED, Outcome.REFUSED, Outcome.REFUSED, Outcome.ANSWERED, Outcome.REFUSED):
        call(outcome)
        if outcome is Outcome.REFUSED:
            clock.now += 1
            rests.append(round(reserve(budget, "look", longest=0).wait_seconds))
            clock.now += rests[-1] * 1_000_000

    assert rests == [2, 4, 8, 2]


@pytest.mark.parametrize(("said", "rest"), [(60, 60), (0.0, 0.1), (-3, 0.1), (10**9, 3600)])
def test_the_rest_that_a_refusal_asks_for_is_kept_within_bounds(budget_of, said, rest):
    budget = budget_of()
    got = reserve(budget, "one")

    budget.settle("one", got.epoch, Outcome.REFUSED, rest_seconds=said)

    assert reserve(budget, "two", longest=0).wait_seconds == pytest.approx(rest)


def test_the_longest_rest_holds(budget_of):
    budget = budget_of()
    held = [reserve(budget, f"c{n}") for n in range(3)]

    for n, rest in enumerate((60, 5, None)):
        budget.settle(f"c{n}", held[n].epoch, Outcome.REFUSED, rest_seconds=rest)

    assert reserve(budget, "next").wait_seconds == pytest.approx(60)


def test_the_calls_that_are_left_are_spread_over_the_window(budget_of, clock):
    budget = budget_of()
    got = reserve(budget, "one")
    budget.settle("one", got.epoch, Outcome.ANSWERED, quota=Quota(60, 10, 20.0))

    waits = [reserve(budget, f"c{n}").wait_seconds for n in range(10)]
    beyond = reserve(budget, "beyond").wait_seconds

    assert max(abs(b - a - 2) for a, b in pairwise(waits)) < 0.2
    assert beyond >= 19.8


def test_nobody_calls_when_no_call_is_left_until_the_window_ends(budget_of, clock):
    budget = budget_of()
    got = reserve(budget, "one")
    budget.settle("one", got.epoch, Outcome.ANSWERED, quota=Quota(60, 0, 20.0))

    refused = reserve(budget, "two", longest=2)
    clock.now += 20_000_000

    assert (refused.granted, refused.why) == (False, "queue")
    assert refused.wait_seconds == pytest.approx(20)
    assert reserve(budget, "two").wait_seconds == 0


def test_a_quota_that_is_told_no_more_is_forgotten(store, budget_of, clock):
    budget = budget_of()
    got = reserve(budget, "one")
    budget.settle("one", got.epoch, Outcome.ANSWERED, quota=Quota(60, 1, 20.0))

    clock.now += 41_000_000

    assert [reserve(budget, f"c{n}").wait_seconds for n in range(10)] == [0] * 10


def test_no_more_calls_are_in_flight_than_may_be(budget_of):
    budget = budget_of(in_flight=3)

    granted = [reserve(budget, f"c{n}").granted for n in range(5)]
    budget.settle("c1", 0, Outcome.FAILED)

    assert granted == [True, True, True, False, False]
    assert reserve(budget, "c4").granted
    assert reserve(budget, "c3").why == "full"


def test_the_slot_of_a_killed_caller_comes_back(budget_of, clock):
    budget = budget_of(in_flight=1, call_seconds=130)
    assert reserve(budget, "killed").granted

    clock.now += 129_000_000
    assert reserve(budget, "next").why == "full"
    clock.now += 2_000_000
    assert reserve(budget, "next").granted


def test_a_reservation_that_is_made_again_takes_no_second_slot(budget_of):
    budget = budget_of(in_flight=2)

    assert reserve(budget, "one").granted
    assert reserve(budget, "one").granted
    assert reserve(budget, "two").granted


def test_the_patient_leave_slots_free(budget_of):
    budget = budget_of(in_flight=4)

    patient = [reserve(budget, f"p{n}", patient=True).granted for n in range(4)]

    assert patient == [True, True, True, False]
    assert reserve(budget, "export").granted


def test_exports_do_not_starve_behind_imports(store):
    """Twelve importers keep the budget busy; an exporter comes in among them again and again."""
    calls = run(store, Api(unlimited), callers=13, patient=12, seconds=30, limits=Limits(most=10))
    exporter = sorted(at for at, caller in calls if caller == 12)

    assert most_within(calls, 1.0) <= 12
    assert max(b - a for a, b in pairwise(exporter)) < 1_000_000
    assert len(exporter) >= 0.18 * 30 * 10
    importers = sum(caller < 12 for _, caller in calls)
    assert importers >= 0.5 * len(calls) - 12


def test_imports_alone_use_their_share(store):
    calls = run(store, Api(unlimited), callers=8, patient=8, seconds=20, limits=Limits(most=10))

    assert 0.75 * 20 * 10 <= len(calls) <= 0.8 * 20 * 10 + 3


def test_accounts_have_budgets_of_their_own(budget_of):
    one, other = budget_of("one"), budget_of("other")
    got = reserve(one, "c")
    one.settle("c", got.epoch, Outcome.REFUSED, rest_seconds=60)

    assert not reserve(one, "d", longest=2).granted
    assert reserve(other, "d", longest=2).granted


def test_the_standing_tells_calls_refusals_waits_and_the_present_rate(store, budget_of):
    budget = budget_of(most=100)
    for n in range(3):
        reserve(budget, f"c{n}")
    budget.settle("c0", 0, Outcome.ANSWERED, waited_seconds=1.5)
    budget.settle("c1", 0, Outcome.REFUSED, waited_seconds=0.25, rest_seconds=60)

    seen = describe(store, "a", budget.limits)

    assert (seen.calls, seen.refused, seen.waited_seconds, seen.in_flight) == (2, 1, 1.75, 0)
    assert seen.calls_per_second == pytest.approx(3.5)
    assert describe(store, "never called", budget.limits).calls_per_second == 100


def test_the_store_holds_the_budget_for_a_month(store, budget_of):
    budget = budget_of()
    got = reserve(budget, "one")
    budget.settle("one", got.epoch, Outcome.ANSWERED)

    assert 29 * DAY / 1000 < store.client.pttl(keys.pace("a")) <= 30 * DAY / 1000
