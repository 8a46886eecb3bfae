"""The lines between the processes and the store: cut, slow, silent."""

from __future__ import annotations

import random
import time

from faults.catalogue import Act, fault
from faults.processes import some_time
from faults.proxy import Mode, Proxy
from faults.world import Plan, World

PROXIED = Plan(proxied=True)


def _proxy(world: World) -> Proxy:
    assert world.proxy is not None
    return world.proxy


@fault("lines-cut", "all connections to the store and the broker cut, five times", PROXIED)
def lines_cut(world: World, chance: random.Random) -> None:
    for _ in range(5):
        some_time(chance, 0.8)
        _proxy(world).cut()


@fault("replies-lost", "forty answers of the store lost after it had done what was asked", PROXIED)
def replies_lost(world: World, chance: random.Random) -> None:
    for _ in range(8):
        _proxy(world).lose_replies(5)
        some_time(chance, 0.6)
    _proxy(world).lose_replies(0)


def _slowly(mode: Mode, seconds: float) -> Act:
    def act(world: World, chance: random.Random) -> None:
        some_time(chance)
        proxy = _proxy(world)
        proxy.mode, proxy.seconds = mode, seconds
        try:
            time.sleep(4)
        finally:
            proxy.mode = "pass"

    return act


fault("lines-slow", "every packet to and from the store held back for 50 ms, for four seconds", PROXIED)(
    _slowly("delay", 0.05)
)
fault("lines-trickle", "512 bytes each 10 ms to and from the store, for four seconds", PROXIED)(
    _slowly("trickle", 0.01)
)


@fault("half-open", "all connections to the store and the broker go silent, new ones work", PROXIED)
def half_open(world: World, chance: random.Random) -> None:
    some_time(chance)
    _proxy(world).silence()
