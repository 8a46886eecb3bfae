"""The processes that are measured: `python -m bench.exports.jobs NAME`; see `bench.aggregation.jobs`."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

import settings as settings_module
from bench.aggregation import jobs
from bench.aggregation.measuring import measure
from bench.exports.people import entries, pages
from listbridge import audiences
from listbridge.aggregation.fold import Folder
from listbridge.context import Context, build
from listbridge.jobs.deliver import deliver


def context() -> Context:
    """What a process of ours works with, by the settings in its environment."""
    held = settings_module.current()
    return build(held, held.redis_url)


def prepared(name: str, arguments: dict[str, Any]) -> jobs.Prepared:
    """The job's work, with everything imported that it needs."""
    match name:
        case "enter":
            return partial(_enter, context(), **arguments)
        case "deliver":
            return partial(_deliver, context(), **arguments)
        case "api" | "official":
            from bench.exports import cpu

            return cpu.JOBS[name](**arguments)
        case "one by one" | "batches":
            from bench.exports import official

            return official.JOBS[name](**arguments)
        case "post":
            from bench.exports import posting

            return posting.job(**arguments)
    raise ValueError(f"no job is named {name!r}")


def _enter(held: Context, first: int, last: int, changes: list[int], ago_seconds: float) -> jobs.Answer:
    start = time.perf_counter()
    accepted = 0
    for number, change in enumerate(changes):
        ago = timedelta(seconds=ago_seconds - 2 * number)
        for page in pages(entries(range(first, last), change=change, ago=ago)):
            accepted += audiences.receive(held.store, page).accepted
    if accepted != len(changes) * (last - first):
        raise RuntimeError(f"{accepted} of {len(changes) * (last - first)} events were new")
    appended = time.perf_counter()
    Folder(held.store, held.programs).run(seconds=3600)
    return {"append_s": appended - start, "fold_s": time.perf_counter() - appended}


def _deliver(held: Context, list_id: str) -> jobs.Answer:
    result, cost = measure(lambda: deliver(held, list_id))
    if result is None:
        raise RuntimeError("the delivery came to nothing: the export's state says why")
    return {**asdict(cost), "sent": result.sent, "calls": result.calls, **result.counters()}


if __name__ == "__main__":
    jobs.main(prepared)
