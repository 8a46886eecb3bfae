"""The mode `speed`: people a second where every call takes a second and four are in flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bench.exports.world import imports_of, since, world

DELAY_SECONDS: Final = 1.0
IN_FLIGHT: Final = 4
CEILING: Final = 1000 * IN_FLIGHT / DELAY_SECONDS


@dataclass(frozen=True)
class Speed:
    """One delivery, from the start of the job to its last outcome, the flush window included.

    `steady_people_per_s` leaves out the first round of calls and what came before it.
    """

    case: str
    people: int
    wall_s: float
    people_per_s: float
    steady_people_per_s: float
    of_ceiling: float
    imports: int
    calls: int
    worker_cpu_s: float
    peak_mb: float


def run(people: int, *, say: Callable[[str], None]) -> list[Speed]:
    found = []
    with world(api_calls_in_flight=IN_FLIGHT) as here:
        here.export()
        here.enter(range(1), ago=timedelta(days=2))
        here.deliver()
        for case, change, ago in (
            ("new people", 1, timedelta(days=1)),
            ("changed people", 2, timedelta(hours=1)),
        ):
            here.enter(range(people), change + 1, ago=ago)
            here.simulated.delay(DELAY_SECONDS)
            before = here.simulated.calls()
            here.simulated.note()
            answer = here.deliver()
            calls = since(before, here.simulated.calls())
            here.simulated.delay(0)
            rate = answer["sent"] / answer["wall_s"]
            found.append(
                Speed(
                    case,
                    answer["sent"],
                    answer["wall_s"],
                    rate,
                    _steady(here.simulated.note().imports),
                    rate / CEILING,
                    imports_of(calls),
                    calls["total"],
                    answer["cpu_s"],
                    answer["peak_mb"],
                )
            )
            say(f"speed, {case}: {rate:,.0f} people/s, {calls['total']} calls in {answer['wall_s']:.1f} s")
    return found


def _steady(imports: list[tuple[float, int]]) -> float:
    """Rows a second from the last import of the first round to the last of all."""
    ordered = sorted(imports)
    rows, seconds = sum(rows for _, rows in ordered[IN_FLIGHT:]), ordered[-1][0] - ordered[IN_FLIGHT - 1][0]
    return rows / seconds if seconds else float("nan")
