"""`mapping`: read, try, show and compare mapping files, and show what is active."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.output import json_option, say, show_json, show_rows, text
from cli.runtime import Group, errors, fail, settings
from cli.stores import open_store, running_store
from listbridge.aggregation import compile_program
from listbridge.aggregation.trial import UnfitEventError, try_event
from listbridge.mappings import versions
from listbridge.mappings.differences import Difference, described, differences
from listbridge.mappings.fields import rows_of, with_skips
from listbridge.mappings.sources import MappingText, compiled, configured, read
from listbridge.mappings.versions import Version
from listbridge.profiles.commit import skipped

file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group(cls=Group)
def mapping() -> None:
    """Mappings: what the events of a stream do to a profile."""


@mapping.command("check")
@file_argument
def check(file: Path) -> None:
    """Say whether FILE can be used, or where it is wrong."""
    program = compile_program([read(file)[0]])
    [stream] = program.streams
    say(f"{file}: {len(program.fields)} fields from {stream}")


@mapping.command("test")
@file_argument
@click.option("--event", "event_json", required=True, help="An event of the mapping's stream, as JSON.")
@json_option
def test(file: Path, event_json: str, as_json: bool) -> None:
    """Show what each column of FILE makes of one event, or why it adds nothing."""
    try:
        rows = try_event(read(file)[0], _event(event_json))
    except UnfitEventError as problem:
        fail(str(problem))
        return
    columns = {"field": "FIELD", "value": "VALUE", "skipped": "SKIPPED BECAUSE"}
    found = [{"field": each.field, "value": each.value, "skipped": each.skipped} for each in rows]
    show_rows(found, columns, as_json=as_json, empty="The mapping has no columns.")


@mapping.command("show")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--version", "number", type=click.IntRange(1), help="Of this version, not of the active one.")
@click.option("--text", "as_text", is_flag=True, help="The mappings as they were written.")
@click.option("--skips", is_flag=True, help="How many events of each stream every field has skipped.")
@json_option
def show(file: Path | None, number: int | None, as_text: bool, skips: bool, as_json: bool) -> None:
    """List the fields that the active mappings make, and since when each counts; or those of FILE."""
    if file:
        if number or as_text or skips:
            raise click.UsageError(
                "--version, --text and --skips are about what the store holds: leave FILE out"
            )
        _show_fields([described(each) for each in compile_program([read(file)[0]]).fields.values()], as_json)
        return
    if skips:
        if as_text:
            raise click.UsageError("--skips lists fields and --text mappings: ask for one of them")
        _show_skips(number, as_json)
        return
    held = _held(number)
    if as_text:
        _show_texts(held.texts if held else configured(settings()), as_json)
    elif held:
        _show_fields(rows_of(held), as_json)
    else:
        program = compiled(configured(settings()))
        _show_fields([described(each) for each in program.fields.values()], as_json)


def _held(number: int | None) -> Version | None:
    """The version of that number, or the active one; None when there is no store to ask, which is said."""
    if number:
        with open_store() as store:
            return versions.version(store, number)
    store = running_store()
    if store is not None and versions.is_established(store):
        return versions.active(store)
    state = "isn't running" if store is None else "has no mappings yet"
    errors.print(f"the store {state}: these are the shipped mappings with those of LISTBRIDGE_MAPPINGS_DIR")
    return None


def _show_fields(rows: list[dict[str, Any]], as_json: bool) -> None:
    columns = {
        "field": "FIELD",
        "kind": "KIND",
        "operation": "OPERATION",
        "cap": "CAP",
        "since": "SINCE",
        "streams": "STREAMS",
        "description": "DESCRIPTION",
    }
    if not any("since" in row for row in rows):
        del columns["since"]
    if not as_json:
        rows = [row | {"since": row["since"] or "all events"} if "since" in row else row for row in rows]
    show_rows(rows, columns, as_json=as_json, empty="There are no fields.")


def _show_skips(number: int | None, as_json: bool) -> None:
    """A column for each stream; `-` where it doesn't feed the field."""
    with open_store() as store:
        held = versions.version(store, number) if number else versions.active(store)
        rows = with_skips(held, skipped(store))
    columns = {"field": "FIELD", "since": "SINCE"}
    columns |= {
        stream: f"SKIPPED OF {stream}" for stream in sorted({s for row in rows for s in row["skipped"]})
    }
    if not as_json:
        rows = [row | _counts(row["skipped"]) | {"since": row["since"] or "all events"} for row in rows]
    show_rows(rows, columns, as_json=as_json, empty="There are no fields.")


def _counts(skips: Mapping[str, int]) -> dict[str, str]:
    return {stream: f"{count:,}" for stream, count in skips.items()}


def _show_texts(texts: Iterable[MappingText], as_json: bool) -> None:
    if as_json:
        show_json([msgspec.to_builtins(each) for each in texts])
        return
    for each in texts:
        click.echo(f"-- {each.alias}\n{each.text.rstrip()}\n")


@mapping.command("diff")
@click.argument("a", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("b", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Compare the fields of A and B; a field that starts anew in B loses what A counted."""
    rows = differences(compile_program([read(a)[0]]), compile_program([read(b)[0]]))
    if as_json:
        show_json([msgspec.to_builtins(row) for row in rows])
        return
    show_differences(rows)
    if not rows:
        say("The fields are the same.")


def show_differences(rows: Iterable[Difference]) -> None:
    """A line for each field that differs."""
    for row in rows:
        changes = "; ".join(f"{what}: {text(was)} -> {text(now)}" for what, (was, now) in row.changes.items())
        say(f"{row.change} {row.field}" + (f" ({changes})" if changes else ""))


def _event(event_json: str) -> dict[str, Any]:
    try:
        event = json.loads(event_json)
    except ValueError as problem:
        raise UnfitEventError(f"--event is no JSON: {problem}") from None
    if not isinstance(event, dict):
        raise UnfitEventError("--event holds no object: {…} is right")
    return event
