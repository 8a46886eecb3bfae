"""The mode `soak`: memory of every process under a steady rate of webhooks and audience events.

All processes of `listbridge up`, the simulator, an export of the audiences into its first list and an import
with webhooks of all its lists. The events are about the same people again and again, so that profiles don't
grow in number; webhooks tell of the second list, so that opt-outs don't end the export's work.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random
from statistics import fmean
from typing import Any, Final, cast

import requests

from bench.exports.world import World, world
from bench.receiver import processes
from bench.receiver.bodies import audience_events, delivery
from bench.scaling.memory import kinds
from cli.processes import Supervisor
from cli.services import local_url, services
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.exports.ledger import delivered_people
from listbridge.streams.log import duplicates_dropped, events_in
from listbridge.streams.schemas import SCHEMAS
from listbridge.workflows import service

PEOPLE: Final = 10_000
POSTS_PER_S: Final = 40
EVENTS_A_POST: Final = 5
REPEATED: Final = 0.2
"""Of the posts, those that came before."""
RECENT: Final = 400
SAMPLE_SECONDS: Final = 2.0
TELL_SECONDS: Final = 300.0
WARM_UP_SECONDS: Final = 120.0
ARCHIVE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0
WHOLE: Final = "store, used"


@dataclass(frozen=True)
class Memory:
    """MiB of a process: means of the three thirds after the warm-up, and the line through the samples of all
    and of the last. `WHOLE` is the memory that the store holds data in."""

    process: str
    first_third_mb: float
    second_third_mb: float
    last_third_mb: float
    mb_per_hour: float
    last_mb_per_hour: float


@dataclass(frozen=True)
class Kind:
    """Bytes of the store's keys of one kind after the warm-up and at the end."""

    kind: str
    before_mb: float
    after_mb: float


@dataclass(frozen=True)
class Soak:
    minutes: float
    posts: int
    events: int
    repeated_events: int
    stored: int
    duplicates: int
    delivered: int
    p50_ms: float
    p99_ms: float
    memory: list[Memory]
    kinds: list[Kind]


def run(minutes: float, *, say: Callable[[str], None]) -> list[Soak]:
    log = io.StringIO()
    seconds = 60 * minutes
    with world(archive_seconds=ARCHIVE_SECONDS) as here:
        here.export()
        with Supervisor(services(here.settings), log) as supervisor:
            traffic = _Traffic(here, _receiver_url(here))
            leaders = {child.name: cast(int, supervisor.pid(child.name)) for child in services(here.settings)}
            warm = min(WARM_UP_SECONDS, seconds / 3)
            say(f"soak: {warm:.0f} s to warm up, then {seconds - warm:.0f} s")
            samples: list[dict[str, float]] = []
            told = time.monotonic()

            def look() -> None:
                nonlocal told
                samples.append(_sample(here, leaders))
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    say(_told(samples[-1], len(samples) * SAMPLE_SECONDS / 60))

            traffic.go(warm, lambda: None)
            before = kinds(here.context.store)
            traffic.go(seconds - warm, look)
            after = kinds(here.context.store)
            if gone := [name for name, pid in leaders.items() if supervisor.pid(name) != pid]:
                raise RuntimeError(f"{', '.join(gone)} ended: {log.getvalue()[-2000:]}")
            found = _summary(here, minutes, traffic, samples, before, after)
    said = [line for line in log.getvalue().splitlines() if line.partition("|")[2].strip()]
    for line in [line for line in said if "Warm shutdown" not in line][-20:]:
        say(line)
    return [found]


def _receiver_url(here: World) -> str:
    """Where the webhooks of an import are taken, once a worker has made them."""
    config = {"client_id": here.simulated.client_id, "webhooks": True}
    made, deadline = (
        service.create_import(here.context, here.authorization, config).id,
        time.monotonic() + PATIENCE_SECONDS,
    )
    while not (held := receiver(here.context.store, made)) or here.simulated.lists[1] not in held.seen:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the import made no webhooks in {PATIENCE_SECONDS:.0f} s: {here.states()}")
        time.sleep(0.2)
    token = here.context.secrets.decrypt(held.token)
    return f"{local_url(here.settings)}/webhooks/campaign-monitor/{made}/{token}"


