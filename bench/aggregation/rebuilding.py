"""The mode `rebuild`: everybody anew from the archive, by mappings that have changed.

Before the clock: append, fold, archive (reported by itself), trim, and apply a mapping that makes every
person's profile another one. In the clock: `listbridge.jobs.rebuild.rebuild`, the start of its processes
included.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.aggregation import jobs, through_store
from bench.aggregation.workload import Workload
from listbridge.aggregation.fold import Folder
from listbridge.archive.passes import run_pass
from listbridge.context import Context, build
from listbridge.jobs.rebuild import rebuild
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, plan
from settings import Settings

PROCESSES: Final = 2
_FIELD: Final = """SELECT email(email) AS email KIND string, count(event) AS bench_{n} KIND int
FROM cm_activity INTO USER BY email ALIAS bench"""


@dataclass(frozen=True)
class RebuildFound:
    """Medians of the rebuilds. Peak: of the process that took the most."""

    events: int
    people: int
    processes: int
    wall_s: float
    events_per_s: float
    peak_mb: float
    memory_mb: int
    """The setting LISTBRIDGE_REBUILD_MEMORY_MB."""
    archive_events_per_s: float
    archive_bytes_per_event: float


def run(workload: Workload, runs: int, *, say: Callable[[str], None]) -> RebuildFound:
    with TemporaryDirectory(prefix="listbridge-bench-") as directory, through_store.server() as url:
        context = build(_settings(url, Path(directory)), url)
        jobs.run("append", {"url": url, "path": str(workload.columns)})
        Folder(context.store, context.programs, context.archive).run(seconds=3600)
        archive_s, size = _archive(context, Path(directory))
        say(f"archived in {archive_s:.2f} s, {size / workload.events:.1f} bytes an event")
        found = []
        for number in range(runs):
            found.append(jobs.run("rebuild", {"url": url, "directory": directory, "number": number}))
            if found[-1]["events"] != workload.events:
                raise RuntimeError(f"{found[-1]['events']} events were read, not {workload.events}")
            say(f"run {number + 1}: rebuild {found[-1]['wall_s']:.2f} s, {found[-1]['changed']:,} written")
        wall = statistics.median(each["wall_s"] for each in found)
        return RebuildFound(
            workload.events,
            found[-1]["people"],
            PROCESSES,
            wall,
            workload.events / wall,
            max(each["peak_mb"] for each in found),
            context.settings.rebuild_memory_mb,
            workload.events / archive_s,
            size / workload.events,
        )


def job(url: str, directory: str, number: int) -> jobs.Prepared:
    """One rebuild, by mappings that have changed, in a process whose only children are its workers."""
    context = build(_settings(url, Path(directory)), url)
    _change(context, number)

    def work() -> jobs.Answer:
        start = time.perf_counter()
        result = rebuild(context, processes=PROCESSES)
        wall = time.perf_counter() - start
        if not result.complete:
            raise RuntimeError(f"the rebuild is not complete: {result.failed}")
        counted = {
            name: sum(getattr(each, name) for each in result.done) for name in ("people", "changed", "events")
        }
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return {"wall_s": wall, "peak_mb": peak, **counted}

    return work


def _settings(url: str, directory: Path) -> Settings:
    return replace(Settings(), data_dir=directory, redis_url=url, partitions=through_store.PARTITIONS)


def _archive(context: Context, directory: Path) -> tuple[float, int]:
    """Seconds of the passes that archive and trim everything, and the bytes of the files."""
    start = time.perf_counter()
    while run_pass(context.archive, context.program.streams).events:
        pass
    seconds = time.perf_counter() - start
    return seconds, sum(path.stat().st_size for path in directory.rglob("*.parquet"))


def _change(context: Context, number: int) -> None:
    text = MappingText("bench", "bench.lql", _FIELD.format(n=number))
    activate(context.store, plan(context.store, (*with_files([]), text)))
    context.programs.current(renew=True)
