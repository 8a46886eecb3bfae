"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, markup=False)

UNBROKEN = {"ID", "CODE", "STATE"}
"""Columns that stay whole in a narrow terminal, unless what is in them is long."""
LONG = 32

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def say(line: str) -> None:
    """A sentence, as it is."""
    console.print(printable(line), soft_wrap=True)


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str
) -> None:
    """`columns` maps a row's names to headings; `empty` is said when there is no row."""
    if as_json:
        show_json(list(rows))
        return
    if not rows:
        say(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, heading in columns.items():
        whole = heading in UNBROKEN and all(len(text(row.get(name))) <= LONG for row in rows)
        table.add_column(heading, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(text(row.get(name))) for name in columns))
    console.print(table)


def show_fields(values: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing, a line for each of its fields."""
    if as_json:
        show_json(values)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, Text(text(value)))
    console.print(table)


def text(value: Any) -> str:
    """A value in a cell."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text(held)}" for name, held in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(text(held) for held in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def printable(line: str) -> str:
    """The text without what could steer the terminal or turn the direction of writing."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in line
    )
