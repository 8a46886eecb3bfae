"""What a run would read: rows, pages and calls, reckoned from what each resource tells of itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

import msgspec

from listbridge.imports.cursors import Cursor, Look, look, together
from listbridge.imports.protocol import Resource


class Share(msgspec.Struct, kw_only=True):
    """What there is of one kind of resource. `rows` are those to be read; `pages` is a call each."""

    resources: int = 0
    left_alone: int = 0
    rows: int = 0
    pages: int = 0


class Forecast(msgspec.Struct, kw_only=True):
    """`looking` are the calls that find out what there is to read: lists, statistics, summaries.

    `problems` name what can't be read, and why.
    """

    kinds: dict[str, Share] = {}
    looking: int = 0
    problems: list[str] = []

    @property
    def pages(self) -> int:
        return sum(each.pages for each in self.kinds.values())

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.kinds.values())


def rows_to_read(resource: Resource, held: Cursor, verdict: Look) -> int:
    """How many rows a reading is expected to give: all, or those that have come since the last one."""
    if verdict is Look.SKIP:
        return 0
    from_the_start = verdict is Look.WHOLE or not held.complete_from or not resource.takes_date
    return resource.rows if from_the_start else max(resource.rows - held.rows, 0)


def forecast(resources: Iterable[Resource], held: Mapping[str, Cursor], now: int, page_size: int) -> Forecast:
    """Add up what a run at `now` (epoch ms) would read. A page is the least that a reading costs."""
    found = Forecast(kinds={})
    for resource in resources:
        if resource.problem:
            found.problems.append(f"{resource.name}: {resource.problem}")
            continue
        cursor = together([held.get(name) for name in resource.cursors])
        verdict = look(resource, cursor, now)
        share = found.kinds.setdefault(resource.kind, Share())
        share.resources += 1
        if verdict is Look.SKIP:
            share.left_alone += 1
            continue
        rows = rows_to_read(resource, cursor, verdict)
        share.rows += rows
        share.pages += max(ceil(rows / page_size), 1)
    return found
