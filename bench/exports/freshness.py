"""The mode `freshness`: from an accepted audience event until the list holds it.

The processes of `listbridge up` (web, fold, worker, beat, pull, archive) over a store that writes before
it acknowledges, the simulator and the sender: all share the machine. Each event is of another person.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final

from bench.aggregation.measuring import cpu_seconds_of
from bench.exports.world import World, imports_of, share, since, world
from cli.processes import Supervisor
from cli.services import local_url, services

RATE: Final = 500.0
EVENTS_A_POST: Final = 10
WARM_UP_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Freshness:
    """Milliseconds until the simulator has stored the row, from the 2xx and from when the post was due.

    `imports` within `bound`: what is full, and one for each flush window that elapsed. CPU is that of all
    our processes, in cores.
    """

    events: int
    events_per_s: float
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    from_due_p50_ms: float
    from_due_p99_ms: float
    post_p50_ms: float
    never_held: int
    imports: int
    bound: int
    other_calls: int
    cores: float


def run(seconds: float, *, say: Callable[[str], None]) -> Freshness:
    log = io.StringIO()
    with world() as here:
        here.export()
        here.enter(range(1), ago=timedelta(days=1))
        here.deliver()
        with Supervisor(services(here.settings), log) as supervisor:
            _post(here, 1, WARM_UP_SECONDS)
            time.sleep(WARM_UP_SECONDS)
            here.simulated.note()
            before, cpu = here.simulated.calls(), _cpu(supervisor)
            first = 1 + round(RATE * WARM_UP_SECONDS)
            answer = _post(here, first, seconds)
            held = _wait(here, set(answer["answered"]))
            calls = since(before, here.simulated.calls())
            cores = (_cpu(supervisor) - cpu) / answer["wall_s"]
    found = _summary(answer, held, calls, here.settings.flush_milliseconds / 1000, cores)
    if found.never_held:
        say(log.getvalue()[-4000:])
    say(f"freshness: p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms, {found.imports} imports")
    return found


def _post(here: World, first: int, seconds: float) -> dict[str, Any]:
    arguments = {
        "url": local_url(here.settings),
        "token": here.settings.api_tokens[0],
        "rate": RATE,
        "seconds": seconds,
        "events_a_post": EVENTS_A_POST,
        "first": first,
    }
    return here.job("post", arguments)


def _wait(here: World, people: set[str]) -> dict[str, float]:
    """When the list first held each; who isn't there after the patience is missing."""
    held: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not people <= held.keys() and time.monotonic() < deadline:
        held |= here.simulated.note().first
        time.sleep(0.2)
    return held


def _cpu(supervisor: Supervisor) -> float:
    total = 0.0
    for name in ("web", "fold", "worker", "beat", "pull", "archive"):
        pid = supervisor.pid(name)
        with suppress(OSError):
            total += cpu_seconds_of(pid) if pid else 0
    return total


def _summary(
    answer: dict[str, Any], held: dict[str, float], calls: dict[str, int], window: float, cores: float
) -> Freshness:
    answered: dict[str, list[float]] = answer["answered"]
    seen = {person: times for person, times in answered.items() if person in held}
    waits = [held[person] - at for person, (_, at) in seen.items()]
    from_due = [held[person] - due for person, (due, _) in seen.items()]
    imports = imports_of(calls)
    return Freshness(
        events=len(answered),
        events_per_s=RATE,
        seconds=answer["wall_s"],
        p50_ms=1000 * share(waits, 0.5),
        p99_ms=1000 * share(waits, 0.99),
        max_ms=1000 * share(waits, 1.0),
        from_due_p50_ms=1000 * share(from_due, 0.5),
        from_due_p99_ms=1000 * share(from_due, 0.99),
        post_p50_ms=1000 * share([at - due for due, at in answered.values()], 0.5),
        never_held=len(answered) - len(seen),
        imports=imports,
        bound=ceil(len(answered) / 1000) + ceil(answer["wall_s"] / window),
        other_calls=calls.get("total", 0) - imports,
        cores=cores,
    )
