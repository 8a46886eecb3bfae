"""What nobody can read: in the streams, at the door, in the pages of the other system; and wrong clocks."""

from __future__ import annotations

import random
import time
from typing import Any, cast

import requests

from faults.catalogue import Act, fault
from faults.processes import some_time
from faults.world import World
from listbridge.store.store import Store
from listbridge.streams.log import entries

DAY_SECONDS = 86_400
STREAMS = ("audience", "cm_activity", "cm_user")
LINES = (b'{"broken', b"\xff\xfe\x00", b"[]", b"null", b'{"time": "soon", "email": 7}')
BODIES = (
    b"",
    b"no JSON",
    b"[]",
    b'{"Events": 5, "ListID": []}',
    b'{"Events": [{"Type": "Subscribe"}, 7, null, {"Type": "Else", "EmailAddress": "x"}], "ListID": "none"}',
    b'{"Events": [' + b"[" * 5000 + b'], "ListID": "none"}',
)


@fault("poison-event", "lines that are no events, in every stream of two partitions")
def poison_event(world: World, chance: random.Random) -> None:
    some_time(chance)
    store = world.stage.context.store
    before, put = _set_aside(store), 0
    for part in chance.sample(store.parts, 2):
        for stream in STREAMS:
            for line in LINES:
                total = store.client.hincrby(part.totals, stream, 1)
                store.client.xadd(part.stream(stream), {"n": 1, "e": line, "t": total})
                world.poisoned += stream == "audience"
                put += 1

    def check() -> str:
        more = _set_aside(store) - before
        return "" if more >= put else f"{put} lines are no events, and {more} were set aside"

    world.checks.append(check)


def _set_aside(store: Store) -> int:
    """Lines in all quarantines."""
    names = [part.quarantine(stream) for part in store.parts for stream in STREAMS]
    found = [entries(cast(Any, store.client.xrange(name))) for name in names]
    return sum(count for each in found for _, count, _ in each)


@fault("poison-delivery", "bodies that are no deliveries, behind a valid token")
def poison_delivery(world: World, chance: random.Random) -> None:
    some_time(chance)
    records = world.until_answered("GET", "/records", control=True)
    url = records["webhook_events"][-1]["url"]
    headers = {"Content-Type": "application/json"}
    before = _set_aside(world.stage.context.store)
    for body in BODIES * 5:
        answer = requests.post(url, data=body, headers=headers, timeout=30)
        if answer.status_code >= 500:
            raise RuntimeError(f"a body that is no delivery was answered {answer.status_code}")
    if _set_aside(world.stage.context.store) <= before:
        raise RuntimeError("nothing was set aside")


@fault("poison-page", "people whose address is none, in the pages that an import reads")
def poison_page(world: World, chance: random.Random) -> None:
    some_time(chance)
    for number in range(5):
        email = f"no address {chance.randrange(1 << 30)}" + " " * number
        world.unreadable.add(email)
        body = {"list_id": world.ledger.list_id, "email": email, "name": "Nobody"}
        world.until_answered("POST", "/people/subscribe", body, control=True)


def _clock(*offsets: float) -> Act:
    def act(world: World, chance: random.Random) -> None:
        some_time(chance)
        try:
            for offset in offsets:
                world.move_clock(offset)
                time.sleep(2.5)
        finally:
            world.move_clock(0)

    return act


for _name, _what, _offset in (
    ("clock-minutes", "ten minutes", 600),
    ("clock-days", "two days", 2 * DAY_SECONDS),
):
    fault(
        _name,
        f"our processes' clock {_what} ahead, then {_what} behind, then right",
    )(_clock(_offset, -_offset))
