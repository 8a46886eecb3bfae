"""Whatever happens at any step of a delivery, the list ends up holding what it should."""

from dataclasses import replace

import pytest
from delivery_world import LABELS, START, with_feed
from happenings import FAULTS, at_every_step, happen, play, rounds_of
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from listbridge.errors import Skippable

PEOPLE = 3
who = st.integers(0, PEOPLE - 1)
slug = st.sampled_from(sorted(LABELS))
labels = st.lists(st.sampled_from(sorted(LABELS.values())), unique=True, max_size=3)
human = st.one_of(
    happen("act", who, st.sampled_from(["unsubscribed", "deleted", "subscribe"]), told=st.booleans()),
    happen("act", who, st.just("edit"), labels, told=st.booleans()),
    happen("tell"),
)
member = st.one_of(happen("enter", who, slug), happen("leave", who, slug))
change = st.one_of(member, member, human, happen("write", who, st.sampled_from("xy")))
rounds = rounds_of(change, FAULTS, steps=12)


@pytest.mark.parametrize("append", [False, True], ids=["replaces", "appends"])
@examples(120)
@given(played=rounds, bad=st.sets(who, max_size=1), whole=st.sampled_from([None, Skippable]))
def test_at_rest_the_list_equals_the_model(append, new_world, played, bad, whole):
    world = new_world(people=PEOPLE, append=append, bad=bad, whole=whole)

    play(world, played)
    world.settle()

    world.check()
    assert world.flagged == []


@examples(120)
@given(played=rounds, bad=st.sets(who, max_size=1), whole=st.sampled_from([None, Skippable]))
def test_at_rest_the_list_equals_the_model_with_calls_in_flight(new_world, played, bad, whole):
    world = new_world(people=PEOPLE, limit=1, in_flight=2, bad=bad, whole=whole)

    play(world, played)
    world.settle()

    world.check()
    assert world.flagged == []


@pytest.mark.parametrize("resubscribe", ["when_opted_in_later", "always"])
@examples(80)
@given(played=rounds, opted_in=st.dictionaries(who, st.integers(0, 8), max_size=PEOPLE))
def test_an_opt_in_undoes_no_opt_out_that_the_list_told_of_since(new_world, resubscribe, played, opted_in):
    world = new_world(people=PEOPLE)
    world.spec = with_feed(world.spec, resubscribe=resubscribe)

    for person, minutes in opted_in.items():
        world.enter(person, "a", opted_in_at=START + minutes * 60_000)
    play(world, played)
    world.settle()

    world.check()


@pytest.mark.parametrize("how", ["unsubscribed", "deleted"])
@pytest.mark.parametrize("told", [True, False], ids=["told at once", "told later"])
@pytest.mark.parametrize("resubscribe", ["never", "when_opted_in_later", "always"])
@pytest.mark.parametrize("ending", [None, "cut", "crash after", "too many calls"])
def test_an_opt_out_at_any_step_of_a_delivery_is_never_undone(new_world, how, told, resubscribe, ending):
    def begin(world):
        world.spec = with_feed(world.spec, resubscribe=resubscribe)
        world.enter(0, "a", opted_in_at=START)
        world.enter(1, "a")
        world.deliver()
        world.enter(0, "b")

    def leave(world):
        world.act(0, how, told=told)
        world.plan = {world.steps + 1: ending}

    for at, world in at_every_step(new_world, begin, leave, people=2):
        if resubscribe == "always":
            world.write(0, "y")  # to enter another audience would bring them back
        else:
            world.enter(0, "c")

        world.settle()

        assert world.subscribers[world.keys[0]].state == how, f"undone when it came at step {at}"
        assert world.options_of(1) == ["A"]


@pytest.mark.parametrize("resubscribe", ["never", "when_opted_in_later"])
@examples(60)
@given(played=rounds, opted_in=st.dictionaries(who, st.integers(0, 8), max_size=PEOPLE))
def test_a_stale_feed_of_opt_outs_brings_nobody_back(new_world, resubscribe, played, opted_in):
    world = new_world(people=PEOPLE)
    world.spec = with_feed(world.spec, resubscribe=resubscribe, stale=True)

    for person, minutes in opted_in.items():
        world.enter(person, "a", opted_in_at=START + minutes * 60_000)
    play(world, played)
    world.settle()

    world.check()
    assert world.flagged == []


def test_a_repeat_goes_without_the_switch_and_the_answer_to_it_is_decided_about_anew(new_world):
    world = new_world(people=1)
    world.spec = with_feed(world.spec, resubscribe="when_opted_in_later")
    world.act(0, "subscribe")
    world.act(0, "unsubscribed")
    world.clock.now += 120_000
    world.enter(0, "a", opted_in_at=world.clock.now)
    world.plan = {2: "lost"}  # the row, after the look at the person's state
    assert world.attempt() == "Retriable"

    world.settle()

    assert [flags.resubscribe for _, flags in world.calls] == [False, True]
    assert world.options_of(0) == ["A"]


@pytest.mark.parametrize("resubscribe", ["when_opted_in_later", "always"])
def test_a_cut_call_with_the_switch_is_repeated_without_it(new_world, resubscribe):
    def begin(world):
        world.spec = with_feed(world.spec, resubscribe=resubscribe)
        world.act(0, "subscribe")
        world.act(0, "unsubscribed")
        world.clock.now += 120_000
        world.enter(0, "a", opted_in_at=world.clock.now)

    calm = new_world(people=1)
    begin(calm)
    calm.attempt()
    assert [flags.resubscribe for _, flags in calm.calls] == [True]
    for _, world in at_every_step(new_world, begin, "cut", people=1):
        first = [flags.resubscribe for _, flags in world.calls]
        before = len(world.calls)

        world.settle()

        repeats = [flags.resubscribe for _, flags in world.calls[before:]]
        if first == [True] and repeats:
            assert repeats == [False]
        assert world.options_of(0) == ["A"]


