"""Exports pause themselves before too many people leave, are added or refused; counted are people."""

from dataclasses import replace

import pytest
from delivery_world import LIST, MINUTE, with_feed

from listbridge.exports.batches import RETURNING_AT_ONCE
from listbridge.exports.brakes import CANARY, LEAVING, NEW, REFUSED, UNSUBSCRIBED, Brake, Held, Limits
from listbridge.exports.ledger import lags

HOUR = 60 * MINUTE


def limited(world, **limits):
    world.spec = with_feed(world.spec, limits=Limits(**limits))
    return world


@pytest.fixture
def told(new_world):
    """Ten people of whom the list was told, and a limit of three tenths that leave."""
    world = new_world(people=10, limit=100)
    for person in range(10):
        world.enter(person, "a")
    world.deliver()
    return limited(world, shares={LEAVING: 0.3})


def held_by(world, **options):
    with pytest.raises(Held) as held:
        world.deliver(**options)
    return held.value.holds["w1"]


def leave(world, *people):
    for person in people:
        world.leave(person, "a")


def test_nobody_is_cleared_when_more_than_the_share_would_leave(told):
    leave(told, 0, 1, 2, 3)

    kind, words = held_by(told)

    assert (kind, words) == (
        LEAVING,
        "4 people would have left all audiences within an hour, more than 30% of the list's 10",
    )
    assert [told.options_of(person) for person in range(10)] == [["A"]] * 10
    told.spec = with_feed(told.spec, limits=Limits())
    told.settle()
    told.check()


def test_as_many_as_the_share_may_leave_in_an_hour_and_others_in_the_next(told):
    leave(told, 0, 1, 2)
    told.deliver()
    told.clock.now += HOUR - MINUTE
    leave(told, 3)
    assert held_by(told)[0] == LEAVING

    told.clock.now += 2 * MINUTE
    told.settle()

    told.check()
    assert told.options_of(3) == []


def test_fewer_than_the_least_number_of_people_trip_nothing(told):
    limited(told, shares={LEAVING: 0.3}, least_people=5)
    leave(told, 0, 1, 2, 3)

    told.deliver()

    assert told.options_of(3) == []


@pytest.mark.parametrize("ending", ["cut", "lost", "crash before", "crash after", "too many calls"])
def test_whoever_is_sent_again_counts_once(told, ending):
    leave(told, 0, 1, 2)
    for at in range(6):
        told.plan = {at: ending}
        told.attempt(at)
        told.clock.now += MINUTE
    told.plan.clear()

    told.deliver()

    assert [told.options_of(person) for person in range(3)] == [[]] * 3


def test_an_import_of_new_people_stops_before_the_limit_of_a_day(new_world):
    world = limited(new_world(people=6, limit=2), new=3)
    for person in range(6):
        world.enter(person, "a")

    kind, words = held_by(world)

    assert kind == NEW
    assert words == "at least 4 people would be added within a day; max_new_subscribers is 3"
    assert len(world.subscribers) <= 3
    world.clock.now += 25 * HOUR
    assert held_by(world)[0] == NEW


def test_whom_the_list_has_is_not_new(new_world):
    world = limited(new_world(people=4, limit=9), new=1)
    for person in range(3):
        world.act(person, "subscribe")
    for person in range(4):
        world.enter(person, "a")

    world.deliver()

    assert world.options_of(3) == ["A"]


def test_a_share_of_refused_people_stops_the_next_calls(new_world):
    world = limited(new_world(people=9, limit=1, bad=range(9)), shares={REFUSED: 0.5}, least_people=3)
    for person in range(9):
        world.enter(person, "a")

    kind, words = held_by(world)

    assert kind == REFUSED
    assert words.startswith("3 people were or would be refused within an hour")
    assert len(world.calls) == 3


def test_people_who_unsubscribe_from_what_they_were_told_count(told):
    limited(told, shares={UNSUBSCRIBED: 0.2})
    for person in range(3):
        told.act(person, "unsubscribed")

    assert held_by(told)[0] == UNSUBSCRIBED


def test_who_unsubscribed_long_ago_counts_no_more(told):
    limited(told, shares={UNSUBSCRIBED: 0.2})
    for person in range(3):
        told.act(person, "unsubscribed")
    told.clock.now += 2 * HOUR

    told.deliver()
    for person in range(3):
        told.write(person, "y")
    told.deliver()


def test_a_canary_stops_after_exactly_so_many_people_and_loses_nobody(new_world):
    world = limited(new_world(people=9, limit=2), canary=5)
    for person in range(9):
        world.enter(person, "a")

    kind, words = held_by(world, in_flight=4)

    assert (kind, words) == (CANARY, "5 people were sent as a canary: look at them in the list")
    assert len(world.subscribers) == 5
    world.spec = with_feed(world.spec, limits=Limits())
    world.settle()
    assert len(world.subscribers) == 9
    world.check()


