"""`mapping apply`, `history`, `save`: the versions of the mappings that are active."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from cli.mappings import show_differences
from cli.output import json_option, say, show_json, show_rows
from cli.runtime import fail, settings
from cli.stores import open_store
from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings import versions
from listbridge.mappings.sources import NEEDED, SUFFIX, configured, with_files
from listbridge.mappings.versions import Plan, Version


@click.command("apply")
@click.argument("files", nargs=-1, metavar="[FILE_OR_DIR]...", type=click.Path(exists=True, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--needed-anew", is_flag=True, help="Even if fields that exports decide by lose what they counted."
)
@json_option
def apply(files: tuple[Path, ...], yes: bool, dry_run: bool, needed_anew: bool, as_json: bool) -> None:
    """Make mappings active: new events are counted by them from now on.

    These are the shipped ones, with the files of LISTBRIDGE_MAPPINGS_DIR, or only with those given here:
    one with the ALIAS of a shipped mapping replaces it, any other adds fields. What is active and is not
    among them stops being active.
    """
    texts = with_files(files) if files else configured(settings())
    with open_store() as store:
        planned = versions.plan(store, texts)
        if planned.is_empty or dry_run:
            _show(planned, planned.base, as_json)
            return
        if not as_json:
            _show(planned, None, as_json)
        _consent(planned, yes, needed_anew, as_json)
        made = versions.activate(store, planned)
    if as_json:
        _show(planned, made, as_json)
        return
    say(f"Version {made.number} is active; running processes take it up within a second.")
    if fresh := _fields(planned, "added", "anew"):
        say(
            f"{', '.join(fresh)}: these count from now on; `listbridge profiles rebuild` makes them complete."
        )


def _show(planned: Plan, held: Version | None, as_json: bool) -> None:
    """What changes; `held` is the version that is active in the end."""
    if as_json:
        rows = [msgspec.to_builtins(each) for each in planned.differences]
        show_json({"version": held.number if held else None, "changes": rows})
        return
    show_differences(planned.differences)
    if planned.base is None:
        say("The store has no mappings yet: these are its first, and count all events.")
    elif planned.is_empty:
        say(f"Nothing changes: version {planned.base.number} is active.")
    elif not planned.differences:
        say("No field changes, only the text.")


def _consent(planned: Plan, yes: bool, needed_anew: bool, as_json: bool) -> None:
    """End the command unless the user wants this."""
    lost = [name for name in _fields(planned, "anew") if name in NEEDED]
    if lost and not needed_anew:
        fail(
            f"{', '.join(lost)} would start anew, and exports decide by it who is in an audience and who has "
            "opted out: nothing was changed. Keep the columns of that name as they are; or pause all "
            "exports, apply with --needed-anew, run `listbridge profiles rebuild`, and resume them"
        )
    if planned.base is None or yes:
        return
    if as_json or not click.confirm("Make this active?", default=False):
        fail("nothing was changed; --yes does it without asking")


def _fields(planned: Plan, *changes: str) -> list[str]:
    return [each.field for each in planned.differences if each.change in changes]


@click.command("history")
@json_option
def history(as_json: bool) -> None:
    """List the versions of the mappings, the active one last."""
    with open_store() as store:
        found = versions.history(store)
    rows = [
        {"version": each.number, "activated_at": rfc3339(each.activated_at), "changes": each.changes}
        for each in found
    ]
    if not as_json:
        rows = [row | {"changes": _summary(each)} for row, each in zip(rows, found, strict=True)]
    columns = {"version": "VERSION", "activated_at": "ACTIVE SINCE", "changes": "CHANGED"}
    show_rows(rows, columns, as_json=as_json, empty="The store has no mappings yet.")


def _summary(held: Version) -> str:
    if held.number == 1:
        return "the first"
    changed = "; ".join(f"{change} {', '.join(names)}" for change, names in held.changes.items())
    return changed or "only the text"


@click.command("save")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--version", "number", type=click.IntRange(1), help="This version, not the active one.")
def save(directory: Path, number: int | None) -> None:
    """Write the active mappings into DIRECTORY, a file for each, to be edited and applied.

    A file that is there already and holds something else is left alone, and nothing is written.
    """
    with open_store() as store:
        held = versions.version(store, number) if number else versions.active(store)
    files = {
        directory / name: each.text.encode() for name, each in zip(_names(held), held.texts, strict=True)
    }
    if other := [str(path) for path, text in files.items() if path.exists() and path.read_bytes() != text]:
        fail(f"{', '.join(other)}: there already, with other text; name an empty directory")
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_bytes(text)
        say(str(path))
    say(f"Edit them, then: listbridge mapping apply {directory}")


def _names(held: Version) -> Iterable[str]:
    """A file name for each mapping: its alias, where that can be one."""
    for position, each in enumerate(held.texts, start=1):
        stem = each.alias if re.fullmatch(r"[A-Za-z0-9_]{1,100}", each.alias) else f"mapping-{position}"
        yield f"{stem}{SUFFIX}"
