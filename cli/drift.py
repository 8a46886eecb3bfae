"""`export reconcile`: is the list as it should be?"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from typing import Any

import click

from cli.output import json_option, say, show_fields, show_json, show_rows, text
from cli.plans import bars
from cli.runtime import context
from listbridge.context import Context
from listbridge.jobs.reconcile import reconcile as check
from listbridge.standing.drift import COLUMNS, drift, rows
from listbridge.workflows import registry

TABLE = {
    "email": "PERSON",
    "kind": "KIND",
    "reason": "REASON",
    "held": "HOLDS",
    "wanted": "SHOULD HOLD",
    "done": "DONE",
}


@click.command("reconcile")
@click.argument("workflow_id", metavar="ID")
@click.option("--repair", is_flag=True, help="Have the rows sent again that others changed.")
@click.option("--sample", type=click.IntRange(0, 1000), default=10, help="Show so many people of each kind.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, writable=True), help="Write all people.")
@json_option
def reconcile(workflow_id: str, repair: bool, sample: int, csv_file: str | None, as_json: bool) -> None:
    """Read an export's list and tell what is otherwise than it should be.

    Nobody is added, and nobody who opted out is brought back. Opt-outs that were not known are known
    afterwards.
    """
    with context() as ctx, bars() as progress:
        check(ctx, workflow_id, repair=repair, progress=progress)
        list_id = registry.get(ctx.store, workflow_id).export.list_id
        found = drift(ctx.store, list_id, sample)
        if csv_file:
            _write(ctx, list_id, csv_file)
    if as_json:
        show_json(found)
    else:
        _show(found["result"])


def _write(ctx: Context, list_id: str, path: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows(ctx.store, list_id):
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def _show(result: Mapping[str, Any]) -> None:
    people, repaired = sum(result["in_list"].values()), result["sent_again"]
    if not result["drift"]:
        say(f"The list is as it should be: {people} people were read in {result['calls']} calls.")
        return
    show_fields(
        {
            "people read": result["in_list"],
            "drift": result["drift"],
            "sent again": repaired,
            "new states known": result["learned"],
            "calls": result["calls"],
        },
        as_json=False,
    )
    say("")
    shown = [row for kind in result["samples"].values() for row in kind]
    show_rows([{k: text(v) for k, v in row.items()} for row in shown], TABLE, as_json=False, empty="")
    if any(row["kind"] in ("changed", "extra") for row in shown) and not result["repair"]:
        say("To have the rows sent again that others changed: add --repair.")
