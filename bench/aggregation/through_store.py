"""The mode `store`: events appended to a real store, read back from its streams, folded and committed.

The store is an embedded one in a directory of its own. Appending stands outside the clock of the fold
and is reported by itself. Before each fold the profiles and offsets are dropped, so that every fold reads
the same streams; with two workers both fold the same store at the same time, each looking again until
nothing is left, as workers do that are rung.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import polars as pl

from bench.aggregation import jobs
from bench.aggregation.canonical import canonical, digest
from bench.aggregation.measuring import measure
from bench.aggregation.workload import Workload, events
from listbridge.aggregation import view
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.context import load_program
from listbridge.profiles.codec import Codec
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.store import Store, connect
from listbridge.streams.events import Event
from listbridge.streams.log import append
from settings import Settings

PARTITIONS: Final = 16
PAGE: Final = 1000
"""Events in one append: the page of a report."""
BANDS: Final = ((1, 5), (6, 20), (21, 100), (101, None))
IDLE_SECONDS: Final = 0.005
SLOW_KEPT: Final = 10_000


@dataclass(frozen=True)
class Fold:
    """The medians of the folds by so many workers. CPU seconds of the workers and of the server."""

    workers: int
    events: int
    events_per_s: float
    events_per_cpu_s: float
    """By the workers' own CPU time."""
    events_per_total_cpu_s: float
    """By the CPU time of workers and server together."""
    wall_s: float
    worker_cpu_s: float
    server_cpu_s: float
    peak_mb: float
    """Of the worker that took the most."""
    longest_ms: float
    """The longest that one command or script kept the server from all others."""


