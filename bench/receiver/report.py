"""Prints what was found as tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TextIO

from bench.receiver.rates import Rate

_RATES: Final = {
    "door": lambda r: r.door,
    "workers": lambda r: r.workers,
    "events a post": lambda r: f"{r.events:,}",
    "KiB": lambda r: f"{r.kib:.1f}",
    "posts / s": lambda r: f"{r.per_s:,.0f}",
    "events / s": lambda r: f"{r.events_per_s:,.0f}",
    "p50 ms": lambda r: f"{r.p50_ms:.1f}",
    "p99 ms": lambda r: f"{r.p99_ms:.1f}",
    "of Flask": lambda r: f"{r.of_flask:.2f} x",
    "again: posts / s": lambda r: f"{r.repeated_per_s:,.0f}",
    "empty Flask view / s": lambda r: f"{r.flask_per_s:,.0f}",
    "its p50 ms": lambda r: f"{r.flask_p50_ms:.1f}",
    "CPU µs: web": lambda r: f"{r.web_cpu_us:,.0f}",
    "Flask": lambda r: f"{r.flask_cpu_us:,.0f}",
    "store": lambda r: f"{r.store_cpu_us:,.0f}",
    "bare writes / s": lambda r: f"{r.write_per_s:,.0f}",
    "wrk's ceiling / s": lambda r: f"{r.ceiling_per_s:,.0f}",
}


def rates(found: Sequence[Rate], out: TextIO) -> None:
    table([*_RATES], [[str(show(row)) for show in _RATES.values()] for row in found], out)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Numbers stand to the right; the first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    for line in lines:
        out.write(f"| {' | '.join(line)} |\n")
    out.write("\n")
