"""`export why`, `rejections`, `retry`, `status`, `remove`: what became of people, and ending it all."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from cli.output import json_option, say, show_fields, show_json, show_rows
from cli.runtime import context, fail
from listbridge.context import Context
from listbridge.exports.protocol import Leftovers
from listbridge.standing import exports as standing
from listbridge.standing import rejections as refusals
from listbridge.standing import why as stories
from listbridge.standing.drift import last_check
from listbridge.workflows import registry, removal
from listbridge.workflows.models import Workflow
from listbridge.workflows.removal import PARTS, Part

COLUMNS = {
    "email": "PERSON",
    "code": "CODE",
    "message": "MESSAGE",
    "at": "AT",
    "opted_out_at": "OPTED OUT AT",
    "remedy": "WHAT TO DO",
}
TABLE = {name: COLUMNS[name] for name in ("email", "code", "message", "at")}
SHOWN_ROWS = 1000
_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType):
    """A time as in 2026-01-02T03:04:05Z, or how long ago: 90s, 30m, 12h, 7d. -> epoch milliseconds"""

    name = "time"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - the library's signature
    ) -> int:
        if isinstance(value, int):
            return value
        if ago := _AGO.fullmatch(value):
            at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            try:
                at = datetime.fromisoformat(value)
            except ValueError:
                self.fail(f"{value!r} is no time: write 2026-01-02T03:04:05Z, or 12h for 12 hours ago", param)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return int(at.timestamp() * 1000)


workflow_argument = click.argument("workflow_id", metavar="ID")
code_option = click.option("--code", help="Only those with this code: a word, or Campaign Monitor's number.")
since_option = click.option(
    "--since", type=Moment(), help="Only those refused since: a time (UTC), or 12h for 12 hours ago."
)


@click.command("why")
@workflow_argument
@click.argument("email")
@json_option
def why(workflow_id: str, email: str, as_json: bool) -> None:
    """What became of a person in an export's list, and everything that led to it."""
    with context() as ctx:
        found = stories.why(ctx, _export(ctx, workflow_id), email)
    if as_json:
        show_json(found)
        return
    events = found.pop("events")
    show_fields({name: value for name, value in found.items() if value not in (None, "", 0)}, as_json=False)
    say("")
    show_rows(events, {"at": "AT", "what": "WHAT"}, as_json=False, empty="Nothing is known to have happened.")


@click.command("rejections")
@workflow_argument
@code_option
@since_option
@click.option(
    "--csv", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all of them there."
)
@json_option
def rejections(
    workflow_id: str, code: str | None, since: int | None, file: Path | None, as_json: bool
) -> None:
    """Who the export's list does not take, why, and what to do."""
    with context() as ctx:
        list_id = _export(ctx, workflow_id).export.list_id
        found = refusals.rejections(ctx.store, list_id, _which(ctx, list_id, code, since))
        rows = (refusals.as_row(key, refused) for key, refused in found)
        if file is not None:
            count = _write(rows, file)
            say(f"{count} are in {file}")
            return
        shown = list(rows) if as_json else list(islice(rows, SHOWN_ROWS + 1))
    shown.sort(key=lambda row: row["email"])
    if as_json:
        show_json(shown)
        return
    show_rows(shown[:SHOWN_ROWS], TABLE, as_json=False, empty="Nobody is refused.")
    for refused_as, remedy in sorted({(str(row["code"]), row["remedy"]) for row in shown if row["remedy"]}):
        say(f"{refused_as}: {remedy}")
    if len(shown) > SHOWN_ROWS:
        say(f"More than {SHOWN_ROWS}: --csv FILE writes all of them.")


def _write(rows: Iterable[Mapping[str, Any]], file: Path) -> int:
    """A header and a row for each refusal; -> how many."""
    count = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(COLUMNS))
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


