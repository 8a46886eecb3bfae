"""Whatever happens while addresses change, the list has each person once, and no opt-out is undone."""

from functools import partial

import pytest
from delivery_world import LABELS, Clock
from happenings import FAULTS, at_every_step, happen, play, rounds_of
from hypothesis import given
from hypothesis import strategies as st
from moving_world import ADDRESSES, MovingWorld
from properties import examples

PEOPLE = 3
ENDINGS = [*FAULTS, "lost"]

who = st.integers(0, PEOPLE - 1)
where = st.integers(0, len(ADDRESSES) - 1)
slug = st.sampled_from(sorted(LABELS)[:2])
leaving = st.sampled_from(["unsubscribed", "deleted", "bounced"])
move = happen("moves", who, where)
change = st.one_of(
    move,
    move,
    happen("enter", who, slug),
    happen("leave", who, slug),
    happen("act", where, leaving, told=st.booleans()),
    happen("act", where, st.just("subscribe"), told=st.booleans()),
    happen("tell"),
)
rounds = rounds_of(change, ENDINGS, steps=15)


@pytest.fixture
def new_world(small_store, clock):
    def make(**options):
        small_store.client.flushall()
        clock.now = Clock().now
        return MovingWorld(small_store, clock, **options)

    return make


@pytest.mark.parametrize("in_flight", [1, 3])
@examples(150)
@given(played=rounds)
def test_at_rest_everybody_is_in_the_list_once_at_their_newest_address(new_world, in_flight, played):
    world = new_world(people=PEOPLE, in_flight=in_flight)
    for person in range(PEOPLE):
        world.enter(person, "a")

    play(world, played)
    world.settle()

    world.check()


def moving(world, *, there=False):
    """Two people stand in the list, and the first has another address now."""
    if there:
        world.act(2, "subscribe")
    for person in range(2):
        world.enter(person, "a")
    world.deliver()
    world.moves(0, 2)


def held(world):
    return {address: (row.state, row.options) for address, row in world.subscribers.items()}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("there", [False, True], ids=["new", "in the list"])
def test_a_move_is_made_once_whatever_ends_a_delivery_at_any_step(new_world, ending, there):
    for at, world in at_every_step(new_world, partial(moving, there=there), ending, people=2):
        world.settle()

        expected = {ADDRESSES[1]: ("active", {"A"}), ADDRESSES[2]: ("active", {"A"})}
        expected |= {ADDRESSES[0]: ("active", set())} if there else {}
        assert held(world) == expected, f"{ending} at step {at}"
        world.check()


@pytest.mark.parametrize("ending", [None, *ENDINGS])
@pytest.mark.parametrize("how", ["unsubscribed", "deleted"])
@pytest.mark.parametrize("told", [True, False], ids=["told at once", "told later"])
def test_an_opt_out_at_any_step_of_a_move_is_never_undone(new_world, ending, how, told):
    def leave(world):
        [mine] = [
            number
            for number, address in enumerate(ADDRESSES)
            if address in world.subscribers and world.subscribers[address].person == world.keys[0]
        ]
        world.act(mine, how, told=told)
        world.plan = {world.steps + 1: ending} if ending else {}

    for at, world in at_every_step(new_world, moving, leave, people=2):
        world.settle()
        world.moves(0, 3)
        world.settle()

        mine = [row for row in world.subscribers.values() if row.person == world.keys[0]]
        assert [row.state for row in mine] == [how], f"undone when it came at step {at}"
        world.check()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("ring", [False, True], ids=["chain", "ring"])
def test_people_take_each_others_addresses_whatever_ends_a_delivery(new_world, ending, ring):
    def begin(world):
        for person in range(2):
            world.enter(person, "a")
        world.enter(1, "b")
        world.deliver()
        world.moves(0, 1)
        world.moves(1, 0 if ring else 2)

    for at, world in at_every_step(new_world, begin, ending, people=2):
        world.settle()

        expected = {ADDRESSES[1]: ("active", {"A"}), ADDRESSES[0 if ring else 2]: ("active", {"A", "B"})}
        assert held(world) == expected, f"{ending} at step {at}"
        world.check()


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("ending", ["crash before", "crash after"])
def test_who_was_refused_for_a_duplicate_changes_places_with_the_other(new_world, at, ending):
    world = new_world(people=3)
    for person in range(3):
        world.enter(person, "a")
    world.deliver()
    world.moves(2, 1)
    world.plan = {at: ending}
    world.attempt(1)

    world.moves(1, 2)
    world.settle()

    assert held(world) == {address: ("active", {"A"}) for address in ADDRESSES[:3]}
    world.check()


