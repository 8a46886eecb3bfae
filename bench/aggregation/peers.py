"""The modes `columns` and `json`: the same events through every engine, in turns, outputs compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.aggregation import engines, jobs
from bench.aggregation.canonical import canonical, digest
from bench.aggregation.measuring import measure
from bench.aggregation.workload import Workload

MODES: Final = ("columns", "json")


@dataclass(frozen=True)
class Row:
    """The medians of one engine's runs in one mode. `ratio`: how many times as fast as it ours is."""

    engine: str
    mode: str
    events_per_cpu_s: float
    wall_s: float
    peak_mb: float
    baseline_mb: float
    ratio: float | None = None


def job(engine: str, mode: str, path: str) -> Callable[[], dict[str, Any]]:
    """One run of one engine; its output is made canonical outside the clock."""
    loaded = engines.load(engine)
    run = loaded.RUNS[mode]

    def work() -> dict[str, Any]:
        result, cost = measure(lambda: run(Path(path)))
        shown = digest((key, canonical(fields)) for key, fields in loaded.people(result))
        return {**asdict(cost), "digest": shown}

    return work


def compare(
    workload: Workload,
    names: Sequence[str],
    modes: Sequence[str],
    runs: int,
    *,
    unsorted: bool,
    say: Callable[[str], None],
) -> tuple[list[Row], set[str]]:
    """Run every engine `runs` times in each mode, in turns; the rows, and the digests of all outputs."""
    paths = {"columns": workload.columns if unsorted else workload.sorted_columns, "json": workload.lines}
    answers: dict[tuple[str, str], list[jobs.Answer]] = {}
    for number in range(runs):
        for mode in modes:
            for name in names:
                answer = jobs.run("engine", {"engine": name, "mode": mode, "path": str(paths[mode])})
                say(f"run {number + 1}: {name}, {mode}: {answer['cpu_s']:.2f} CPU s, {answer['digest']}")
                answers.setdefault((name, mode), []).append(answer)
    rows = [_row(name, mode, found, workload.events) for (name, mode), found in answers.items()]
    digests = {answer["digest"] for found in answers.values() for answer in found}
    return _with_ratios(rows), digests


def _row(engine: str, mode: str, answers: Sequence[jobs.Answer], events: int) -> Row:
    def median(name: str) -> float:
        return float(statistics.median(answer[name] for answer in answers))

    return Row(
        engine, mode, events / median("cpu_s"), median("wall_s"), median("peak_mb"), median("baseline_mb")
    )


def _with_ratios(rows: Sequence[Row]) -> list[Row]:
    ours = {row.mode: row.events_per_cpu_s for row in rows if row.engine == engines.OURS}
    return [
        replace(row, ratio=ours[row.mode] / row.events_per_cpu_s) if row.mode in ours else row for row in rows
    ]
