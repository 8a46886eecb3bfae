"""Prints what was found as tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TextIO

from bench.receiver.alone import Alone
from bench.receiver.rates import Rate
from bench.receiver.soak import Soak

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
    "Flask and one write / s": lambda r: f"{r.write_per_s:,.0f}",
    "ours is of it": lambda r: f"{r.of_write:.2f} x",
    "CPU µs: web": lambda r: f"{r.web_cpu_us:,.0f}",
    "empty view": lambda r: f"{r.flask_cpu_us:,.0f}",
    "view with a write": lambda r: f"{r.write_cpu_us:,.0f}",
    "store": lambda r: f"{r.store_cpu_us:,.0f}",
    "bare writes / s": lambda r: f"{r.bare_per_s:,.0f}",
    "wrk's ceiling / s": lambda r: f"{r.ceiling_per_s:,.0f}",
}


def rates(found: Sequence[Rate], out: TextIO) -> None:
    table([*_RATES], [[str(show(row)) for show in _RATES.values()] for row in found], out)


def alone(found: Sequence[Alone], out: TextIO) -> None:
    head = ["events a post", "empty Flask view, µs", "audience events", "webhooks"]
    rows = [
        [f"{r.events:,}", *(f"{us:,.0f}" for us in (r.flask_us, r.audience_events_us, r.webhooks_us))]
        for r in found
    ]
    table(head, rows, out)


def soak(found: Sequence[Soak], out: TextIO) -> None:
    for row in found:
        head = (
            f"{row.posts:,} posts of {row.events:,} events, {row.repeated_events:,} of them again, in "
            f"{row.minutes:g} minutes; {row.stored:,} stored, {row.duplicates:,} duplicates, "
            f"{row.delivered:,} people delivered; p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms\n\n"
        )
        out.write(head)
        memory = [
            [
                held.process,
                *(f"{mb:.1f}" for mb in (held.first_third_mb, held.second_third_mb, held.last_third_mb)),
                *(f"{mb:+.1f}" for mb in (held.mb_per_hour, held.last_mb_per_hour)),
            ]
            for held in row.memory
        ]
        thirds = ["MiB, first third", "second third", "last third"]
        table(["process", *thirds, "MiB / hour", "in the last third"], memory, out)
        kinds = [
            [k.kind, f"{k.before_mb:.2f}", f"{k.after_mb:.2f}", f"{k.after_mb - k.before_mb:+.2f}"]
            for k in row.kinds
            if abs(k.after_mb - k.before_mb) >= 0.01 or k.after_mb >= 0.1
        ]
        table(["keys of the store", "MiB, before", "after", "growth"], kinds, out)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Numbers stand to the right; the first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    for line in lines:
        out.write(f"| {' | '.join(line)} |\n")
    out.write("\n")
