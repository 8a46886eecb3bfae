"""What a delivery costs, and what its records survive."""

import pytest
from delivery_world import FEED, FIELD, LABELS, LIST, MINUTE, PREPARED, START, quietly, with_feed

from listbridge.errors import Deferred, Skippable
from listbridge.exports import batches
from listbridge.exports.delivered import unpack_delivered, unpack_refused
from listbridge.exports.engine import Deliverer
from listbridge.exports.ledger import Ledger, LostLease, delivered_to, lags, raise_doubt, rewind
from listbridge.exports.protocol import Flags
from listbridge.exports.terms import Feed, ListSpec

QUEUEING = Feed("w2", running=True, started_at=START - 1, audiences={"c": "C"}, queue_autoresponders=True)


def flags_of(world):
    return [(len(rows), flags) for rows, flags in world.calls]


def refusals(world):
    found = {}
    for part in world.store.parts:
        found |= world.store.client.hgetall(part.refused(LIST))
    return {key.decode(): unpack_refused(packed) for key, packed in found.items()}


def in_doubt(world):
    client = world.store.client
    return sorted(
        key.decode() for part in world.store.parts for key in client.zrange(part.retry(LIST), 0, -1)
    )


@pytest.mark.parametrize(("people", "limit", "calls"), [(0, 10, 0), (1, 10, 1), (20, 10, 2), (21, 10, 3)])
def test_a_calm_delivery_costs_full_calls_only(new_world, people, limit, calls):
    world = new_world(people=people, limit=limit)
    for person in range(people):
        world.enter(person, "a")

    result = world.deliver(in_flight=4)

    assert len(world.calls) == result.calls == calls
    assert result.sent == people
    world.check()


def test_more_people_than_fit_into_one_pass_cost_full_calls_too(new_world):
    world = new_world(people=95, limit=10)
    for person in range(95):
        world.enter(person, "a")

    world.deliver(in_flight=2)

    assert [len(rows) for rows, _ in world.calls] == [10] * 9 + [5]
    world.check()


def test_who_changes_while_the_pass_is_gathered_has_one_row_in_it(new_world, monkeypatch):
    world = new_world(people=4, limit=1)
    for person in range(4):
        world.enter(person, "a")
    read, looked_at = world.person_of, []

    def person_of(candidate):
        person = read(candidate)
        looked_at.append(candidate.key)
        if looked_at.count(candidate.key) == 1:
            world.enter(world.keys.index(candidate.key), "b")
        return person

    monkeypatch.setattr(world, "person_of", person_of)

    world.deliver(in_flight=4)

    first_pass = [row.key for rows, _ in world.calls[:4] for row in rows]
    assert sorted(first_pass) == sorted(world.keys)
    assert len(world.calls) == 8
    world.check()


def test_who_is_unchanged_costs_no_call(new_world):
    world = new_world(people=30, limit=10)
    for person in range(30):
        world.enter(person, "a")
    world.deliver()
    world.calls.clear()

    assert world.deliver().examined == 0
    rewind(world.store, LIST)
    result = world.deliver()

    assert (result.examined, result.unchanged, result.calls) == (30, 30, 0)
    assert world.calls == []


def test_rows_travel_with_those_that_are_due_the_same_switches(new_world):
    world = new_world(people=6, limit=10)
    spec = ListSpec(LIST, (FEED, QUEUEING), tuple(LABELS.values()), FIELD)
    for person in range(6):
        world.enter(person, "c" if person < 2 else "a")

    world.deliver(spec=spec)

    assert sorted(flags_of(world)) == [(2, Flags(queue_autoresponders=True)), (4, Flags())]


def test_somebody_who_may_be_resubscribed_is_asked_for_and_travels_apart(new_world):
    world = new_world(people=3, limit=10)
    spec = with_feed(world.spec, resubscribe="when_opted_in_later")
    for person in range(3):
        world.act(person, "subscribe")
    world.act(0, "unsubscribed")
    world.act(1, "unsubscribed")
    for person, ahead in ((0, 60_000), (1, -60_000), (2, 60_000)):
        world.enter(person, "a", opted_in_at=world.clock.now + ahead)

    world.deliver(spec=spec)

    assert [(sorted(row.key for row in rows), flags) for rows, flags in world.calls] in (
        [([world.keys[0]], Flags(resubscribe=True)), ([world.keys[2]], Flags())],
        [([world.keys[2]], Flags()), ([world.keys[0]], Flags(resubscribe=True))],
    )
    assert list(world.asked_at) == [world.keys[0]]
    assert [refusals(world)[world.keys[1]].code] == ["unsubscribed"]


