"""While calls are in flight the next rows are planned; nobody has two rows on their way."""

import threading
import time

import pytest
from delivery_world import FEED, FIELD, LABELS, LIST, quietly
from moving_world import ADDRESSES, MovingWorld
from test_delivering import QUEUEING

from listbridge.errors import Fatal, Retriable
from listbridge.exports.engine import Deliverer
from listbridge.exports.ledger import Ledger, lags, note_others, raise_doubt
from listbridge.exports.terms import ListSpec

PATIENCE_SECONDS = 5


class Slow:
    """Calls to the world wait, once they are applied, until `go` is set."""

    def __init__(self, world, monkeypatch):
        self.go, self.begun = threading.Event(), threading.Event()
        send = world.send

        def slow(*args):
            answer = send(*args)
            self.begun.set()
            assert self.go.wait(PATIENCE_SECONDS)
            return answer

        monkeypatch.setattr(world, "send", slow)


@pytest.fixture
def world(new_world):
    return new_world(people=8, limit=2, in_flight=2)


def rows_of(world, who):
    return [row for rows, _ in world.calls for row in rows if row.key == world.keys[who]]


def test_more_people_are_decided_about_while_calls_are_in_flight(world, monkeypatch):
    slow, read, seen = Slow(world, monkeypatch), world.person_of, []

    def person_of(candidate):
        seen.append(candidate.key)
        if len(seen) == 8:
            slow.go.set()  # or else the first calls would never end
        return read(candidate)

    monkeypatch.setattr(world, "person_of", person_of)
    for person in range(8):
        world.enter(person, "a")

    world.deliver()

    assert len(world.calls) == 4
    world.check()


def test_outcomes_are_recorded_while_others_are_decided_about(world, monkeypatch):
    read, waiting = world.person_of, []

    def person_of(candidate):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(waiting) == 4 and not world.calls and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02)
        retries = (world.store.client.zcard(part.retry(LIST)) for part in world.store.parts)
        waiting.append(sum(retries))
        return read(candidate)

    monkeypatch.setattr(world, "person_of", person_of)
    for person in range(8):
        world.enter(person, "a")

    world.deliver()

    assert max(waiting) < 6
    world.check()


def test_who_changes_while_their_row_is_on_its_way_is_sent_again_after_it(world, monkeypatch):
    slow = Slow(world, monkeypatch)
    for person in range(4):
        world.enter(person, "a")

    def change():
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(world.calls) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        for person in range(4):
            world.enter(person, "b")
        time.sleep(0.1)  # the deliverer looks at them, and finds that they have to wait
        slow.go.set()

    other = threading.Thread(target=change)
    other.start()
    world.deliver()
    other.join()

    assert [[row.options for row in rows_of(world, person)] for person in range(4)] == [
        [("A",), ("A", "B")]
    ] * 4
    world.check()


def test_somebody_in_doubt_whose_row_is_on_its_way_has_no_second_one(world, monkeypatch):
    slow = Slow(world, monkeypatch)
    monkeypatch.setattr(world, "call_seconds", 0.2)  # the doubt is due while the call still waits
    world.enter(0, "a")

    def let_go():
        assert slow.begun.wait(PATIENCE_SECONDS)
        world.clock.now += 60_000
        world.enter(1, "a")
        time.sleep(0.3)
        slow.go.set()

    other = threading.Thread(target=let_go)
    other.start()
    world.deliver()
    other.join()

    assert len(rows_of(world, 0)) == 1
    world.check()


def test_people_of_two_flags_cost_full_calls_however_they_are_mixed(new_world):
    world = new_world(people=90, limit=10, in_flight=4)
    spec = ListSpec(LIST, (FEED, QUEUEING), tuple(LABELS.values()), FIELD)
    for person in range(90):
        world.enter(person, "c" if person % 9 == 0 else "a")

    world.deliver(spec=spec)

    assert sorted(len(rows) for rows, _ in world.calls) == [10] * 9
    assert len({flags for _, flags in world.calls}) == 2


