"""The findings as tables, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from bench.aggregation.engines import OURS
from bench.aggregation.growth import Growth
from bench.aggregation.latency import Latency
from bench.aggregation.machine import machine
from bench.aggregation.peers import Row
from bench.aggregation.rebuilding import RebuildFound
from bench.aggregation.through_store import Fold, StoreFindings

if TYPE_CHECKING:
    from bench.aggregation.__main__ import Findings


def show(findings: Findings, out: TextIO) -> None:
    """Print a table for each part that was measured."""
    console = Console(file=out, highlight=False, width=110 if not out.isatty() else None)
    held = findings.workload
    console.print(
        f"{held.events:,} events of {held.people:,} people, seed {held.seed}, median of {findings.runs}"
    )
    console.print(_described(machine()))
    if findings.rows:
        console.print(_engines(findings.rows))
    if findings.store:
        console.print(_folds(findings.store.folds))
        console.print(_profiles(findings.store))
    if findings.rebuild:
        console.print(_rebuild(findings.rebuild))
    if findings.latency:
        console.print(_latency(findings.latency))
    if findings.growth:
        console.print(_growth(findings.growth))
    if findings.digests:
        console.print("outputs are equal" if len(findings.digests) == 1 else "OUTPUTS DIFFER")


def fold_row(fold: Fold) -> dict[str, Any]:
    """A fold as a row beside those of the engines."""
    mode = "store" if fold.workers == 1 else f"store, {fold.workers} workers"
    return {"engine": OURS, "mode": mode, "ratio": 1.0, **asdict(fold)}


def store_findings(found: StoreFindings | None) -> dict[str, Any] | None:
    return {"append": found.append, "profiles": found.profiles} if found else None


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _engines(rows: Sequence[Row]) -> Table:
    table = _table(
        "Engines, one thread",
        "mode",
        "engine",
        "events / CPU s",
        "wall s",
        "peak MiB",
        "before MiB",
        "ours is",
    )
    for row in sorted(rows, key=lambda row: (row.mode, -row.events_per_cpu_s)):
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        figures = (
            f"{row.events_per_cpu_s:,.0f}",
            f"{row.wall_s:.2f}",
            f"{row.peak_mb:,.0f}",
            f"{row.baseline_mb:,.0f}",
        )
        table.add_row(row.mode, row.engine, *figures, ratio)
    return table


def _folds(folds: Sequence[Fold]) -> Table:
    table = _table(
        "Through the store",
        "workers",
        "events / s",
        "events / worker CPU s",
        "wall s",
        "worker CPU s",
        "server CPU s",
        "peak MiB",
        "longest script ms",
    )
    for fold in folds:
        table.add_row(
            str(fold.workers),
            f"{fold.events_per_s:,.0f}",
            f"{fold.events_per_cpu_s:,.0f}",
            f"{fold.wall_s:.2f}",
            f"{fold.worker_cpu_s:.2f}",
            f"{fold.server_cpu_s:.2f}",
            f"{fold.peak_mb:,.0f}",
            f"{fold.longest_ms:,.0f}",
        )
    return table


def _profiles(found: StoreFindings) -> Table:
    held = found.profiles
    table = _table("Profiles in the store", "of", "people", "bytes")
    everybody = f"{held['people']:,}"
    table.add_row("packed, mean", everybody, f"{held['packed_bytes']:,.0f}")
    for band in held["by_activity"]:
        table.add_row(
            f"packed, {band['events']} events", f"{band['people']:,}", f"{band['packed_bytes']:,.0f}"
        )
    memory = f"{held['memory_bytes']:,.0f} ({held['memory_ratio']:.2f} x packed)"
    table.add_row("server's memory", everybody, memory)
    table.caption = f"append: {found.append['events_per_s']:,.0f} events/s"
    return table


def _rebuild(found: RebuildFound) -> Table:
    title = f"Rebuild of {found.people:,} people from the archive, {found.processes} processes"
    table = _table(
        title, "events", "events / s", "wall s", "peak MiB", "archived events / s", "bytes / event"
    )
    table.add_row(
        f"{found.events:,}",
        f"{found.events_per_s:,.0f}",
        f"{found.wall_s:.2f}",
        f"{found.peak_mb:,.0f}",
        f"{found.archive_events_per_s:,.0f}",
        f"{found.archive_bytes_per_event:.1f}",
    )
    return table


def _latency(found: Latency) -> Table:
    title = f"From append to visible, {found.events_per_s:.0f} events/s for {found.seconds:.0f} s"
    table = _table(title, "events", "p50 ms", "p99 ms", "max ms", "append p50 ms", "never seen")
    figures = (found.p50_ms, found.p99_ms, found.max_ms, found.append_p50_ms)
    table.add_row(f"{found.events:,}", *(f"{figure:.1f}" for figure in figures), str(found.never_seen))
    return table


def _growth(found: Sequence[Growth]) -> Table:
    columns = ("mode", "events", "people", "CPU µs / event", "of the first", "peak MiB", "longest script ms")
    table = _table("Growth", *columns)
    for each in found:
        figures = (f"{each.us_per_event:.2f}", f"{each.ratio:.2f} x", f"{each.peak_mb:,.0f}")
        longest = "" if each.longest_ms is None else f"{each.longest_ms:,.0f}"
        table.add_row(each.mode, f"{each.events:,}", f"{each.people:,}", *figures, longest)
    return table


def _described(held: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in held["libraries"].items())
    hardware = f"{held['cores']} cores of {held['cpu']}, {held['memory_gib']} GiB, {held['system']}"
    return f"{hardware}, Python {held['python']}; {libraries}"
