"""Every fault by name: what it does, and what kind of installation it needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from faults.world import Plan, World

Act = Callable[[World, random.Random], None]


@dataclass(frozen=True)
class Fault:
    """One fault. `act` begins while the load runs and returns when the fault is over."""

    name: str
    what: str
    act: Act
    plan: Plan
    gives_up: str
    """The promise that is given up, where the ledgers may differ; empty: they must not."""
    excused: frozenset[str]
    """The fields of a verdict that may be other than 0 for that."""
    alone: bool
    """It needs an installation of its own."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    what: str,
    plan: Plan | None = None,
    *,
    gives_up: str = "",
    excused: Collection[str] = (),
    alone: bool = False,
) -> Callable[[Act], Act]:
    """Enter a function into the list."""

    def enter(act: Act) -> Act:
        FAULTS[name] = Fault(name, what, act, plan or Plan(), gives_up, frozenset(excused), alone)
        return act

    return enter