SWAP = [("moves", (0, 1), {}), ("moves", (1, 0), {})]
PLAYS = {
    "left over": [
        ([("moves", (0, 3), {})], {}),
        (SWAP, {0: ("moves", (0, 1), {}), 5: "crash before", 4: ("moves", (0, 0), {})}),
    ],
    "taken along": [
        ([("moves", (0, 3), {})], {}),
        (SWAP, {2: "crash after", 0: ("moves", (0, 0), {})}),
    ],
    "who has it is refused and looked at by nobody": [
        (
            [("act", (1, "subscribe"), {"told": True}), ("leave", (1, "a"), {}), ("moves", (0, 1), {})],
            {0: ("act", (1, "bounced"), {"told": False})},
        )
    ],
    "a ring, and one of its addresses is dead": [
        ([("act", (0, "bounced"), {"told": True}), ("moves", (0, 2), {}), ("moves", (2, 0), {})], {})
    ],
    "two who want what had been the first one's": [
        ([("leave", (1, "a"), {}), ("moves", (2, 1), {})], {}),
        ([("moves", (0, 1), {}), ("enter", (1, "b"), {})], {}),
        ([("act", (1, "subscribe"), {"told": True})], {}),
    ],
    "who had wanted it has no audience any more": [
        ([("moves", (0, 3), {}), ("act", (0, "deleted"), {"told": False}), ("moves", (2, 3), {})], {}),
        ([("leave", (0, "a"), {})], {}),
    ],
    "who vacated leaves the audience while another takes the place": [
        ([("moves", (2, 1), {}), ("leave", (0, "b"), {})], {12: ("leave", (0, "a"), {})}),
        ([("moves", (1, 0), {})], {10: ("leave", (1, "a"), {})}),
    ],
    "who wanted an address where another opted out, and leaves the audience": [
        (
            [
                ("moves", (2, 1), {}),
                ("act", (1, "unsubscribed"), {"told": True}),
                ("moves", (0, 2), {}),
                ("leave", (2, "a"), {}),
            ],
            {},
        )
    ],
    "the same, and the place that they leave is wanted by two": [
        (
            [
                ("moves", (1, 2), {}),
                ("moves", (2, 0), {}),
                ("act", (0, "unsubscribed"), {"told": True}),
                ("leave", (2, "a"), {}),
            ],
            {},
        )
    ],
    "who waits for an address that was dead": [
        ([("moves", (2, 0), {}), ("act", (0, "bounced"), {"told": True})], {}),
        ([("moves", (0, 3), {})], {}),
        ([], {}),
        ([("act", (0, "subscribe"), {"told": True})], {}),
    ],
}
FROM_THE_START = {
    "who was refused at an address where another had opted out, and subscribes again": [
        ([], {4: "crash after", 0: ("moves", (1, 0), {}), 2: ("moves", (2, 0), {})}),
        ([("act", (2, "unsubscribed"), {"told": False})], {0: ("moves", (0, 2), {})}),
        ([("moves", (0, 1), {}), ("act", (2, "subscribe"), {"told": False})], {}),
    ],
    "who opts out at the old address between the look and the write": [
        ([], {0: ("moves", (1, 3), {}), 8: ("moves", (1, 0), {})}),
        ([], {}),
        (
            [
                ("moves", (0, 1), {}),
                ("act", (1, "subscribe"), {"told": False}),
                ("act", (2, "unsubscribed"), {"told": False}),
                ("tell", (), {}),
            ],
            {7: ("act", (0, "unsubscribed"), {"told": False})},
        ),
        ([("moves", (0, 3), {})], {}),
    ],
    "the same after a call whose answer was cut": [
        ([], {}),
        (
            [("moves", (0, 1), {})],
            {
                0: ("moves", (1, 3), {}),
                1: ("act", (3, "subscribe"), {"told": False}),
                2: ("act", (1, "unsubscribed"), {"told": False}),
            },
        ),
        (
            [("act", (1, "subscribe"), {"told": True})],
            {0: "cut", 2: ("moves", (1, 0), {}), 7: ("act", (1, "unsubscribed"), {"told": False})},
        ),
    ],
    "who opted out, and subscribes anew at another address that they leave again": [
        ([("leave", (0, "a"), {})], {}),
        (
            [("moves", (2, 0), {}), ("act", (2, "unsubscribed"), {"told": False})],
            {0: ("moves", (1, 0), {}), 1: ("act", (0, "subscribe"), {"told": False})},
        ),
        ([("moves", (2, 1), {})], {}),
    ],
    "who is on the way to an address has opted out at the one before": [
        ([("leave", (0, "a"), {})], {}),
        (
            [("moves", (2, 0), {}), ("act", (2, "unsubscribed"), {"told": False})],
            {0: ("moves", (1, 0), {}), 1: "crash after"},
        ),
        ([("moves", (2, 1), {})], {}),
    ],
    "who vacates an address where they have opted out, and subscribes there again": [
        ([("moves", (0, 0), {})], {5: ("act", (0, "deleted"), {"told": False})}),
        ([("moves", (1, 0), {})], {0: ("moves", (0, 2), {}), 1: ("enter", (0, "a"), {})}),
        (
            [("moves", (1, 1), {}), ("act", (0, "subscribe"), {"told": False})],
            {0: ("moves", (2, 1), {})},
        ),
    ],
}
"""Plays in which something happens in the first delivery already."""


def play_and_check(world, played, *, delivered=True):
    for person in range(PEOPLE):
        world.enter(person, "a")
    play(world, [([], {}), *played] if delivered else played)
    world.settle()
    world.check()


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("played", PLAYS.values(), ids=PLAYS)
def test_plays_that_once_ended_badly_come_to_rest(new_world, played, in_flight):
    play_and_check(new_world(people=PEOPLE, in_flight=in_flight), played)


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("played", FROM_THE_START.values(), ids=FROM_THE_START)
def test_plays_that_once_ended_badly_from_the_start_come_to_rest(new_world, played, in_flight):
    play_and_check(new_world(people=PEOPLE, in_flight=in_flight), played, delivered=False)


@pytest.mark.parametrize("ending", ["crash before", "crash after", "cut"])
@pytest.mark.parametrize("instead", [0, 2, 3], ids=["back", "another's", "a new one"])
@pytest.mark.parametrize("moved", [False, True], ids=["at home", "moved before"])
def test_who_changes_again_in_the_middle_of_a_swap_takes_nobodys_row_along(new_world, ending, instead, moved):
    """At any step, and then the worker dies at one of the next."""
    before = [([("moves", (0, 3), {})], {})] if moved else []
    for at in range(16):
        for later in (1, 2, 3, 5):
            plan = {at: ("moves", (0, instead), {}), at + later: ending}
            play_and_check(new_world(people=PEOPLE), [*before, (SWAP, plan)])
