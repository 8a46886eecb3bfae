"""The findings as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table

_TITLES: Final = {
    "calls": "API calls",
    "speed": "Speed, 1 s a call, 4 in flight",
    "cpu": "CPU of this side, ms for 1,000 rows",
    "freshness": "From an accepted event to the list, ms",
    "backfill": "Backfill, no delay",
}


def show(found: Mapping[str, Sequence[Any]], out: TextIO, titles: Mapping[str, str] = _TITLES) -> None:
    """Print a table for each mode that was measured, one row a finding."""
    console = Console(file=out, highlight=False, width=160 if not out.isatty() else None)
    for mode, rows in found.items():
        if len(rows) == 1:
            console.print(_upright(titles[mode], rows[0]))
        elif rows:
            console.print(_across(titles[mode], rows))


def _across(title: str, rows: Sequence[Any]) -> Table:
    table = Table(title=title, title_justify="left")
    names = [each.name for each in fields(rows[0])]
    for name in names:
        left = isinstance(getattr(rows[0], name), str)
        table.add_column(name.replace("_", " "), justify="left" if left else "right")
    for row in rows:
        table.add_row(*(_shown(getattr(row, name)) for name in names))
    return table


def _upright(title: str, row: Any) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for each in fields(row):
        table.add_row(each.name.replace("_", " "), _shown(getattr(row, each.name)))
    return table


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