def test_an_opt_out_that_only_the_list_knows_is_not_undone(new_world):
    world = new_world(people=1)
    spec = with_feed(world.spec, resubscribe="when_opted_in_later")
    world.act(0, "subscribe")
    world.act(0, "unsubscribed")
    world.enter(0, "a", opted_in_at=world.clock.now + MINUTE)
    world.act(0, "subscribe", told=False)
    world.clock.now += 2 * MINUTE
    world.act(0, "unsubscribed", told=False)
    world.news.clear()

    world.deliver(spec=spec)
    rewind(world.store, LIST)
    world.deliver(spec=spec)

    assert world.subscribers[world.keys[0]].state == "unsubscribed"
    assert world.calls == []
    assert refusals(world)[world.keys[0]].since == world._state(world.keys[0])[1]


def test_who_comes_back_by_themselves_is_told_what_was_held_back(new_world):
    world = new_world(people=1)
    world.act(0, "subscribe")
    world.act(0, "unsubscribed")
    world.enter(0, "a")
    world.deliver()
    assert (world.calls, list(refusals(world))) == ([], world.keys)

    world.clock.now += MINUTE
    world.act(0, "subscribe")
    world.deliver()

    assert world.options_of(0) == ["A"]
    assert refusals(world) == {}


def test_who_came_back_before_we_heard_of_it_is_told_what_was_held_back(new_world):
    world = new_world(people=1)
    world.act(0, "subscribe")
    world.act(0, "unsubscribed")
    world.clock.now += MINUTE
    world.act(0, "subscribe", told=False)
    world.clock.now += 60 * MINUTE
    world.enter(0, "a")
    world.deliver()
    assert world.calls == []

    world.tell()
    world.deliver()

    assert world.options_of(0) == ["A"]


def test_a_label_is_cleared_when_somebody_comes_back_who_left_the_audience_while_opted_out(new_world):
    world = new_world(people=1, append=True)
    world.enter(0, "a")
    world.deliver()
    world.enter(0, "b")
    world.plan = {1: "cut"}
    assert world.attempt(1) == "Retriable"
    world.act(0, "unsubscribed")
    world.clock.now += MINUTE
    world.deliver()
    world.leave(0, "a")
    world.leave(0, "b")
    world.deliver()
    world.clock.now += MINUTE
    world.act(0, "subscribe")

    world.settle()

    assert world.options_of(0) == []


def test_a_row_that_is_refused_is_kept_with_its_reason_and_the_others_are_stored(new_world):
    world = new_world(people=4, limit=4, bad=[2])
    for person in range(4):
        world.enter(person, "a")

    result = world.deliver()

    assert (result.sent, result.refused, dict(result.refusals)) == (3, 1, {"invalid": 1})
    assert {key: (r.code, r.message) for key, r in refusals(world).items()} == {
        world.keys[2]: ("invalid", "not an address")
    }
    assert delivered_to(world.store, LIST, world.keys).keys() == set(world.keys) - {world.keys[2]}
    world.check()


def test_a_row_that_spoils_a_whole_call_is_found_by_halving(new_world):
    world = new_world(people=8, limit=8, bad=[5], whole=Skippable)
    for person in range(8):
        world.enter(person, "a")

    world.deliver()

    assert [r.code for r in refusals(world).values()] == ["unacceptable"]
    assert len(world.calls) == 7
    world.check()


def test_an_address_that_spoils_a_whole_call_for_now_is_deferred_alone(new_world, clock):
    world = new_world(people=4, limit=4, bad=[2], whole=Deferred)
    for person in range(4):
        world.enter(person, "a")

    world.deliver()

    assert refusals(world) == {}
    assert world.keys[2] not in world.subscribers
    assert len(world.subscribers) == 3
    due = world.store.client.zscore(world.store.part(world.keys[2]).retry(LIST), world.keys[2])
    assert clock.now < due <= clock.now + batches.FIRST_REST_MS
    world.bad = set()
    clock.now = int(due)
    world.deliver()
    world.check()