@pytest.mark.parametrize("ending", ["cut", "crash before", "crash after", "too many calls"])
@pytest.mark.parametrize("known", [True, False], ids=["status is known", "only the list knows"])
def test_a_later_opt_in_brings_somebody_back_whatever_happens(new_world, ending, known):
    def begin(world):
        world.spec = with_feed(world.spec, resubscribe="when_opted_in_later")
        world.act(0, "subscribe")
        world.act(0, "unsubscribed", told=known)
        world.news.clear()
        world.clock.now += 120_000
        world.enter(0, "a", opted_in_at=world.clock.now)
        world.clock.now += 120_000
        world.enter(1, "a")

    for at, world in at_every_step(new_world, begin, ending, people=2):
        world.settle()

        assert world.options_of(0) == ["A"], f"lost by {ending} at step {at}"
        assert world.options_of(1) == ["A"]
        flagged = [[row.key for row in rows] for rows, flags in world.calls if flags.resubscribe]
        assert flagged[0] == [world.keys[0]]
        assert all(people == [world.keys[0]] for people in flagged)


@pytest.mark.parametrize("ending", ["cut", "crash before", "crash after", "too many calls", "key revoked"])
@pytest.mark.parametrize("append", [False, True], ids=["replaces", "appends"])
def test_no_change_is_lost_whatever_ends_a_delivery_at_any_step(new_world, ending, append):
    def begin(world):
        for person in range(3):
            world.enter(person, "a")
        world.deliver()
        world.enter(0, "b")
        world.leave(0, "a")
        world.leave(1, "a")
        world.enter(3, "c")

    for at, world in at_every_step(new_world, begin, ending, people=4, append=append):
        world.settle()

        held = [world.options_of(person) for person in range(4)]
        assert held == [["B"], [], ["A"], ["C"]], f"{ending} at step {at}"


def test_a_crashed_first_delivery_adds_nobody_who_has_left_since(new_world):
    world = new_world(people=1)
    world.enter(0, "a")
    world.plan = {1: "crash before"}
    assert world.attempt() == "Crash"
    world.leave(0, "a")

    world.settle()

    assert world.subscribers == {}


@pytest.mark.parametrize("ending", ["cut", "crash after"])
@pytest.mark.parametrize("append", [False, True], ids=["replaces", "appends"])
def test_who_was_stored_without_an_answer_and_has_left_since_is_cleared(new_world, ending, append):
    world = new_world(people=1, append=append)
    world.enter(0, "a")
    world.plan = {1: ending}
    assert world.attempt() != "done"
    assert world.options_of(0) == ["A"]
    world.leave(0, "a")

    world.settle()

    assert world.options_of(0) == []


def test_a_clear_that_is_in_doubt_costs_no_reading_back_of_people_who_were_stored(new_world):
    world = new_world(people=6, limit=6)
    for person in range(6):
        world.enter(person, "a")
    world.deliver()
    for person in range(6):
        world.leave(person, "a")
    world.plan = {2: "cut"}
    world.attempt(1)
    world.calls.clear()
    before = world.asked_at.copy()

    world.settle()

    assert world.asked_at == before
    assert len(world.calls) == 1
    world.check()


ENDINGS = ["cut", "crash before", "crash after", "too many calls", "key revoked"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_who_leaves_is_unsubscribed_whatever_ends_a_delivery_at_any_step(new_world, ending):
    def begin(world):
        world.spec = with_feed(world.spec, on_exit="unsubscribe")
        for person in range(3):
            world.enter(person, "a")
        world.deliver()
        world.enter(0, "b")
        world.leave(0, "a")
        world.leave(1, "a")

    for at, world in at_every_step(new_world, begin, ending, people=3):
        world.settle()

        left = world.subscribers[world.keys[1]]
        assert (left.state, left.options) == ("unsubscribed", set()), f"{ending} at step {at}"
        assert (world.options_of(0), world.options_of(2)) == (["B"], ["A"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_who_enters_again_at_any_step_of_their_leaving_is_told_of_or_was_unsubscribed(new_world, ending):
    def begin(world):
        world.spec = with_feed(world.spec, on_exit="unsubscribe")
        world.enter(0, "a")
        world.deliver()
        world.leave(0, "a")

    def enter(world):
        world.enter(0, "b")
        world.plan = {world.steps + 1: ending}

    for at, world in at_every_step(new_world, begin, enter, people=1):
        world.settle()

        found = world.subscribers[world.keys[0]]
        assert found.state == "unsubscribed" or found.options == {"B"}, f"lost when it came at step {at}"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("mode", "held"), [("update_only", [["A"], None]), ("add_only", [[], ["A"]])])
def test_a_mode_is_kept_whatever_ends_a_delivery_at_any_step(new_world, ending, mode, held):
    def begin(world):
        world.spec = replace(with_feed(world.spec, on_exit="nothing"), mode=mode)
        world.act(0, "subscribe", told=False)
        world.news.clear()
        world.enter(0, "a")
        world.enter(1, "a")

    for at, world in at_every_step(new_world, begin, ending, people=2):
        world.settle()

        assert [world.options_of(0), world.options_of(1)] == held, f"{ending} at step {at}"