@pytest.mark.parametrize("ending", ["cut", "crash after", "too many calls"])
def test_whatever_ends_a_canary_no_more_people_are_sent(new_world, ending):
    for at in range(4):
        world = limited(new_world(people=6, limit=2), canary=2)
        for person in range(6):
            world.enter(person, "a")
        world.plan = {at: ending}
        world.attempt()
        world.clock.now += MINUTE
        for _ in range(3):
            try:
                world.deliver()
            except Held:
                break
        sent = {row.key for rows, _ in world.calls for row in rows}
        assert len(sent) <= 2, f"{ending} at step {at}"


def test_what_is_not_limited_is_not_counted(told):
    limited(told)
    leave(told, *range(10))
    told.deliver()
    names = list(told.store.client.scan_iter("*tracked:leaving*"))
    assert names == []


def test_counts_are_of_the_feeds_that_run(told):
    told.spec = with_feed(told.spec, running=False)
    assert Brake(told.store, LIST, told.spec.feeds).kinds == frozenset()


def test_changes_that_no_row_showed_are_counted_once(new_world):
    world = new_world(people=2, limit=9)
    world.enter(0, "a")
    world.deliver()
    world.clock.now += MINUTE
    world.leave(0, "a")
    world.clock.now += MINUTE
    world.enter(0, "a")

    first = world.deliver()
    world.write(0, "y")
    again = world.deliver()

    assert (first.swallowed, again.swallowed) == (2, 0)
    assert not any(lags(world.store, LIST, world.clock.now))


@pytest.mark.parametrize("resubscribe", ["when_opted_in_later", "always"])
def test_calls_are_bounded_for_each_group_of_switches(new_world, resubscribe):
    back, plain, limit = 2 * RETURNING_AT_ONCE + 1, 250, 100
    world = new_world(people=back + plain, limit=limit)
    world.spec = with_feed(world.spec, resubscribe=resubscribe)
    for person in range(back):
        world.act(person, "subscribe")
        world.act(person, "unsubscribed")
    world.clock.now += 2 * MINUTE
    for person in range(back + plain):
        world.enter(person, "a", opted_in_at=world.clock.now)

    world.deliver(in_flight=4)

    flagged = [len(rows) for rows, flags in world.calls if flags.resubscribe]
    others = [len(rows) for rows, flags in world.calls if not flags.resubscribe]
    assert (sum(flagged), sum(others)) == (back, plain)
    assert (max(flagged), max(others)) == (RETURNING_AT_ONCE, limit)
    assert len(flagged) <= 3 + 1  # a delivery of 351 people makes at most two passes of 400 rows
    assert len(others) <= 3 + 1
    assert world.undone == []


def test_opt_outs_that_were_known_before_are_not_counted_as_refused(new_world):
    world = limited(new_world(people=6, limit=9), shares={REFUSED: 0.1})
    for person in range(5):
        world.act(person, "subscribe")
        world.act(person, "unsubscribed")
    for person in range(6):
        world.enter(person, "a")

    result = world.deliver()

    assert (result.refused, result.sent) == (5, 1)


def test_people_with_values_that_can_not_be_stored_are_counted_as_refused(new_world):
    world = limited(new_world(people=6, limit=9), shares={REFUSED: 0.5})
    for person in range(4):
        world.write(person, "x" * 251)
    for person in range(6):
        world.enter(person, "a")

    assert held_by(world)[0] == REFUSED


def test_people_whom_the_export_unsubscribes_count_before_they_are(told):
    told.spec = with_feed(told.spec, on_exit="unsubscribe", limits=Limits(shares={UNSUBSCRIBED: 0.2}))
    leave(told, 0, 1, 2)

    kind, words = held_by(told)

    assert kind == UNSUBSCRIBED
    assert words.startswith("3 people have been or would be unsubscribed within an hour")
    assert [told.options_of(person) for person in range(3)] == [["A"]] * 3


def test_as_many_as_the_share_are_unsubscribed_and_their_echoes_count_no_one_twice(told):
    told.spec = with_feed(told.spec, on_exit="unsubscribe", limits=Limits(shares={UNSUBSCRIBED: 0.2}))
    leave(told, 0, 1)

    result = told.deliver()
    told.tell()
    told.deliver()

    assert result.unsubscribed == 2
    assert [told.options_of(person) for person in range(3)] == [None, None, ["A"]]


@pytest.mark.parametrize("mode", ["update_only", "add_only"])
def test_whom_the_mode_leaves_alone_is_not_counted_as_refused(new_world, mode):
    world = limited(new_world(people=6, limit=9), shares={REFUSED: 0.1})
    world.spec = replace(world.spec, mode=mode)
    there = range(5) if mode == "add_only" else range(5, 6)
    for person in there:
        world.act(person, "subscribe", told=False)
    for person in range(6):
        world.enter(person, "a")

    result = world.deliver()
    world.deliver()

    assert (result.sent, result.refused) == (1, 5)


def test_who_is_only_updated_is_no_new_subscriber(new_world):
    world = limited(new_world(people=3, limit=9), new=1)
    world.spec = replace(world.spec, mode="update_only")
    for person in range(3):
        world.enter(person, "a")

    assert world.deliver().refused == 3
