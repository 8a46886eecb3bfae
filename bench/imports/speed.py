"""Rows a second and calls: ours, the tap and the official client over the same account, run after run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.aggregation import jobs
from bench.imports.accounts import Plan
from bench.imports.tap import Tap
from bench.imports.world import MODULE, World, world
from bench.service import API_KEY

UNLIMITED: Final[dict[str, Any]] = {"api_calls_per_second": 10_000.0}


@dataclass(frozen=True)
class Speed:
    """One engine over one account, the median of its runs. `ours_is`: our rows a second by its own."""

    engine: str
    case: str
    rows: int
    wall_s: float
    rows_per_s: float
    cpu_s: float
    calls: int
    ours_is: float | None = None


@dataclass(frozen=True)
class Delayed:
    """Our import where every call takes longer. `ideal_s`: all calls by their delay, so many in flight."""

    in_flight: int
    rows: int
    calls: int
    ideal_s: float
    wall_s: float
    over_ideal: float
    rows_per_s: float


def run(plan: Plan, runs: int, *, say: Callable[[str], None]) -> list[Speed]:
    """First and second runs of all three, in turns, each time over a new store and a new state."""
    found: dict[tuple[str, str], list[Speed]] = {}
    for number in range(runs):
        with world(plan, **UNLIMITED) as here:
            for each in (*_ours(here), *_tap(here), _official(here)):
                say(f"run {number + 1}: {each.engine}, {each.case}: {each.rows_per_s:,.0f} rows/s")
                found.setdefault((each.engine, each.case), []).append(each)
    rows = [_median(each) for each in found.values()]
    ours = next(row for row in rows if (row.engine, row.case) == ("listbridge", "first run"))
    return [_compared(row, ours) for row in rows]


def _ours(here: World) -> list[Speed]:
    workflow_id = here.create()
    made = []
    for case in ("first run", "second run, nothing new"):
        told = here.run(workflow_id)
        if not made and (told["quarantined"] or told["duplicates"]):
            raise RuntimeError(f"the first run set aside {told['quarantined']}, knew {told['duplicates']}")
        made.append(_speed("listbridge", case, told["rows"], told["wall_s"], told["cpu_s"], told["calls"]))
    return made


def _tap(here: World) -> list[Speed]:
    tap, made = Tap(here.simulated, here.simulated.client_id), []
    for case in ("first run", "second run, nothing new"):
        told = tap.run()
        if told.status:
            raise RuntimeError(f"the tap ended with {told.status}")
        made.append(_speed("tap", case, told.records, told.wall_s, told.cpu_s, told.calls))
    return made


def _official(here: World) -> Speed:
    simulated = here.simulated
    arguments = {"api_url": simulated.api_url, "api_key": API_KEY, "client_id": simulated.client_id}
    before = simulated.calls()["total"]
    told = jobs.run("official", arguments, module=MODULE)
    calls = simulated.calls()["total"] - before
    return _speed("createsend", "every run", told["rows"], told["wall_s"], told["cpu_s"], calls)


def _speed(engine: str, case: str, rows: int, wall_s: float, cpu_s: float, calls: int) -> Speed:
    return Speed(engine, case, rows, wall_s, rows / wall_s, cpu_s, calls)


def _median(found: list[Speed]) -> Speed:
    first = found[0]
    wall, cpu = median(each.wall_s for each in found), median(each.cpu_s for each in found)
    return _speed(first.engine, first.case, first.rows, wall, cpu, first.calls)


def _compared(row: Speed, ours: Speed) -> Speed:
    if row.engine == "listbridge" or row.case.startswith("second"):
        return row
    return Speed(
        row.engine,
        row.case,
        row.rows,
        row.wall_s,
        row.rows_per_s,
        row.cpu_s,
        row.calls,
        ours.rows_per_s / row.rows_per_s,
    )


def delayed(
    plan: Plan, seconds: float, in_flight: tuple[int, ...], *, say: Callable[[str], None]
) -> list[Delayed]:
    """First runs where each call takes `seconds` longer."""
    made = []
    for many in in_flight:
        with world(
            plan, **UNLIMITED, api_calls_in_flight=many, api_account_calls_in_flight=_slots(many)
        ) as here:
            workflow_id = here.create()
            here.simulated.delay(seconds)
            told = here.run(workflow_id)
        ideal = told["calls"] * seconds / many
        wall, rows = told["wall_s"], told["rows"]
        made.append(Delayed(many, rows, told["calls"], ideal, wall, wall / ideal, rows / wall))
        say(f"{many} in flight: {wall:.2f} s, ideally {ideal:.2f} s")
    return made


def _slots(many: int) -> int:
    """How many calls of an account have to be allowed for an import to have so many: it leaves a quarter."""
    return next(slots for slots in range(many, 2 * many + 2) if slots - max(1, slots // 4) >= many)