@click.command("retry")
@workflow_argument
@code_option
@since_option
def retry(workflow_id: str, code: str | None, since: int | None) -> None:
    """Try the refused people again. Nobody is resubscribed by it."""
    with context() as ctx:
        workflow = _export(ctx, workflow_id)
        count = refusals.retry(ctx, workflow, _which(ctx, workflow.export.list_id, code, since))
    say(f"{count} refused people are tried again")


@click.command("status")
@workflow_argument
@json_option
def status(workflow_id: str, as_json: bool) -> None:
    """How an export stands: its lag, its counters, who is refused and why, a backfill's time left."""
    with context() as ctx:
        found = _export(ctx, workflow_id)
        shown = standing.shown(ctx, found)
        shown["refused_now"] = standing.refused_now(ctx, found)
        shown |= last_check(ctx.store, found.export.list_id)
    kept = ("id", "description", "state", "reason", "wake_at", "progress", "standing", "refused_now")
    kept += ("list_checked", "drift")
    show_fields({name: shown[name] for name in kept}, as_json=as_json)


def _parts(_ctx: click.Context, _param: click.Parameter, value: str) -> list[Part]:
    given = {each.strip() for each in value.split(",") if each.strip()}
    if wrong := sorted(given - set(PARTS)):
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(PARTS)}")
    return [part for part in PARTS if part in given]


@click.command("remove")
@workflow_argument
@click.option(
    "--cleanup",
    "parts",
    default="",
    callback=_parts,
    metavar="PARTS",
    help="Take these out of Campaign Monitor, too: field, options, segments, by commas.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(workflow_id: str, parts: list[Part], yes: bool) -> None:
    """End an export and forget it, after showing what it leaves behind in the list."""
    with context() as ctx:
        workflow = _export(ctx, workflow_id)
        found = removal.leftovers_of(ctx, workflow)
        if wrong := removal.objections(ctx, workflow, found, parts):
            fail(f"{wrong[0]}; nothing was changed")
        _show_leftovers(found, parts)
        if not yes and click.prompt("Type the export's id to remove it", default="") != workflow_id:
            fail("that is not its id: nothing was changed")
        result = removal.remove(ctx, workflow_id, parts)
    for line in result.done:
        say(line)
    if result.problems:
        ended = f"export {workflow_id} is ended and kept: run this again when the reason is gone"
        fail("\n".join([*result.problems, ended]))
    say(f"export {workflow_id} is removed")


def _show_leftovers(found: Leftovers, parts: list[Part]) -> None:
    if not found.field_key:
        say(f"The list has no field {found.field_name!r}: the export leaves nothing behind.")
        return
    gone = {part: "removed" if part in parts else "stays" for part in PARTS}
    if "field" in parts:
        gone["options"] = "removed"
    rows = [
        {"what": "field", "names": [found.field_key], "then": gone["field"]},
        {"what": "options", "names": list(found.options), "then": gone["options"]},
        {"what": "segments", "names": list(found.segments), "then": gone["segments"]},
    ]
    columns = {"what": "WHAT", "names": "NAMES", "then": "AFTERWARDS"}
    show_rows(rows, columns, as_json=False, empty="")
    staying = [] if "segments" in parts else list(found.segments)
    ruled = ", ".join([*staying, *found.ruled])
    if "field" in parts:
        say("Removing the field deletes its values of everybody in the list, for good.")
        if ruled:
            say(f"These segments lose their rules on the field, and may then hold everybody: {ruled}.")
    elif "options" in parts:
        say("Removing options makes Campaign Monitor delete all segment rules on the field.")
        if ruled:
            say(f"The rules of these segments are given back at once; people leave and enter them: {ruled}.")


def _which(ctx: Context, list_id: str, code: str | None, since: int | None) -> refusals.Which:
    chosen = refusals.which(code, since)
    if wrong := refusals.objection(ctx.store, list_id, chosen):
        raise click.BadParameter(wrong, param_hint="--code")
    return chosen


def _export(ctx: Context, workflow_id: str) -> Workflow:
    found = registry.get(ctx.store, workflow_id)
    if found.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {found.kind}; this is for an export")
    return found
