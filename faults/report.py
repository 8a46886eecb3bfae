"""The findings as a table: for people, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from faults.catalogue import FAULTS
from faults.running import Round

HEADS = (
    "fault",
    "runs",
    "acknowledged",
    "lost",
    "doubled",
    "profiles",
    "rows",
    "opt-outs undone",
    "races",
    "recovery s",
    "s",
)


def rows(rounds: Iterable[Round]) -> list[tuple[str, ...]]:
    """A row for each fault, its rounds added up; recovery and time are medians."""
    found: dict[str, list[Round]] = {}
    for each in rounds:
        found.setdefault(each.fault, []).append(each)
    return [_row(name, of) for name, of in found.items()]


def _row(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    told = [each.verdict for each in rounds if each.verdict]
    ended = [each.recovery_seconds for each in rounds if each.verdict]
    numbers = [
        sum(each.acknowledged for each in rounds),
        *(
            sum(getattr(each, what) for each in told)
            for what in ("lost", "doubled", "people", "rows", "undone", "raced")
        ),
    ]
    return (
        name,
        f"{len(told)}" if len(told) == len(rounds) else f"{len(told)} of {len(rounds)}",
        *(f"{number:,}" for number in numbers),
        f"{median(ended):.1f}" if ended else "",
        f"{median(each.seconds for each in rounds):.0f}",
    )


def show(rounds: Sequence[Round], out: TextIO) -> None:
    """Print the table and what went wrong."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else 160)
    table = Table(title="What is there and what should be", title_justify="left")
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="right" if number else "left")
    for row in rows(rounds):
        table.add_row(*row)
    console.print(table)
    for each in rounds:
        for line in (*each.problems, *(each.verdict.examples if each.verdict else ())):
            console.print(f"{each.fault}, seed {each.seed}: {line}", soft_wrap=True, markup=False)


def markdown(rounds: Sequence[Round]) -> str:
    """The table of the documentation."""
    heads = ("fault", "what happens", *HEADS[1:], "what is given up")
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'--:|' * len(HEADS[1:])}---|"]
    for name, *cells in rows(rounds):
        known = FAULTS[name]
        lines.append(f"| {' | '.join((f'`{name}`', known.what, *cells, known.gives_up))} |")
    return "\n".join(lines)


def as_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Every round."""
    return [
        {
            "fault": each.fault,
            "seed": each.seed,
            "acknowledged": each.acknowledged,
            "lost": each.verdict.lost if each.verdict else None,
            "doubled": each.verdict.doubled if each.verdict else None,
            "profiles": each.verdict.people if each.verdict else None,
            "rows": each.verdict.rows if each.verdict else None,
            "undone": each.verdict.undone if each.verdict else None,
            "raced": each.verdict.raced if each.verdict else None,
            "recovery_seconds": round(each.recovery_seconds, 2),
            "seconds": round(each.seconds, 1),
            "problems": each.problems,
        }
        for each in rounds
    ]
