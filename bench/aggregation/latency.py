"""The mode `latency`: one event at a time, from its append until the profile shows it.

The product's own pieces: `streams.log.append`, the web process's bells, and the processes of
`listbridge up` that a fold needs (the fold worker, the beat and the worker of its schedule), over a
store that holds the workload's profiles. Events go in at a fixed rate, whatever happened to those before
(so one that had to wait counts from when it was due), each for another person; a second connection looks
every few milliseconds at the profiles of those that aren't visible yet.
"""

from __future__ import annotations

import io
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import polars as pl

from bench.aggregation import jobs
from bench.aggregation.through_store import PARTITIONS
from bench.aggregation.workload import Workload, events
from cli.processes import Supervisor
from cli.services import services
from listbridge.mappings.active import ActivePrograms
from listbridge.profiles.codec import Codec
from listbridge.store.location import broker_url
from listbridge.store.store import Store, connect, now_ms
from listbridge.streams.events import Event
from listbridge.streams.log import append
from settings import Settings, as_environ

NEEDED: Final = ("fold", "beat", "worker")
WARM_UP_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.003


@dataclass(frozen=True)
class Latency:
    """Milliseconds from append to visible, by the look's own step of a few milliseconds."""

    events: int
    events_per_s: float
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    append_p50_ms: float
    never_seen: int


@dataclass(frozen=True)
class _Sent:
    key: str
    time: int
    due: float


def run(url: str, workload: Workload, *, rate: float, seconds: float, say: Callable[[str], None]) -> Latency:
    """Start the processes over a store that was folded, send, watch, and stop them."""
    settings = Settings(redis_url=url, partitions=PARTITIONS, log_level="WARNING")
    filled = replace(settings, broker_url=broker_url(settings))
    children = [child for child in services(filled) if child.name in NEEDED]
    log = io.StringIO()
    with Supervisor(children, log):
        arguments = {"path": str(workload.columns), "rate": rate, "seconds": seconds}
        answer = jobs.run("latency", arguments, as_environ(filled))
    if answer["never_seen"]:
        say(log.getvalue())
    say(f"latency: p50 {answer['p50_ms']:.1f} ms, p99 {answer['p99_ms']:.1f} ms")
    return Latency(**answer)


def job(path: str, rate: float, seconds: float) -> jobs.Prepared:
    """The side that sends and watches, in a process of its own with the settings in its environment."""
    import settings as settings_module
    from webhooks.ringing import celery_bells

    held = settings_module.current()
    store, watched = (connect(held.redis_url, held.partitions) for _ in range(2))
    ring = celery_bells().fold
    frame = pl.read_parquet(path).filter(pl.col("event") == "open")
    newest = frame.unique("_key", keep="first", maintain_order=True)
    patterns = [event for _, event in events(newest.head(round(rate * seconds * 2)))]

    def work() -> jobs.Answer:
        _send(store, ring, patterns, rate, WARM_UP_SECONDS, deque())
        time.sleep(WARM_UP_SECONDS)
        sent: deque[_Sent] = deque()
        over = threading.Event()
        watcher = _Watcher(watched, sent, over)
        watcher.start()
        appends = _send(store, ring, patterns, rate, seconds, sent)
        over.set()
        watcher.join()
        return _summary(appends, watcher, rate, seconds)

    return work


def _send(
    store: Store,
    ring: Callable[[], object],
    patterns: Sequence[Event],
    rate: float,
    seconds: float,
    sent: deque[_Sent],
) -> list[float]:
    """Append one event after another, each when it is due; how long each append took."""
    took = []
    start, base = time.perf_counter(), now_ms()
    for number in range(round(rate * seconds)):
        due = start + number / rate
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        pattern = patterns[number % len(patterns)]
        identity = (*pattern.identity, base, number)
        event = msgspec.structs.replace(pattern, time=base + number, identity=identity, day=None)
        before = time.perf_counter()
        sent.append(_Sent(event.key, event.time, due))
        if append(store, [event]).rang:
            ring()
        took.append(time.perf_counter() - before)
    return took


class _Watcher(threading.Thread):
    """Looks at the profiles of those who were sent until each shows its event."""

    def __init__(self, store: Store, sent: deque[_Sent], over: threading.Event) -> None:
        super().__init__(name="watcher", daemon=True)
        self._store, self._sent, self._over = store, sent, over
        self._codec = Codec(ActivePrograms(store).current())
        self.seconds: list[float] = []
        self.waiting: list[_Sent] = []

    def run(self) -> None:
        deadline = None
        while True:
            while self._sent:
                self.waiting.append(self._sent.popleft())
            self.waiting = self._look(self.waiting)
            if self._over.is_set() and not self._sent:
                deadline = deadline or time.perf_counter() + PATIENCE_SECONDS
                if not self.waiting or time.perf_counter() > deadline:
                    return
            time.sleep(LOOK_SECONDS)

    def _look(self, waiting: list[_Sent]) -> list[_Sent]:
        if not waiting:
            return waiting
        pipe = self._store.client.pipeline(transaction=False)
        for each in waiting:
            pipe.hget(self._store.part(each.key).profiles, each.key)
        found: list[bytes | None] = pipe.execute()
        now = time.perf_counter()
        still = []
        for each, packed in zip(waiting, found, strict=True):
            if packed is not None and self._codec.unpack(packed).updated_at >= each.time:
                self.seconds.append(now - each.due)
            else:
                still.append(each)
        return still


def _summary(appends: list[float], watcher: _Watcher, rate: float, seconds: float) -> dict[str, Any]:
    seen = sorted(watcher.seconds) or [float("nan")]
    return {
        "events": len(appends),
        "events_per_s": rate,
        "seconds": seconds,
        "p50_ms": 1000 * statistics.median(seen),
        "p99_ms": 1000 * seen[min(len(seen) - 1, int(len(seen) * 0.99))],
        "max_ms": 1000 * seen[-1],
        "append_p50_ms": 1000 * statistics.median(appends),
        "never_seen": len(watcher.waiting),
    }
