"""`archive`: how the archive stands, and a pass of it now."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.text import Text

from cli.output import json_option, say, show_fields, show_json, show_rows
from cli.runtime import context, errors, fail
from listbridge.aggregation.kinds import rfc3339
from listbridge.archive.files import Unreadable
from listbridge.archive.status import Status, Verification, status, verify
from listbridge.jobs.archive import archive as archive_now

COLUMNS = {
    "stream": "STREAM",
    "archived": "ARCHIVED",
    "files": "FILES",
    "bytes": "BYTES",
    "waiting": "WAITING",
    "held": "IN REDIS",
    "skipped": "SKIPPED",
}


@click.group()
def archive() -> None:
    """The archive: every accepted event as Parquet."""


@archive.command("status")
@click.option("--verify", "verified", is_flag=True, help="Read every file, and look for foreign ones.")
@json_option
def show_status(verified: bool, as_json: bool) -> None:
    """What is archived, what waits, how the last pass ended. Exit 1 when files can't be read."""
    with context() as ctx:
        found = status(ctx.archive)
        checked = verify(ctx.archive) if verified else None
    if as_json:
        show_json(_told(found) | ({} if checked is None else {"verification": asdict(checked)}))
    else:
        _show(found, checked)
    if checked is not None and checked.unreadable:
        sys.exit(1)


def _told(found: Status) -> dict[str, object]:
    return asdict(found) | {
        name: _time(getattr(found, name)) for name in ("last_pass", "last_success", "error_since")
    }


def _time(at: int) -> str | None:
    return rfc3339(at) if at else None


def _show(found: Status, checked: Verification | None) -> None:
    show_rows([asdict(each) for each in found.streams], COLUMNS, as_json=False, empty="")
    say("")
    told = {"root": found.root, "last pass": _time(found.last_pass)}
    if found.error:
        told |= {"error": found.error, "since": _time(found.error_since)}
        told |= {"last success": _time(found.last_success)}
    show_fields(told, as_json=False)
    show_unreadable(found.unreadable if checked is None else checked.unreadable)
    if checked is not None:
        for path in checked.foreign:
            errors.print(Text("foreign: ", style="bold yellow") + Text(f"{path} (nothing names it; ignored)"))
        counts = f"{len(checked.unreadable)} unreadable, {len(checked.foreign)} foreign"
        say(f"{checked.files} files that count: {counts}")


@archive.command("run")
@json_option
def run(as_json: bool) -> None:
    """Archive what the streams hold now, compact and trim."""
    with context() as ctx:
        result = archive_now(ctx)
    show_fields({k: v for k, v in asdict(result).items() if v != ""}, as_json=as_json)
    if result.error:
        fail(result.error)


def show_unreadable(found: Iterable[Unreadable]) -> None:
    """A line on standard error for each file that can't be read."""
    for each in found:
        errors.print(Text("unreadable: ", style="bold red") + Text(f"{each.path}: {each.reason}"))
