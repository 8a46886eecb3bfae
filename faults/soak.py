"""A soak: one installation under load for as long as is asked for, with faults drawn by lot."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from faults.catalogue import FAULTS, Fault
from faults.comparing import compare
from faults.processes import OURS
from faults.running import Round, Terms, installation, keep_what_is_needed, one
from faults.world import Plan, World

PLAN = Plan(proxied=True)
MINUTE_SECONDS = 60.0
SERVER = "store"


@dataclass
class Memory:
    """Resident megabytes of each process with those that it started, when the soak began and at its end."""

    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    aged: dict[str, float] = field(default_factory=dict)
    """How many seconds the present process had been running at the end."""

    def lines(self) -> list[str]:
        """One for each process."""
        return [
            f"{name:8} {self.before[name]:7.0f} MB, then {self.after[name]:7.0f} MB; runs for {aged:.0f} s"
            for name, aged in self.aged.items()
            if name in self.before
        ]


def lots() -> list[Fault]:
    """The faults that can follow each other on one installation and give up nothing."""
    return [
        each for each in FAULTS.values() if each.plan in (Plan(), PLAN) and not (each.alone or each.gives_up)
    ]


def soak(minutes: float, terms: Terms, *, seed: int, memory: Memory) -> Iterator[Round]:
    """Rounds with faults by lot until the time is over, or one goes wrong; fills in `memory`."""
    chance, until = random.Random(f"soak {seed}"), time.monotonic() + minutes * MINUTE_SECONDS
    with installation(PLAN, seed, terms.say) as made:
        acknowledged = compare(made).acknowledged
        memory.before, _ = resident(made)
        number = seed
        while time.monotonic() < until:
            done = one(made, chance.choice(lots()), number, terms.load_seconds)
            if done.verdict:
                done.acknowledged = done.verdict.acknowledged - acknowledged
                acknowledged = done.verdict.acknowledged
            keep_what_is_needed(made, done, terms)
            memory.after, memory.aged = resident(made)
            yield done
            number += 1
            if done.verdict is None or not done.verdict.is_clean:
                return


def resident(world: World) -> tuple[dict[str, float], dict[str, float]]:
    """Name -> megabytes, and name -> seconds since the start, of all processes and the store's server."""
    groups = {name: world.pid(name) for name in (*OURS, "simulator")} | {SERVER: world.store_pid()}
    return by_group(_processes(), groups)


def by_group(
    processes: Sequence[tuple[int, int, int, float]], groups: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, float]]:
    """`processes` are (process, group, kilobytes, seconds); a name's are those of its process's group."""
    found: dict[str, float] = {}
    aged: dict[str, float] = {}
    group_of = {pid: group for pid, group, _, _ in processes}
    for name, leader in groups.items():
        mine = [each for each in processes if each[1] == group_of.get(leader) and leader in group_of]
        found[name] = sum(each[2] for each in mine) / 1024
        aged[name] = next((each[3] for each in mine if each[0] == leader), 0.0)
    return found, aged


def _processes() -> list[tuple[int, int, int, float]]:
    told = subprocess.run(
        ["ps", "-axo", "pid=,pgid=,rss=,etime="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in told.splitlines()]
    return [(int(pid), int(group), int(rss), seconds_of(age)) for pid, group, rss, age in rows]


def seconds_of(age: str) -> float:
    """`[[days-]hours:]minutes:seconds`, as ps writes it."""
    days, _, rest = age.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + float(days or 0) * 86_400
