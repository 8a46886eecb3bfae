"""The other system: it refuses, hangs, answers too late or not at all, and tells everything many times."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import requests

from faults.catalogue import Act, fault
from faults.ledger import AUDIENCES
from faults.processes import some_time
from faults.world import TRY_AGAIN_SECONDS, World

HOUR_SECONDS = 3600
TOLD_AGAIN = 100
TIMES = 50


@contextmanager
def ordered(world: World, *orders: dict[str, Any]) -> Iterator[None]:
    """These faults of the simulator stand for the duration of the block."""
    for order in orders:
        world.until_answered("POST", "/faults", order, control=True)
    try:
        yield
    finally:
        world.until_answered("DELETE", "/faults", control=True)


def _for_a_while(pause: float, **order: Any) -> Act:
    def act(world: World, chance: random.Random) -> None:
        some_time(chance)
        with ordered(world, {"match": "", "times": -1, **order}):
            time.sleep(pause)

    return act


fault("api-500", "every call is answered 500 for four seconds")(_for_a_while(4, kind="500"))
fault("api-504", "every call is answered 504 with a page of HTML for four seconds")(
    _for_a_while(4, kind="504-html")
)
fault("api-429", "a storm of 429 for four seconds, without headers")(_for_a_while(4, kind="429"))
fault("api-429-headers", "a storm of 429 for four seconds, X-RateLimit-Reset 1")(
    _for_a_while(4, kind="429-headers", seconds=1.0)
)
fault("api-late", "imports are answered one second after their caller has given up")(
    _for_a_while(4, match="import", kind="slow-after", seconds=4.0)
)
fault("api-cut", "imports are stored and their answers cut, for three seconds")(
    _for_a_while(3, match="import", kind="drop-after")
)


@fault("api-down", "every connection is cut, and meanwhile an hour passes, in the account and here")
def api_down(world: World, chance: random.Random) -> None:
    some_time(chance)
    with ordered(world, {"match": "", "times": -1, "kind": "drop-before"}):
        time.sleep(1.5)
        world.pass_time(HOUR_SECONDS)
        time.sleep(1.5)


@fault("api-hangs", "the other system stops in the middle of everything for five seconds (SIGSTOP)")
def api_hangs(world: World, chance: random.Random) -> None:
    some_time(chance)
    pid = world.pid("simulator")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(5)
    finally:
        os.kill(pid, signal.SIGCONT)


@fault("webhooks-twice", "every webhook is delivered twice")
def webhooks_twice(world: World, chance: random.Random) -> None:
    order = {"match": "webhooks/campaign-monitor", "kind": "webhook-double", "times": -1}
    with ordered(world, order):
        time.sleep(3 + chance.random())


@fault("webhooks-50", "the last 100 webhook events 50 times more, in any order and any batches")
def webhooks_50(world: World, chance: random.Random) -> None:
    some_time(chance)
    records = world.until_answered("GET", "/records", control=True)
    told = [each for each in records["webhook_events"] if each["delivered"]][-TOLD_AGAIN:] * TIMES
    chance.shuffle(told)
    by_hook: dict[tuple[str, str], list[Any]] = {}
    for each in told:
        by_hook.setdefault((each["url"], each["list_id"]), []).append(each["event"])
    bodies = []
    for (url, list_id), events in by_hook.items():
        while events:
            size = chance.randint(1, 100)
            bodies.append((url, {"ListID": list_id, "Events": events[:size]}))
            del events[:size]
    chance.shuffle(bodies)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_deliver, bodies))


def _deliver(delivery: tuple[str, dict[str, Any]]) -> None:
    """Until it is answered 200, as the other system does."""
    url, body = delivery
    deadline = time.monotonic() + TRY_AGAIN_SECONDS
    while not requests.post(url, json=body, timeout=30).ok:
        if time.monotonic() > deadline:
            raise TimeoutError("a webhook was not taken")
        time.sleep(0.1)


@fault("posts-50", "the same 100 audience events in 50 calls, eight at once")
def posts_50(world: World, chance: random.Random) -> None:
    some_time(chance)
    people = chance.sample(world.ledger.people, 100)
    events = [world.ledger.event(each, chance.choice(AUDIENCES), "enter") for each in people]
    url = f"http://127.0.0.1:{world.settings.http_port}/v1/audiences/events"
    headers = {"Authorization": f"Bearer {world.settings.api_tokens[0]}"}

    def post(_: int) -> None:
        requests.post(url, json={"events": events}, headers=headers, timeout=30).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(post, range(TIMES)))
    world.ledger.events += events
