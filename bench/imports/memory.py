"""The resident memory of the process that imports, over millions of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from bench.imports.accounts import Plan
from bench.imports.speed import UNLIMITED
from bench.imports.world import world


@dataclass(frozen=True)
class Memory:
    """MiB resident, the mean of the first and of the last third of the time, and the store's."""

    rows: int
    wall_s: float
    rows_per_s: float
    first_third_mb: float
    last_third_mb: float
    peak_mb: float
    store_mb: float
    store_bytes_a_row: float


def run(rows: int, *, say: Callable[[str], None]) -> Memory:
    """Import `rows` rows, mostly opens and clicks of campaigns of 250,000 rows."""
    plan = Plan(
        lists=2,
        people=20_000,
        campaigns=max(rows // 250_000, 1),
        recipients=20_000,
        opens=170_000,
        clicks=60_000,
        bounces=0,
        lazy=True,
    )
    with world(plan, **UNLIMITED) as here:
        told = here.run(here.create())
        info = cast(dict[str, Any], here.context.store.client.info("memory"))
    samples, read = told["resident_mb"], told["rows"]
    third = max(len(samples) // 3, 1)
    store = info["used_memory"] / (1 << 20)
    say(f"{read:,} rows in {told['wall_s']:.0f} s")
    return Memory(
        rows=read,
        wall_s=told["wall_s"],
        rows_per_s=read / told["wall_s"],
        first_third_mb=sum(samples[:third]) / third,
        last_third_mb=sum(samples[-third:]) / third,
        peak_mb=told["peak_mb"],
        store_mb=store,
        store_bytes_a_row=info["used_memory"] / read,
    )
