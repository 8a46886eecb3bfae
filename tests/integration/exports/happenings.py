"""What happens in worlds of deliveries: changes and faults at any step, in rounds."""

from functools import partial

from hypothesis import strategies as st

FAULTS = ["crash before", "crash after", "cut", "too many calls", "key revoked"]


def happen(name, *arguments, **options):
    """A strategy for what a world does: the name of its method, with these strategies for its arguments."""
    return st.builds(lambda *a, **k: (name, a, k), *arguments, **options)


def rounds_of(change, faults, steps):
    """Rounds of changes, each with a plan of what happens at the first `steps` steps of its delivery."""
    what = st.one_of(st.sampled_from(faults), change)
    plan = st.dictionaries(st.integers(0, steps - 1), what, max_size=4)
    return st.lists(st.tuples(st.lists(change, max_size=6), plan), min_size=1, max_size=4)


def do(what, world):
    name, arguments, options = what
    getattr(world, name)(*arguments, **options)


def play(world, played):
    """Each round's changes and a delivery, with the plan of what happens at its steps."""
    for number, (changes, plan) in enumerate(played):
        for each in changes:
            do(each, world)
        world.plan = {at: partial(do, what) if isinstance(what, tuple) else what for at, what in plan.items()}
        world.attempt(number)
        world.clock.now += 3_000


def at_every_step(new_world, begin, happening, **options):
    """Worlds in which `begin` is followed by a delivery with `happening` at one step, each in turn."""
    calm = new_world(**options)
    begin(calm)
    calm.attempt(1)
    assert calm.steps >= 3
    for at in range(calm.steps):
        world = new_world(**options)
        begin(world)
        world.plan = {at: happening}
        world.attempt(1)
        yield at, world
