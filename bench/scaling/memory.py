"""The mode `memory`: how many bytes of the store's memory a person, an event and a membership take.

Every person enters one audience with three attributes, which is folded; then a second audience; then each
opens a mailing five times. Memory is what the server says of each key (MEMORY USAGE of all its elements)
and, for the whole, `used_memory` above that of the empty server.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from bench.aggregation.through_store import PARTITIONS
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.context import load_program
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.store import Store, connect
from listbridge.streams.events import Event
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY
from settings import Settings

PAGE: Final = 1000
OPENS: Final = 5
START: Final = 1_790_000_000_000
MINUTE: Final = 60_000


@dataclass(frozen=True)
class Step:
    """What one step added: to the whole, and to the keys of each kind, in bytes a person."""

    what: str
    people: int
    events: int
    append_s: float
    fold_s: float
    whole: float
    kinds: dict[str, float]


def run(people: int, steps: int = 3, *, say: Callable[[str], None]) -> list[Step]:
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory), appendfsync="everysec") as server,
    ):
        store = connect(server.url, PARTITIONS, timeout_seconds=120)
        store.prepare()
        asked = (
            ("one audience, three attributes", entering(people, "vip", plan="gold", town="Paris", age=40)),
            ("a second audience", entering(people, "newsletter")),
            (f"{OPENS} opens each", _opening(people)),
        )
        found = [_step(store, what, people, made, say) for what, made in asked[:steps]]
        store.client.close()
    return found


def _step(store: Store, what: str, people: int, made: Iterator[Event], say: Callable[[str], None]) -> Step:
    used, before = _used(store), kinds(store)
    start, events = time.perf_counter(), 0
    for page in pages_of(made):
        events += append(store, page).accepted
    appended = time.perf_counter()
    program = load_program(Settings())
    folder = Folder(store, program)
    while any(has_lag(store, program)):
        folder.run(seconds=3600)
    folded = time.perf_counter()
    after = kinds(store)
    added = {kind: (after[kind] - before.get(kind, 0)) / people for kind in sorted(after)}
    say(f"memory: {people:,} people, {what}: {appended - start:.0f} s append, {folded - appended:.0f} s fold")
    return Step(
        what, people, events, appended - start, folded - appended, (_used(store) - used) / people, added
    )


def _used(store: Store) -> int:
    return sum(int(cast(dict[str, Any], each.info("memory"))["used_memory"]) for each in store.servers)


def kinds(store: Store) -> dict[str, int]:
    """Bytes by the part of the key's name that says what it holds."""
    found: dict[str, int] = defaultdict(int)
    for name in store.client.scan_iter(match="lb:{*", count=1000):
        kind = name.decode().split(":")[2]
        found[kind] += int(store.client.memory_usage(name, samples=0) or 0)
    return found


def pages_of(events: Iterator[Event]) -> Iterator[list[Event]]:
    page: list[Event] = []
    for event in events:
        page.append(event)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def entering(people: int, audience: str, **fields: object) -> Iterator[Event]:
    for number in range(people):
        key, at = f"person.{number:08}@example.com", START + number % 1440 * MINUTE
        identity = ("enter", audience, key, at, sorted(fields.items()), None)
        values = {"email": key, "audience": audience, "event": "enter", "fields": fields or None}
        yield Event(AUDIENCE, key, at, identity, values)


def _opening(people: int) -> Iterator[Event]:
    for ordinal in range(OPENS):
        for number in range(people):
            key = f"person.{number:08}@example.com"
            at = START + (number % 1440 + ordinal * 3000) * MINUTE
            values = {
                "email": key,
                "event": "open",
                "campaign_id": f"campaign-{ordinal}",
                "list_id": "list-1",
                "ip": "192.0.2.1",
                "city": "Paris",
            }
            yield Event(CM_ACTIVITY, key, at, ("open", f"campaign-{ordinal}", key, at, 0), values)
