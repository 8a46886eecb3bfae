"""The processes that are measured: `python -m bench.imports.jobs NAME`; see `bench.aggregation.jobs`."""

from __future__ import annotations

import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import settings as settings_module
from bench.aggregation import jobs
from bench.aggregation.measuring import measure
from listbridge.context import Context, build
from listbridge.jobs.pull import pull

SAMPLES_A_SECOND: Final = 4


def context() -> Context:
    """What a process of ours works with, by the settings in its environment."""
    held = settings_module.current()
    return build(held, held.redis_url)


def prepared(name: str, arguments: dict[str, Any]) -> jobs.Prepared:
    """The job's work, with everything imported that it needs."""
    match name:
        case "import":
            return partial(_import, context(), **arguments)
        case "official":
            from bench.imports import official

            return official.prepared(**arguments)
    raise ValueError(f"no job is named {name!r}")


def _import(context: Context, workflow_id: str) -> jobs.Answer:
    """One run of an import, as a worker does it; `resident_mb` is sampled while it runs."""
    samples: list[float] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(1 / SAMPLES_A_SECOND):
            samples.append(_resident_mb())

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    result, cost = measure(lambda: pull(context, workflow_id, ring_fold=lambda: None))
    over.set()
    watcher.join()
    names = ("rows", "accepted", "duplicates", "quarantined") if result else ()
    found = {name: getattr(result, name) for name in names}
    return {**asdict(cost), **found, "resident_mb": samples}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


if __name__ == "__main__":
    jobs.main(prepared)
