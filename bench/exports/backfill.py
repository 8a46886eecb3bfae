"""The mode `backfill`: everybody at once, by the worker process of `listbridge up`."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import requests

from bench.aggregation.measuring import cpu_seconds_of
from bench.exports.world import World, imports_of, since, world
from cli.processes import Supervisor
from cli.services import local_url, services
from listbridge.exports.setup import setup_of
from listbridge.workflows import service

NEEDED: Final = ("beat", "worker", "web")
LOOK_SECONDS: Final = 0.25
STALLED_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Sample:
    """A look while it runs: MiB of resident memory of the worker, of used memory of the store."""

    delivered: int
    at: float
    worker_mb: float
    store_mb: float


@dataclass(frozen=True)
class Backfill:
    """Memory as means of the first and the last third of the run; the store holds what was delivered, so
    its growth is told by the person."""

    people: int
    wall_s: float
    people_per_s: float
    first_third_people_per_s: float
    last_third_people_per_s: float
    imports: int
    calls: int
    worker_cpu_s: float
    worker_mb_first_third: float
    worker_mb_last_third: float
    store_mb_before: float
    store_mb_after: float
    store_bytes_a_person: float


def run(people: int, *, say: Callable[[str], None]) -> Backfill:
    log = io.StringIO()
    with world() as here:
        children = [child for child in services(here.settings) if child.name in NEEDED]
        with Supervisor(children, log) as supervisor:
            _warm_up(here)
            here.enter(range(people), ago=timedelta(days=1))
            say(f"backfill: {people:,} people are folded")
            pid = supervisor.pid("worker")
            if pid is None:
                raise RuntimeError(log.getvalue())
            before_mb, before = _used_mb(here), here.simulated.calls()
            start, cpu = time.monotonic(), cpu_seconds_of(pid)
            samples = _follow(here, _start(here), pid, people, say)
            wall, spent = time.monotonic() - start, cpu_seconds_of(pid) - cpu
        calls = since(before, here.simulated.calls())
        after_mb = _used_mb(here)
    third = len(samples) // 3 or 1
    first, last = samples[:third], samples[-third:]
    found = Backfill(
        people,
        wall,
        people / wall,
        _rate(first),
        _rate(last),
        imports_of(calls),
        calls["total"],
        spent,
        statistics.fmean(each.worker_mb for each in first),
        statistics.fmean(each.worker_mb for each in last),
        before_mb,
        after_mb,
        (after_mb - before_mb) * (1 << 20) / people,
    )
    say(f"backfill: {found.people_per_s:,.0f} people/s, {found.calls} calls")
    return found


def _warm_up(here: World) -> None:
    """Until the worker has prepared another list: its own start is no part of what is measured."""
    made, deadline = _start(here, 1), time.monotonic() + STALLED_SECONDS
    while setup_of(here.context.store, here.simulated.lists[1]) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker does nothing: {here.states()}")
        time.sleep(0.1)
    service.pause(here.context, made)


def _start(here: World, number: int = 0) -> str:
    """Make an export as a user does; -> its id."""
    answer = requests.post(
        f"{local_url(here.settings)}/v1/workflows",
        json={"kind": "export", "authorization_id": here.authorization, "config": here.config(number)},
        headers={"Authorization": f"Bearer {here.settings.api_tokens[0]}"},
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["id"])


def _follow(here: World, workflow: str, pid: int, people: int, say: Callable[[str], None]) -> list[Sample]:
    """Look until everybody is delivered. Raises when nothing moves any more."""
    samples: list[Sample] = []
    moved, said = time.monotonic(), 0
    while not samples or samples[-1].delivered < people:
        time.sleep(LOOK_SECONDS)
        done = here.delivered(workflow)
        now = time.monotonic()
        if done > (samples[-1].delivered if samples else 0):
            moved = now
        if now - moved > STALLED_SECONDS:
            raise RuntimeError(f"{done:,} of {people:,} people were delivered: {here.states()}")
        samples.append(Sample(done, now, _resident_mb(pid), _used_mb(here)))
        if people >= 100_000 and done - said >= people // 10:
            said = done
            say(f"backfill: {done:,} delivered, worker {samples[-1].worker_mb:.0f} MiB")
    return samples


def _rate(samples: Sequence[Sample]) -> float:
    seconds = samples[-1].at - samples[0].at
    return (samples[-1].delivered - samples[0].delivered) / seconds if seconds else float("nan")


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")


def _used_mb(here: World) -> float:
    held = cast(dict[str, Any], here.context.store.client.info("memory"))
    return float(held["used_memory"]) / (1 << 20)