class _Traffic:
    """Posts at a steady rate, to the two doors in turn, whatever became of the post before."""

    def __init__(self, here: World, webhooks: str) -> None:
        url = f"{local_url(here.settings)}/v1/audiences/events"
        self._doors = ((webhooks, self._delivery), (url, self._audience_events))
        self._list_id = here.simulated.lists[1]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {here.settings.api_tokens[0]}"
        self._session.headers["Content-Type"] = "application/json"
        self._numbers: tuple[Iterator[int], Iterator[int]] = (count(), count())
        self._recent: tuple[deque[bytes], ...] = (deque(maxlen=RECENT), deque(maxlen=RECENT))
        self._chance = Random(1)
        self.posts = 0
        self.repeated = 0
        self.took: list[float] = []

    def go(self, seconds: float, look: Callable[[], None]) -> None:
        """Post for so long and look now and then; the times of these posts alone are kept."""
        self.took = []
        start = looked = time.monotonic()
        for number in range(round(seconds * POSTS_PER_S)):
            if (early := start + number / POSTS_PER_S - time.monotonic()) > 0:
                time.sleep(early)
            self._post(number % 2)
            if time.monotonic() - looked >= SAMPLE_SECONDS:
                looked = time.monotonic()
                look()

    def _post(self, door: int) -> None:
        url, make = self._doors[door]
        recent = self._recent[door]
        if recent and self._chance.random() < REPEATED:
            body = self._chance.choice(recent)
            self.repeated += 1
        else:
            body = make(self._numbers[door])
            recent.append(body)
        at = time.monotonic()
        answer = self._session.post(url, data=body, timeout=30)
        self.took.append(time.monotonic() - at)
        if not answer.ok:
            raise RuntimeError(f"a post was refused: {answer.status_code} {answer.text[:200]}")
        self.posts += 1

    def _delivery(self, numbers: Iterator[int]) -> bytes:
        at = datetime.now(UTC)
        return delivery(numbers, EVENTS_A_POST, at, people=PEOPLE, list_id=self._list_id)

    @staticmethod
    def _audience_events(numbers: Iterator[int]) -> bytes:
        return audience_events(numbers, EVENTS_A_POST, datetime.now(UTC), people=PEOPLE)


def _sample(here: World, leaders: dict[str, int]) -> dict[str, float]:
    server: dict[str, Any] = here.context.store.client.info()
    found = {name: processes.resident_mb(leader) for name, leader in leaders.items()}
    found["store"] = processes.resident_mb_of(server["process_id"])
    return {"at": time.monotonic(), **found, WHOLE: server["used_memory"] / (1 << 20)}


def _told(sample: dict[str, float], minutes: float) -> str:
    held = ", ".join(f"{name} {value:.1f}" for name, value in sample.items() if name != "at")
    return f"soak: after {minutes:.0f} min of samples, MiB: {held}"


def _summary(
    here: World,
    minutes: float,
    traffic: _Traffic,
    samples: list[dict[str, float]],
    before: dict[str, int],
    after: dict[str, int],
) -> Soak:
    store, took = here.context.store, sorted(traffic.took)
    changed = sorted(before.keys() | after.keys(), key=lambda kind: before.get(kind, 0) - after.get(kind, 0))
    return Soak(
        minutes=minutes,
        posts=traffic.posts,
        events=traffic.posts * EVENTS_A_POST,
        repeated_events=traffic.repeated * EVENTS_A_POST,
        stored=sum(events_in(store, stream) for stream in SCHEMAS),
        duplicates=duplicates_dropped(store),
        delivered=delivered_people(store, here.simulated.lists[0]),
        p50_ms=1000 * took[len(took) // 2],
        p99_ms=1000 * took[len(took) * 99 // 100],
        memory=[_memory(name, samples) for name in samples[0] if name != "at"],
        kinds=[
            Kind(kind, before.get(kind, 0) / (1 << 20), after.get(kind, 0) / (1 << 20)) for kind in changed
        ],
    )


def _memory(name: str, samples: list[dict[str, float]]) -> Memory:
    third = len(samples) // 3 or 1
    thirds = samples[:third], samples[third:-third] or samples, samples[-third:]
    means = [fmean(each[name] for each in part) for part in thirds]
    return Memory(name, *means, 3600 * slope(samples, name), 3600 * slope(samples[-third:], name))


def slope(samples: list[dict[str, float]], name: str) -> float:
    """By how much a value grows a second: the line with the least squares."""
    at, held = [each["at"] for each in samples], [each[name] for each in samples]
    mean_at, mean = fmean(at), fmean(held)
    spread = sum((each - mean_at) ** 2 for each in at)
    both = sum((x - mean_at) * (y - mean) for x, y in zip(at, held, strict=True))
    return both / spread if spread else 0.0
