"""The mode `growth`: does an event cost as much among ten million as among one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.aggregation import jobs, peers, through_store
from bench.aggregation.engines import OURS
from bench.aggregation.workload import Workload

EVENTS_A_PERSON: Final = 20


@dataclass(frozen=True)
class Growth:
    """CPU microseconds of an event at one size, and how many times those at the smallest size they are."""

    mode: str
    events: int
    people: int
    us_per_event: float
    ratio: float
    peak_mb: float
    longest_ms: float | None = None
    """The longest that one script of a fold kept the server busy."""


def run(sizes: Sequence[int], seed: int, *, say: Callable[[str], None]) -> list[Growth]:
    """Our engine from columns, and through the store with one worker, at every size; people grow along."""
    found = []
    for size in sizes:
        workload = Workload(size, size // EVENTS_A_PERSON, seed)
        jobs.run("workload", {"events": size, "people": workload.people, "seed": seed, "lines": False})
        found += [_columns(workload, say), _store(workload, say)]
    first = {each.mode: each.us_per_event for each in reversed(found)}
    return [replace(each, ratio=each.us_per_event / first[each.mode]) for each in found]


def _columns(workload: Workload, say: Callable[[str], None]) -> Growth:
    [row], _ = peers.compare(workload, [OURS], ["columns"], 1, unsorted=False, say=say)
    return Growth("columns", workload.events, workload.people, 1e6 / row.events_per_cpu_s, 1.0, row.peak_mb)


def _store(workload: Workload, say: Callable[[str], None]) -> Growth:
    with through_store.server() as url:
        [fold] = through_store.run(url, workload, [1], 1, say=say).folds
    cost = 1e6 / fold.events_per_total_cpu_s
    return Growth(
        "store", workload.events, workload.people, cost, 1.0, fold.peak_mb, longest_ms=fold.longest_ms
    )
