"""The mode `partitions`: what more partitions cost an append, and a look for work to deliver.

CPU time, because it says the same on a busy machine. Each number of partitions has an empty store of its
own. An append is of 1,000 events of as many people, as a page of an import; a look is what each sweep does
for each list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.aggregation.through_store import server_cpu
from bench.scaling.memory import entering, pages_of
from listbridge.exports.ledger import lags
from listbridge.store import keys
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.store import Store, connect, now_ms
from listbridge.streams.log import append
from listbridge.workflows import log

COUNTS: Final = (16, 64, 256)
PAGES: Final = 30
LOOKS: Final = 200
LINES: Final = 2500


@dataclass(frozen=True)
class Cost:
    """CPU microseconds of an appended event and of a look at a list; bytes of a full workflow log."""

    partitions: int
    client_us_per_event: float
    server_us_per_event: float
    client_us_per_look: float
    server_us_per_look: float
    log_bytes: int


def run(counts: Sequence[int] = COUNTS, *, say: Callable[[str], None]) -> list[Cost]:
    return [_one(count, say) for count in counts]


def _one(count: int, say: Callable[[str], None]) -> Cost:
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory), appendfsync="everysec") as server,
    ):
        store = connect(server.url, count, timeout_seconds=60)
        store.prepare()
        pages = list(islice(pages_of(entering((PAGES + 1) * 1000, "vip")), PAGES + 1))
        append(store, pages.pop())
        served, start = server_cpu(store), time.process_time()
        events = sum(append(store, page).accepted for page in pages)
        appended, stored = time.process_time() - start, server_cpu(store) - served
        served, start = server_cpu(store), time.process_time()
        for _ in range(LOOKS):
            lags(store, "a-list", now_ms())
        looked, showed = time.process_time() - start, server_cpu(store) - served
        size = _log(store)
        store.client.close()
    found = Cost(
        count,
        appended / events * 1e6,
        stored / events * 1e6,
        looked / LOOKS * 1e6,
        showed / LOOKS * 1e6,
        size,
    )
    say(f"partitions: {found}")
    return found


def _log(store: Store) -> int:
    store.client.hset(keys.workflow("w"), "id", "w")
    for number in range(LINES):
        log.write(store, "w", f"{number} people were told of 1,000 changes in 3 calls")
    return int(store.client.memory_usage(keys.log("w"), samples=0) or 0)
