"""`export plan`: what a start would do, told before anything is done."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.output import json_option, say, show_fields, show_json, show_rows, text
from cli.runtime import context
from listbridge.exports.planning import Plan
from listbridge.exports.tally import COLUMNS, PlanSummary, as_row
from listbridge.jobs.plan import PlanOptions, plan_export

OnPlan = Callable[[Plan], None]


@click.command("plan")
@click.argument("workflow_id", metavar="ID")
@click.option(
    "--sample", type=click.IntRange(0, 1000), default=0, help="Show so many people of each outcome."
)
@click.option("--other-lists", is_flag=True, help="Read who is active in the client's other lists.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, writable=True), help="Write all people.")
@json_option
def plan(workflow_id: str, sample: int, other_lists: bool, csv_file: str | None, as_json: bool) -> None:
    """What a start of an export would do now. Changes nothing."""
    options = PlanOptions(sample, other_lists)
    with context() as ctx, _rows_to(csv_file) as on_plan, bars() as progress:
        made = plan_export(ctx, workflow_id, options, on_plan=on_plan, progress=progress)
    if as_json:
        show_json(msgspec.to_builtins(made))
    else:
        _show(made)


@contextmanager
def _rows_to(path: str | None) -> Iterator[OnPlan]:
    """Rows are written as they are decided, so a plan of a million people needs no more memory."""
    if path is None:
        yield lambda _: None
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda each: writer.writerow([_cell(value) for value in as_row(each).values()])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error where that is a terminal, else a line for each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    steps: dict[str, Any] = {}
    with shown:

        def tell(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = shown.add_task(step)
                if shown.disable:
                    click.echo(f"reading: {step}", err=True)
            shown.update(steps[step], completed=done, total=total or None)

        yield tell


def _show(made: PlanSummary) -> None:
    rows = [
        {"outcome": name, "people": count, "why": text(made.refused) if name == "refused" else ""}
        for name, count in made.outcomes.items()
    ]
    say(f"A start would do this to the list {made.list_title!r}:")
    show_rows(rows, {"outcome": "OUTCOME", "people": "PEOPLE", "why": "WHY"}, as_json=False, empty="")
    low, high = made.seconds
    others = made.other_lists
    show_fields(
        {
            "people in the list": made.people_in_list,
            "list settings": made.list_settings,
            "would be made": made.creates,
            "reads the list first": made.adopts,
            "active in other lists": f"{others['active_elsewhere']} of those added (each list is billed)",
            "known of lists": text(others["known"]),
            "not known of lists": text(others["not_known"]),
            "automations may start for": made.automations_may_start_for,
            "mails to confirm": made.confirmation_mails,
            "calls, about": made.calls,
            "seconds, about": f"{low} to {high}",
        },
        as_json=False,
    )
    for warning in made.warnings:
        say(f"Note: {warning}.")
    for outcome, people in made.samples.items():
        columns = {
            "email": outcome.upper(),
            "code": "CODE",
            "reason": "REASON",
            "present": "PRESENT",
            "new": "NEW",
        }
        show_rows([_flat(row) for row in people], columns, as_json=False, empty="")


def _flat(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: _cell(value) if isinstance(value, Mapping) else value for name, value in row.items()}