def test_a_profile_that_cannot_be_read_is_set_aside_and_the_others_are_delivered(new_world):
    world = new_world(people=3)
    for person in range(3):
        world.enter(person, "a")
    part = world.store.part(world.keys[1])
    world.store.client.hset(part.profiles, world.keys[1], b"broken")

    world.deliver()

    assert [world.options_of(person) for person in range(3)] == [["A"], None, ["A"]]
    assert [(key, r.code) for key, r in refusals(world).items()] == [(world.keys[1], "unreadable")]

    world.enter(1, "b")
    world.settle()

    world.check()
    assert refusals(world) == {}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_doubt_that_is_raised_while_a_row_is_on_its_way_is_kept(new_world, step):
    world = new_world(people=1, append=True)
    world.enter(0, "a")
    world.deliver()
    world.enter(0, "b")
    world.plan = {step: lambda world: world.act(0, "edit", ["A", "C"])}

    assert world.attempt(1) == "done"

    assert in_doubt(world) == []
    assert world.options_of(0) == ["A", "B"]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_rewind_while_a_delivery_is_under_way_is_kept(new_world, step):
    world = new_world(people=1)
    world.enter(0, "a")
    world.plan = {step: lambda world: quietly(world.store, lambda: rewind(world.store, LIST))}
    world.store.world = world
    ledger = Ledger(world.store, LIST, "t")
    ledger.take_over()
    deliverer = Deliverer(world.store, ledger, world, world.person_of, lambda: True, in_flight=1)
    passes = iter([False, True])

    deliverer.run(world.spec, PREPARED, stop=lambda: next(passes))

    assert any(lags(world.store, LIST, START))


def test_people_are_looked_at_again_when_the_exports_changed_after_the_cursors_were_read(new_world):
    world = new_world(people=1)
    world.enter(0, "a")
    ledger = Ledger(world.store, LIST, "t")
    ledger.take_over()
    deliverer = Deliverer(world.store, ledger, world, world.person_of, lambda: True, in_flight=1)

    deliverer.run(world.spec, PREPARED, stop=lambda: True)

    assert world.calls == []
    assert any(lags(world.store, LIST, START))


def test_a_deliverer_that_was_replaced_records_nothing(new_world):
    world = new_world(people=1)
    world.enter(0, "a")
    part = world.store.part(world.keys[0])
    other = Ledger(world.store, LIST, "other")

    world.plan = {1: lambda world: quietly(world.store, other.take_over)}
    world.store.world = world
    with pytest.raises(LostLease):
        world.deliver(token="old")
    world.store.world = None

    assert in_doubt(world) == world.keys
    with pytest.raises(LostLease):
        Ledger(world.store, LIST, "old").plan(part, 0, 9, [])
    with pytest.raises(LostLease):
        Ledger(world.store, LIST, "old").record(part, START, [])
    world.settle()
    world.check()


def test_a_deliverer_whose_lease_ran_out_makes_no_further_call(new_world):
    world = new_world(people=6, limit=2)
    for person in range(6):
        world.enter(person, "a")

    with pytest.raises(LostLease):
        world.deliver(still_mine=lambda: not world.calls)

    assert len(world.calls) == 1
    world.settle()
    world.check()
    assert sum(len(rows) for rows, _ in world.calls) == 6


@pytest.mark.parametrize("ending", ["too many calls", "key revoked"])
def test_what_was_certainly_not_sent_is_due_at_once_with_the_same_switches(new_world, ending):
    world = new_world(people=2, limit=2)
    world.spec = ListSpec(LIST, (FEED, QUEUEING), tuple(LABELS.values()), FIELD)
    world.enter(0, "a")
    world.enter(1, "c")
    world.plan = dict.fromkeys(range(3), ending)
    assert world.attempt(1) != "done"
    assert world.calls == []

    world.deliver()

    assert sorted(flags_of(world)) == [(1, Flags()), (1, Flags(queue_autoresponders=True))]
    world.check()


def test_people_of_a_list_that_changed_its_field_are_told_anew(new_world):
    world = new_world(people=2)
    world.enter(0, "a")
    world.deliver()
    rewind(world.store, LIST)
    spec = ListSpec(LIST, (FEED,), tuple(LABELS.values()), "[New]")

    world.deliver(spec=spec)

    assert [len(rows) for rows, _ in world.calls] == [1, 1]


def test_a_list_that_cannot_hold_a_row_is_not_told_without_end(new_world):
    world = new_world(people=1)
    world.enter(0, "a")
    world.deliver()

    for _ in range(50):
        world.clock.now += 10_000
        raise_doubt(world.store, LIST, world.keys, world.clock.now)
        world.deliver()

    assert len(world.calls) == 4
    world.clock.now += 10 * MINUTE
    world.deliver()
    assert len(world.calls) == 5


def test_nobody_is_in_doubt_who_was_never_told(new_world):
    world = new_world(people=2)
    world.enter(0, "a")
    world.deliver()

    assert raise_doubt(world.store, LIST, world.keys, world.clock.now) == 1
    assert in_doubt(world) == [world.keys[0]]


def test_what_a_list_was_told_is_written_down_before_the_call(new_world):
    world = new_world(people=1)
    world.enter(0, "a")
    world.plan = {1: "crash before"}

    world.attempt()

    part = world.store.part(world.keys[0])
    held = unpack_delivered(world.store.client.hget(part.delivered(LIST), world.keys[0]))
    assert (held.options, held.known) == (("A",), False)
    assert in_doubt(world) == world.keys