def test_a_problem_undoes_what_had_not_begun_and_keeps_what_was_stored(world, monkeypatch):
    send, calls = world.send, []

    def failing(*args):
        calls.append(args)
        if len(calls) == 3:
            raise Fatal
        return send(*args)

    monkeypatch.setattr(world, "send", failing)
    for person in range(8):
        world.enter(person, "a")

    with pytest.raises(Fatal):
        world.deliver()
    stored = sum(len(rows) for rows, _ in world.calls)
    monkeypatch.setattr(world, "send", send)
    world.deliver()

    assert 2 <= stored <= 6
    assert sum(len(rows) for rows, _ in world.calls) == 8
    world.check()


def test_a_delivery_that_is_stopped_leaves_nobody_behind(world):
    for person in range(8):
        world.enter(person, "a")
    looks = []

    def stop():
        looks.append(1)
        return len(looks) > 1

    ledger = Ledger(world.store, LIST, "t")
    ledger.take_over()
    Deliverer(world.store, ledger, world, world.person_of, lambda: True, in_flight=2).run(
        world.spec, None, stop
    )
    world.deliver()

    assert sum(len(rows) for rows, _ in world.calls) == 8
    assert not any(lags(world.store, LIST, world.clock.now + 600_000))
    world.check()


def test_changes_that_trickle_in_travel_together_once_a_window(world):
    ledger, over = Ledger(world.store, LIST, "t"), threading.Event()
    ledger.take_over()
    began = time.monotonic()

    def trickle():
        for person in range(8):
            world.enter(person, "a")
            time.sleep(0.05)
        over.set()

    other = threading.Thread(target=trickle)
    other.start()
    world.batch_limit = 100
    deliverer = Deliverer(
        world.store, ledger, world, world.person_of, lambda: True, in_flight=2, window_seconds=0.2
    )
    while not over.is_set() or any(lags(world.store, LIST, world.clock.now)):
        deliverer.run(world.spec, None, lambda: False)
    other.join()

    assert len(world.calls) <= (time.monotonic() - began) / 0.2 + 1
    world.check()


@pytest.mark.parametrize("ending", ["undone", "refused"])
def test_what_is_noted_of_others_while_a_row_is_on_its_way_outlives_its_failure(world, monkeypatch, ending):
    world.enter(0, "a")
    world.deliver()
    key, send = world.keys[0], world.send

    def others_write(*args):
        quietly(world.store, lambda: note_others(world.store, LIST, {key: ("theirs",)}))
        quietly(world.store, lambda: raise_doubt(world.store, LIST, [key], world.clock.now))
        monkeypatch.setattr(world, "send", send)
        if ending == "undone":
            raise Retriable
        world.bad = {key}
        return send(*args)

    monkeypatch.setattr(world, "send", others_write)
    world.enter(0, "b")
    world.attempt(1)
    world.bad = set()
    world.settle()

    last = rows_of(world, 0)[-1]
    assert (last.options, last.other_options) == (("A", "B"), ("theirs",))


@pytest.mark.parametrize("who", [0, 1])
def test_nobody_takes_an_address_to_which_a_row_is_on_its_way(small_store, clock, monkeypatch, who):
    other, begun, go = 1 - who, threading.Event(), threading.Event()
    world = MovingWorld(small_store, clock, people=2, in_flight=3)
    for person in range(2):
        world.enter(person, "a")
    world.deliver()
    send = world.send

    def late(*args):
        if not begun.is_set():
            begun.set()
            assert go.wait(PATIENCE_SECONDS)
        return send(*args)

    def change_places():
        assert begun.wait(PATIENCE_SECONDS)
        world.moves(other, who)
        world.moves(who, other)
        time.sleep(0.5)  # the deliverer looks at them while the call has not been applied
        go.set()

    monkeypatch.setattr(world, "send", late)
    monkeypatch.setattr(world, "call_seconds", 0.2)
    world.enter(other, "b")
    thread = threading.Thread(target=change_places)
    thread.start()
    world.deliver()
    thread.join()
    world.settle()

    held = {address: row.options for address, row in world.subscribers.items()}
    assert held == {ADDRESSES[who]: {"A", "B"}, ADDRESSES[other]: {"A"}}
    world.check()
