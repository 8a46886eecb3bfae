"""The official client, `createsend`: what somebody writes with it who has no Listbridge.

It speaks TLS only; so that CPU time is compared without, its connection is replaced by a plain one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any, Final

from bench.aggregation import jobs
from bench.aggregation.measuring import cpu_seconds
from bench.exports.people import official_row

warnings.simplefilter("ignore", ResourceWarning)
BATCH: Final = 1000


def client(api_url: str, api_key: str) -> Any:
    """Its `Subscriber`, aimed at the simulator."""
    import createsend
    import createsend.createsend as module

    module.VerifiedHTTPSConnection = HTTPConnection
    createsend.CreateSend.base_uri = api_url
    return createsend.Subscriber({"api_key": api_key})


def _one_by_one(api_url: str, api_key: str, list_id: str, key: str, people: int) -> jobs.Prepared:
    """Add one after another."""
    subscriber = client(api_url, api_key)

    def work() -> jobs.Answer:
        start, cpu = time.perf_counter(), cpu_seconds()
        for number in range(people):
            row = official_row(number, key, change=1)
            subscriber.add(
                list_id,
                row["EmailAddress"],
                row["Name"],
                row["CustomFields"],
                False,
                row["ConsentToTrack"],
            )
        return {"wall_s": time.perf_counter() - start, "cpu_s": cpu_seconds() - cpu, "calls": people}

    return work


def _batches(api_url: str, api_key: str, list_id: str, key: str, people: int, changes: int) -> jobs.Prepared:
    """Import every change as a row, a thousand a call, in the order in which they came."""
    subscriber = client(api_url, api_key)

    def work() -> jobs.Answer:
        start, cpu, calls = time.perf_counter(), cpu_seconds(), 0
        waiting: list[dict[str, Any]] = []
        for change in range(changes):
            for number in range(people):
                waiting.append(official_row(number, key, change))
                if len(waiting) == BATCH:
                    subscriber.import_subscribers(list_id, waiting, False)
                    calls, waiting = calls + 1, []
        if waiting:
            subscriber.import_subscribers(list_id, waiting, False)
            calls += 1
        return {"wall_s": time.perf_counter() - start, "cpu_s": cpu_seconds() - cpu, "calls": calls}

    return work


JOBS: Final[dict[str, Callable[..., jobs.Prepared]]] = {"one by one": _one_by_one, "batches": _batches}