@dataclass(frozen=True)
class StoreFindings:
    """What came of one workload in the store."""

    append: dict[str, float]
    folds: list[Fold]
    profiles: dict[str, Any]
    digests: set[str]


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty embedded store, on disk before it acknowledges, gone at the end."""
    with TemporaryDirectory(prefix="listbridge-bench-") as directory, EmbeddedStore(Path(directory)) as store:
        connect(store.url, PARTITIONS).prepare()
        yield store.url


def run(
    url: str, workload: Workload, workers: Sequence[int], runs: int, *, say: Callable[[str], None]
) -> StoreFindings:
    """Append once, fold `runs` times with each number of workers in turns, then look at the profiles."""
    store = connect(url, PARTITIONS)
    source = str(workload.columns)
    before = server_cpu(store)
    appended = jobs.run("append", {"url": url, "path": source})
    appended["server_cpu_s"] = server_cpu(store) - before
    appended["events_per_s"] = workload.events / appended["wall_s"]
    say(f"append: {appended['events_per_s']:,.0f} events/s, {appended['accepted']:,} accepted")
    found: dict[int, list[dict[str, float]]] = {count: [] for count in workers}
    digests = set()
    inspected: dict[str, Any] = {}
    for number in range(runs):
        for count in workers:
            _reset(store)
            found[count].append(_fold(store, url, count))
            inspected = jobs.run("inspect", {"url": url, "path": source})
            digests.add(inspected.pop("digest"))
            say(f"run {number + 1}: fold, {count} worker(s): {found[count][-1]['wall_s']:.2f} s")
    folds = [_median(workload.events, count, several) for count, several in found.items()]
    return StoreFindings(appended, folds, inspected, digests)


def _reset(store: Store) -> None:
    """Drop everything that a fold made."""
    for part in store.parts:
        store.client.delete(
            part.profiles,
            part.offsets,
            part.version,
            part.changed,
            part.sequence,
            part.attempts,
            part.fold_lease,
            part.mapping,
            part.skips,
        )


def _fold(store: Store, url: str, workers: int) -> dict[str, float]:
    with ExitStack() as stack:
        running = [stack.enter_context(jobs.Job("fold", {"url": url})) for _ in range(workers)]
        for each in store.servers:
            each.config_set("slowlog-log-slower-than", 1000)
            each.config_set("slowlog-max-len", SLOW_KEPT)
            each.slowlog_reset()
        cpu, start = server_cpu(store), time.perf_counter()
        for job in running:
            job.go()
        answers = [job.answer() for job in running]
        wall = time.perf_counter() - start
        return {
            "wall_s": wall,
            "worker_cpu_s": sum(answer["cpu_s"] for answer in answers),
            "server_cpu_s": server_cpu(store) - cpu,
            "peak_mb": max(answer["peak_mb"] for answer in answers),
            "longest_ms": _longest_ms(store),
        }


def _longest_ms(store: Store) -> float:
    """Of the last commands that took a millisecond or more."""
    slow = [
        each for client in store.servers for each in cast(list[dict[str, int]], client.slowlog_get(SLOW_KEPT))
    ]
    return max((each["duration"] for each in slow), default=0) / 1000


def _median(events: int, workers: int, found: Sequence[dict[str, float]]) -> Fold:
    middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
    total = statistics.median(each["worker_cpu_s"] + each["server_cpu_s"] for each in found)
    return Fold(
        workers=workers,
        events=events,
        events_per_s=events / middle["wall_s"],
        events_per_cpu_s=events / middle["worker_cpu_s"],
        events_per_total_cpu_s=events / total,
        **middle,
    )


def server_cpu(store: Store) -> float:
    found = [cast(dict[str, float], client.info("cpu")) for client in store.servers]
    return sum(float(used["used_cpu_user"]) + float(used["used_cpu_sys"]) for used in found)


def pages(path: Path) -> Iterator[tuple[int, list[Event]]]:
    """The events in pages of one time of receipt each, as the importer appends them."""
    page: list[Event] = []
    at = 0
    for received, event in events(pl.read_parquet(path)):
        if page and (received != at or len(page) == PAGE):
            yield at, page
            page = []
        at = received
        page.append(event)
    if page:
        yield at, page


def _append_job(url: str, path: str) -> jobs.Prepared:
    store = connect(url, PARTITIONS)
    ready = pages(Path(path))

    def work() -> jobs.Answer:
        accepted, wall, cpu = 0, 0.0, 0.0
        for received, page in ready:
            # Making the events is no part of appending them.
            counts, cost = measure(partial(append, store, page, received=received))
            accepted, wall, cpu = accepted + counts.accepted, wall + cost.wall_s, cpu + cost.cpu_s
        return {"accepted": accepted, "wall_s": wall, "cpu_s": cpu}

    return work


def _fold_job(url: str) -> jobs.Prepared:
    store, program = connect(url, PARTITIONS), load_program(Settings())
    folder = Folder(store, program)

    def work() -> int:
        folded = 0
        while any(has_lag(store, program)):
            folded += (done := folder.run(seconds=3600).events)
            if not done:
                time.sleep(IDLE_SECONDS)
        return folded

    def measured() -> jobs.Answer:
        folded, cost = measure(work)
        return {**asdict(cost), "folded": folded}

    return measured


def _inspect_job(url: str, path: str) -> jobs.Prepared:
    def work() -> jobs.Answer:
        store, program = connect(url, PARTITIONS), load_program(Settings())
        codec = Codec(program)
        packed: dict[str, bytes] = {}
        memory = 0
        for part in store.parts:
            held = cast(dict[bytes, bytes], store.client.hgetall(part.profiles))
            packed.update((key.decode(), value) for key, value in held.items())
            memory += int(store.client.memory_usage(part.profiles, samples=0) or 0)
        shown = ((key, canonical(view(program, codec.unpack(value).states))) for key, value in packed.items())
        mean = statistics.fmean(map(len, packed.values()))
        return {
            "people": len(packed),
            "packed_bytes": mean,
            "memory_bytes": memory / len(packed),
            "memory_ratio": memory / len(packed) / mean,
            "by_activity": _by_activity(packed, Path(path)),
            "digest": digest(shown),
        }

    return work


def _by_activity(packed: dict[str, bytes], path: Path) -> list[dict[str, Any]]:
    counts = dict(pl.read_parquet(path, columns=["_key"]).group_by("_key").len().iter_rows())
    found = []
    for low, high in BANDS:
        sizes = [
            len(value)
            for key, value in packed.items()
            if low <= counts[key] and (not high or counts[key] <= high)
        ]
        if sizes:
            label = f"{low}-{high}" if high else f"over {low - 1}"
            found.append({"events": label, "people": len(sizes), "packed_bytes": statistics.fmean(sizes)})
    return found


JOBS: Final[dict[str, Callable[..., jobs.Prepared]]] = {
    "append": _append_job,
    "fold": _fold_job,
    "inspect": _inspect_job,
}
