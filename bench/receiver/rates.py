"""The mode `rates`: requests and events a second of both doors, beside an empty view and a bare write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import requests

from bench.receiver import load
from bench.receiver.bodies import Events, audience_events, delivery
from bench.receiver.load import Load
from bench.receiver.paths import FLASK, WRITE
from bench.receiver.world import World, world

EVENTS: Final = (1, 5, 100, 1000)
BODIES: Final[dict[str, Events]] = {"webhooks": delivery, "audience events": audience_events}
MOST_REQUESTS: Final = {1: 8_000, 5: 6_000, 100: 2_000, 1000: 300}
"""A second: more bodies than any run takes are made beforehand."""
WARM_UP_SECONDS: Final = 2.0
STORED: Final = {"webhooks": 2, "audience events": 1}
"""Events of the streams for each that is posted: a webhook tells an activity and a state."""


@dataclass(frozen=True)
class Rate:
    """Medians of the runs. `of_flask` is the posts a second of new deliveries by those of an empty view with
    the same body, `of_write` by those of a view that adds the body to a stream; CPU time is that of one post;
    `bare_per_s` are such writes by one client, one after another."""

    door: str
    workers: int
    events: int
    kib: float
    per_s: float
    events_per_s: float
    p50_ms: float
    p99_ms: float
    repeated_per_s: float
    flask_per_s: float
    of_flask: float
    flask_p50_ms: float
    write_per_s: float
    of_write: float
    web_cpu_us: float
    flask_cpu_us: float
    write_cpu_us: float
    store_cpu_us: float
    bare_per_s: float
    ceiling_per_s: float


@dataclass
class _Run:
    new: Load
    repeated: Load
    flask: Load
    write: Load
    web_cpu_us: float
    flask_cpu_us: float
    write_cpu_us: float
    store_cpu_us: float
    bare_per_s: float


def run(
    runs: int, seconds: int, *, workers: tuple[int, ...] = (1, 2), say: Callable[[str], None]
) -> list[Rate]:
    found = []
    for each in workers:
        with world(each) as here, TemporaryDirectory(prefix="listbridge-bench-") as directory:
            numbers = count()
            cells = [(door, events) for door in BODIES for events in EVENTS]
            done: dict[tuple[str, int], list[_Run]] = {cell: [] for cell in cells}
            size: dict[tuple[str, int], int] = {}
            _warm_up(here, numbers)
            for _ in range(runs):
                for cell in cells:
                    one, size[cell] = _measure(here, Path(directory), *cell, numbers, seconds)
                    done[cell].append(one)
            for cell in cells:
                found.append(_rate(*cell, each, size[cell], done[cell]))
                say(_said(found[-1]))
    return found


def _warm_up(here: World, numbers: Iterator[int]) -> None:
    """Until the workers have imported what they need for their first events, and to ask for a fold."""
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(20):
            for door, (url, headers) in here.doors.items():
                body = BODIES[door](numbers, 5, datetime.now(UTC))
                headers = {"Content-Type": "application/json", **headers}
                session.post(url, data=body, headers=headers, timeout=30).raise_for_status()
    time.sleep(WARM_UP_SECONDS)
    here.clear()


def _measure(
    here: World, directory: Path, door: str, events: int, numbers: Iterator[int], seconds: int
) -> tuple[_Run, int]:
    """New deliveries, the same ones again, the empty view, the bare write; -> and the bytes of a body."""
    now, many = datetime.now(UTC), MOST_REQUESTS[events] * seconds
    bodies = [BODIES[door](numbers, events, now) for _ in range(many)]
    url, headers = here.doors[door]
    file = directory / "requests"
    made = load.write(file, url, headers, bodies)
    before, cpu = here.stored(), here.cpu()
    new = load.post(url, file, seconds)
    web, store = _since(cpu, here.cpu())
    if new.begun > len(made):
        raise RuntimeError(f"{new.begun} posts of {len(made)} bodies: the last ones were no new deliveries")
    _check(here.stored() - before, new, events * STORED[door])
    load.write_requests(file, made[: new.requests])
    before = here.stored()
    repeated = load.post(url, file, 1)
    if here.stored() - before > events * STORED[door] * load.CONNECTIONS:
        raise RuntimeError("deliveries that came again were taken for new ones")
    few = bodies[: MOST_REQUESTS[events]]
    flask, empty = _beside(here, FLASK, file, headers, few)
    write, writing = _beside(here, WRITE, file, headers, few)
    bare = _writes(here, bodies)
    here.clear()
    taken = 1e6 * web / new.requests, empty, writing, 1e6 * store / new.requests
    return _Run(new, repeated, flask, write, *taken, bare), len(bodies[0])


def _beside(
    here: World, path: str, file: Path, headers: dict[str, str], bodies: list[bytes]
) -> tuple[Load, float]:
    """The same bodies to another view; -> and the CPU time of a post in microseconds."""
    load.write(file, here.url + path, headers, bodies)
    cpu = here.cpu()
    done = load.post(here.url + path, file, 1)
    web, _ = _since(cpu, here.cpu())
    return done, 1e6 * web / done.requests


def _since(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    return after[0] - before[0], after[1] - before[1]


def _check(stored: int, done: Load, events: int) -> None:
    """Every event of an answered post is in the streams, and none of a post that was not begun."""
    if not done.requests * events <= stored <= done.begun * events:
        raise RuntimeError(
            f"{stored} events are stored; {done.requests} posts of {events} were answered, {done.begun} begun"
        )


def _writes(here: World, bodies: list[bytes], seconds: float = 0.5) -> float:
    """One client that adds one entry after another to a stream, a second."""
    client, name = here.context.store.client, here.context.store.parts[0].stream("bench")
    start, done = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < seconds:
        client.xadd(name, {"e": bodies[done % len(bodies)]})
        done += 1
    return done / took


def _rate(door: str, events: int, workers: int, size: int, runs: list[_Run]) -> Rate:
    per_s = median(each.new.per_s for each in runs)
    return Rate(
        door=door,
        workers=workers,
        events=events,
        kib=size / 1024,
        per_s=per_s,
        events_per_s=per_s * events,
        p50_ms=median(each.new.p50_ms for each in runs),
        p99_ms=median(each.new.p99_ms for each in runs),
        repeated_per_s=median(each.repeated.per_s for each in runs),
        flask_per_s=median(each.flask.per_s for each in runs),
        of_flask=median(each.new.per_s / each.flask.per_s for each in runs),
        flask_p50_ms=median(each.flask.p50_ms for each in runs),
        write_per_s=median(each.write.per_s for each in runs),
        of_write=median(each.new.per_s / each.write.per_s for each in runs),
        web_cpu_us=median(each.web_cpu_us for each in runs),
        flask_cpu_us=median(each.flask_cpu_us for each in runs),
        write_cpu_us=median(each.write_cpu_us for each in runs),
        store_cpu_us=median(each.store_cpu_us for each in runs),
        bare_per_s=median(each.bare_per_s for each in runs),
        ceiling_per_s=median(each.flask.ceiling_per_s for each in runs),
    )


def _said(rate: Rate) -> str:
    return (
        f"{rate.door}, {rate.workers} workers, {rate.events} events: {rate.per_s:,.0f} posts/s, "
        f"{rate.events_per_s:,.0f} events/s, {rate.of_flask:.2f} x Flask"
    )
