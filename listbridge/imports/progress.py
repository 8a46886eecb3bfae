"""How far a run of an import has come: kept as it reads, and told to people.

It informs; nothing is decided by it. Each resource that is read has a field of one hash, written whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Any, cast

import msgspec

from listbridge.imports.engine import Watch
from listbridge.imports.protocol import Batch, Resource
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

PAGE_SIZE = 1000
WRITTEN_EVERY_SECONDS = 0.5
"""How often what a run reads is written: each page would be a write to disk."""
_RESOURCE = "resource:"
_LEFT_ALONE = "left_alone:"
_ASIDE = "aside:"
MOST_ASIDE = 200
"""Of how many resources that can't be read it is kept why."""
_ATTEMPT = "attempt"


class Reading(msgspec.Struct, kw_only=True):
    """One resource of a run. `expected` rows are those that its count promised; there may be more."""

    name: str
    kind: str
    expected: int = 0
    rows: int = 0
    pages: int = 0
    is_done: bool = False

    @property
    def pages_left(self) -> int:
        """At least one until it is done: its end has to be seen."""
        return 0 if self.is_done else max(ceil((self.expected - self.rows) / PAGE_SIZE), 1)


class Attempt(msgspec.Struct, kw_only=True):
    """Since when a worker has been at it (epoch ms), and what had been read by then.

    `is_listed`: all that there is to read is known.
    """

    began_at: int
    rows: int = 0
    pages: int = 0
    is_listed: bool = False


class Sums(msgspec.Struct, kw_only=True):
    """Of one kind of resource, or of all. `left_alone` are resources that can't have changed."""

    resources: int = 0
    done: int = 0
    left_alone: int = 0
    rows: int = 0
    rows_left: int = 0
    pages: int = 0
    pages_left: int = 0


class RunProgress(msgspec.Struct, kw_only=True):
    """`seconds_left` is None while nothing is being read, or not all is known that there is."""

    total: Sums
    kinds: dict[str, Sums]
    reading: list[Reading]
    rows_per_second: float
    seconds_left: int | None
    set_aside: dict[str, str] = {}
    """What can't be read -> why."""


class Tracker(Watch):
    """Writes the progress of a run; a run that goes on after a break keeps what was read before."""

    def __init__(self, store: Store, workflow_id: str) -> None:
        self._store = store
        self._key = keys.run(workflow_id)
        readings, _, _, aside = _kept(store, workflow_id)
        self._readings = readings
        self._aside = aside
        self._left_alone: Counter[str] = Counter()
        rows, pages = (sum(getattr(each, name) for each in readings.values()) for name in ("rows", "pages"))
        self._attempt = Attempt(began_at=now_ms(), rows=rows, pages=pages)
        self._waiting: dict[str, bytes] = {}
        self._next = 0.0
        self._write(_ATTEMPT, self._attempt)

    def found(self, resource: Resource, expected: int) -> None:
        """It will be read, and so many rows are expected."""
        held = self._readings.get(resource.cursors[0])
        made = held or Reading(name=resource.name, kind=resource.kind, expected=expected)
        made.is_done = False
        self._keep(resource, made)

    def left_alone(self, resource: Resource) -> None:
        self._left_alone[resource.kind] += 1
        self._write(_LEFT_ALONE + resource.kind, self._left_alone[resource.kind])

    def set_aside(self, resource: Resource, problem: str) -> None:
        if resource.name not in self._aside and len(self._aside) < MOST_ASIDE:
            self._aside[resource.name] = problem
            self._put(_ASIDE + resource.name, problem.encode())

    def listed(self) -> None:
        """All is found that there is to read."""
        self._attempt.is_listed = True
        self._write(_ATTEMPT, self._attempt)

    def read(self, resource: Resource, batch: Batch) -> None:
        reading = self._readings[resource.cursors[0]]
        reading.rows += batch.rows
        reading.pages += batch.pages
        self._keep(resource, reading)

    def done(self, resource: Resource) -> None:
        reading = self._readings[resource.cursors[0]]
        reading.is_done, reading.pages = True, max(reading.pages, 1)
        self._keep(resource, reading)

    def _keep(self, resource: Resource, reading: Reading) -> None:
        self._readings[resource.cursors[0]] = reading
        self._write(_RESOURCE + resource.cursors[0], reading)

    def _write(self, field: str, value: object) -> None:
        self._put(field, msgspec.json.encode(value))

    def _put(self, field: str, value: bytes) -> None:
        self._waiting[field] = value
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._store.client.hset(self._key, mapping=cast(Any, self._waiting))
            self._waiting.clear()
        self._next = time.monotonic() + WRITTEN_EVERY_SECONDS


def forget(store: Store, workflow_id: str) -> None:
    """A new run begins."""
    store.client.delete(keys.run(workflow_id))


def progress_of(store: Store, workflow_id: str, now: int) -> RunProgress | None:
    """How the run stands that goes on, or how the last one ended; None when there was none."""
    readings, left_alone, attempt, aside = _kept(store, workflow_id)
    if attempt is None:
        return None
    return msgspec.structs.replace(summed([*readings.values()], left_alone, attempt, now), set_aside=aside)


def summed(
    readings: Sequence[Reading], left_alone: dict[str, int], attempt: Attempt, now: int
) -> RunProgress:
    """Add up, with the rate of the present attempt and the time left at that rate. Pure."""
    total, kinds = Sums(), {kind: Sums() for kind in left_alone}
    for kind, count in left_alone.items():
        kinds[kind].left_alone += count
        total.left_alone += count
    for each in readings:
        for sums in (total, kinds.setdefault(each.kind, Sums())):
            sums.resources += 1
            sums.done += each.is_done
            sums.rows += each.rows
            sums.pages += each.pages
            sums.rows_left += 0 if each.is_done else max(each.expected - each.rows, 0)
            sums.pages_left += each.pages_left
    seconds = max(now - attempt.began_at, 1) / 1000
    pace = (total.pages - attempt.pages) / seconds
    known = attempt.is_listed and (pace > 0 or not total.pages_left)
    return RunProgress(
        total=total,
        kinds=kinds,
        reading=[each for each in readings if each.rows and not each.is_done],
        rows_per_second=round((total.rows - attempt.rows) / seconds, 1),
        seconds_left=(ceil(total.pages_left / pace) if total.pages_left else 0) if known else None,
    )


def _kept(
    store: Store, workflow_id: str
) -> tuple[dict[str, Reading], dict[str, int], Attempt | None, dict[str, str]]:
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.run(workflow_id)))
    readings: dict[str, Reading] = {}
    left_alone: dict[str, int] = {}
    aside: dict[str, str] = {}
    for name, value in held.items():
        field = name.decode()
        if field.startswith(_RESOURCE):
            readings[field.removeprefix(_RESOURCE)] = msgspec.json.decode(value, type=Reading)
        elif field.startswith(_LEFT_ALONE):
            left_alone[field.removeprefix(_LEFT_ALONE)] = int(value)
        elif field.startswith(_ASIDE):
            aside[field.removeprefix(_ASIDE)] = value.decode()
    attempt = held.get(_ATTEMPT.encode())
    return readings, left_alone, msgspec.json.decode(attempt, type=Attempt) if attempt else None, aside
