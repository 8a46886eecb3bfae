"""Processes that are killed, stopped, asked to end, and doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO

from cli.services import CELERY
from faults.catalogue import Act, fault
from faults.world import World, wait

OURS = ("web", "fold", "worker", "pull", "beat", "archive")
PAST_THE_LEASE_SECONDS = 8.0
"""A deliverer's lease is one call's time and two seconds: 6 s with the settings of these tests."""
PAST_THE_CLAIM_SECONDS = 11.5
"""A fold's claim on a partition is good for 10 s."""

PAST_THE_SILENCE_SECONDS = 62.0
"""A silence of the web server of more than 60 s is a gap."""


def some_time(chance: random.Random, longest: float = 1.2) -> None:
    """Wait for a random moment of the load."""
    time.sleep(chance.uniform(0.2, longest))


@fault("none", "nothing: the same load and the same comparison")
def nothing(_world: World, chance: random.Random) -> None:
    some_time(chance)


def _killer(name: str, number: int, times: int) -> Act:
    def act(world: World, chance: random.Random) -> None:
        for _ in range(times):
            some_time(chance)
            world.send(name, number)

    return act


for _name, _what in (
    ("web", "the web server"),
    ("fold", "the fold worker"),
    ("worker", "the deliver worker"),
    ("pull", "the pull worker"),
    ("beat", "the beat"),
    ("archive", "the archive worker"),
):
    fault(f"kill-{_name}", f"SIGKILL of {_what}, twice")(_killer(_name, signal.SIGKILL, 2))


@fault("web-away", "the web server stopped while a minute passes, then killed: a gap of the webhooks")
def web_away(world: World, chance: random.Random) -> None:
    some_time(chance)
    group = os.getpgid(world.pid("web"))  # its own, with the processes that take calls
    os.killpg(group, signal.SIGSTOP)
    time.sleep(1.5)
    world.pass_time(PAST_THE_SILENCE_SECONDS)
    time.sleep(1.5)
    os.killpg(group, signal.SIGKILL)


for _name, _what in (("fold", "a fold"), ("worker", "a delivery"), ("pull", "an import")):
    fault(f"term-{_name}", f"SIGTERM during {_what}, twice")(_killer(_name, signal.SIGTERM, 2))


@fault("kill-store", "SIGKILL of the store, twice (`appendfsync always`)")
def kill_store(world: World, chance: random.Random) -> None:
    for _ in range(2):
        some_time(chance)
        world.kill_store()


@fault("kill-all", "SIGKILL of every process at once, the store too")
def kill_all(world: World, chance: random.Random) -> None:
    some_time(chance)
    for name in OURS:
        world.send(name, signal.SIGKILL)
    world.kill_store()


@fault("kill-at-random", "five SIGKILLs of processes drawn by lot")
def kill_at_random(world: World, chance: random.Random) -> None:
    for _ in range(5):
        some_time(chance)
        name = chance.choice((*OURS, "store"))
        if name == "store":
            world.kill_store()
        else:
            world.send(name, signal.SIGKILL)


@fault("kill-stored", "the deliver worker killed after an import was stored, before it was recorded")
def kill_stored(world: World, chance: random.Random) -> None:
    order = {"match": "import", "kind": "slow-after", "times": 2, "seconds": 2.0}
    world.stage.control("POST", "/faults", order)
    wait(lambda: _slow_calls(world) < 2, 30, "an import that waits for its answer")
    world.send("worker", signal.SIGKILL)
    some_time(chance)
    world.stage.control("DELETE", "/faults")


def _slow_calls(world: World) -> int:
    standing = world.stage.control("GET", "/faults")["faults"]
    return sum(each["times"] for each in standing if each["kind"] == "slow-after")


@fault("two-beats", "a second beat beside the first")
def two_beats(world: World, chance: random.Random) -> None:
    with another(world, *CELERY, "beat", "-l", "WARNING"):
        time.sleep(3 + chance.random())


@fault("two-deliverers", "the deliver worker stopped past its lease while another delivers, then continued")
def two_deliverers(world: World, chance: random.Random) -> None:
    options = ("worker", "-n", "second@%h", "-P", "threads", "-c", "4", "-Q", "deliver,schedule")
    with another(world, *CELERY, *options, "--without-gossip", "--without-mingle", "-l", "WARNING"):
        some_time(chance)
        order = {"match": "import", "kind": "slow-after", "times": 1, "seconds": 2.0}
        world.stage.control("POST", "/faults", order)
        wait(lambda: _slow_calls(world) < 1, 30, "an import that waits for its answer")
        with stopped(world, "worker"):
            time.sleep(PAST_THE_LEASE_SECONDS + chance.random())
        time.sleep(2)
        world.stage.control("DELETE", "/faults")


@fault("two-folds", "the fold worker stopped past its claim while another folds, then continued")
def two_folds(world: World, chance: random.Random) -> None:
    options = ("worker", "-n", "second@%h", "-P", "solo", "-Q", "fold")
    with another(world, *CELERY, *options, "--without-gossip", "--without-mingle", "-l", "WARNING"):
        some_time(chance)
        with stopped(world, "fold"):
            time.sleep(PAST_THE_CLAIM_SECONDS)
        time.sleep(2)


@fault("rolling-restart", "every process asked to end and started again, one after the other")
def rolling_restart(world: World, chance: random.Random) -> None:
    some_time(chance)
    for name in OURS:
        before = world.send(name, signal.SIGTERM)
        wait(partial(_is_another, world, name, before), 60, f"{name} to be started again")


def _is_another(world: World, name: str, before: int) -> bool:
    return world.stage.supervisor.pid(name) not in (None, before)


@fault("stop-store", "SIGSTOP of the store for four seconds")
def stop_store(world: World, chance: random.Random) -> None:
    some_time(chance)
    pid = world.store_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(4)
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def stopped(world: World, name: str) -> Iterator[None]:
    """A child doesn't run for the duration of the block."""
    pid = world.send(name, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def another(
    world: World, *argv: str, env: Mapping[str, str] | None = None, folder: str | None = None
) -> Iterator[None]:
    """One more process on the same installation, begun in that folder; it has ended when the block has."""
    environ = os.environ | dict(world.child_env) | dict(env or {})
    with open(world.log_path, "ab") as log, _started(argv, environ, folder, log) as more:
        try:
            yield
        finally:
            more.terminate()
            try:
                more.wait(30)
            except subprocess.TimeoutExpired:
                more.kill()


def _started(
    argv: Sequence[str], environ: Mapping[str, str], folder: str | None, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, env=environ, cwd=folder, stdout=log, stderr=log)
