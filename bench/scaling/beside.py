"""The mode `cluster`: append and fold on a cluster of three masters beside one server, on one machine.

The masters share the machine's cores with the workers: what this shows is what the cluster costs, not what
three machines give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.aggregation import jobs, through_store
from bench.aggregation.workload import Workload
from listbridge.store.local_cluster import LocalCluster
from listbridge.store.store import connect


@dataclass(frozen=True)
class Beside:
    """What one of the two did."""

    store: str
    append_events_per_s: float
    append_cpu_s: float
    append_server_cpu_s: float
    folds: list[through_store.Fold]


def run(events: int, runs: int, seed: int, *, say: Callable[[str], None]) -> list[Beside]:
    workload = Workload(events, max(10, events // 20), seed)
    jobs.run("workload", {"events": events, "people": workload.people, "seed": seed, "lines": False})
    found = []
    for name, server in (("one server", through_store.server), ("cluster of three", _cluster)):
        say(f"cluster: {name}")
        with server() as url:
            done = through_store.run(url, workload, [1, 2], runs, say=say)
        appended = done.append
        found.append(
            Beside(name, appended["events_per_s"], appended["cpu_s"], appended["server_cpu_s"], done.folds)
        )
    return found


@contextmanager
def _cluster() -> Iterator[str]:
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        LocalCluster(Path(directory), appendfsync="always") as cluster,
    ):
        store = connect(cluster.url, through_store.PARTITIONS)
        store.prepare()
        store.client.close()
        yield cluster.url
