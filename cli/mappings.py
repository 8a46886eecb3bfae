"""`mapping`: read, try, show and compare mapping files; nothing here needs a running store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cli.output import json_option, say, show_json, show_rows, text
from cli.runtime import Group, fail, settings
from listbridge.aggregation import FieldDefinition, Mapping, Program, compile_program, parse
from listbridge.aggregation.trial import UnfitEventError, try_event
from listbridge.context import load_program

file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group(cls=Group)
def mapping() -> None:
    """Mappings: what the events of a stream do to a profile."""


@mapping.command("check")
@file_argument
def check(file: Path) -> None:
    """Say whether FILE can be used, or where it is wrong."""
    program = compile_program([_read(file)])
    [stream] = program.streams
    say(f"{file}: {len(program.fields)} fields from {stream}")


@mapping.command("test")
@file_argument
@click.option("--event", "event_json", required=True, help="An event of the mapping's stream, as JSON.")
@json_option
def test(file: Path, event_json: str, as_json: bool) -> None:
    """Show what each column of FILE makes of one event, or why it adds nothing."""
    try:
        rows = try_event(_read(file), _event(event_json))
    except UnfitEventError as problem:
        fail(str(problem))
        return
    columns = {"field": "FIELD", "value": "VALUE", "skipped": "SKIPPED BECAUSE"}
    found = [{"field": each.field, "value": each.value, "skipped": each.skipped} for each in rows]
    show_rows(found, columns, as_json=as_json, empty="The mapping has no columns.")


@mapping.command("show")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def show(file: Path | None, as_json: bool) -> None:
    """List the fields that FILE makes, or all that are in use."""
    program = compile_program([_read(file)]) if file else load_program(settings())
    columns = {
        "field": "FIELD",
        "kind": "KIND",
        "operation": "OPERATION",
        "cap": "CAP",
        "streams": "STREAMS",
        "description": "DESCRIPTION",
    }
    rows = [_row(definition) for definition in program.fields.values()]
    show_rows(rows, columns, as_json=as_json, empty="There are no fields.")


@mapping.command("diff")
@click.argument("a", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("b", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Compare the fields of A and B; a field that starts anew in B loses what A counted."""
    rows = differences(compile_program([_read(a)]), compile_program([_read(b)]))
    if as_json:
        show_json(rows)
        return
    for row in rows:
        changes = "; ".join(
            f"{what}: {text(was)} -> {text(now)}" for what, (was, now) in row["changes"].items()
        )
        say(f"{row['change']} {row['field']}" + (f" ({changes})" if changes else ""))
    if not rows:
        say("The fields are the same.")


def differences(a: Program, b: Program) -> list[dict[str, Any]]:
    """The fields that are not the same: `change` is added, removed, anew or shown, by name.

    A field is `anew` if its definition differs, so that its state starts from nothing; `shown` if only
    its description or CAP does. `changes` has what was and what is, by what differs.
    """
    rows = []
    for name in sorted({*a.fields, *b.fields}):
        was, now = a.fields.get(name), b.fields.get(name)
        if was is None or now is None:
            rows.append({"field": name, "change": "removed" if now is None else "added", "changes": {}})
            continue
        before, after = _row(was), _row(now)
        changes = {what: [before[what], after[what]] for what in before if before[what] != after[what]}
        if was.id != now.id or changes:
            change = "anew" if was.id != now.id else "shown"
            rows.append({"field": name, "change": change, "changes": changes})
    return rows


def _row(definition: FieldDefinition) -> dict[str, Any]:
    return {
        "field": definition.name,
        "kind": definition.kind.name,
        "operation": definition.operation.name,
        "cap": definition.capacity,
        "streams": list(definition.streams),
        "description": definition.shortdesc,
    }


def _read(file: Path) -> Mapping:
    try:
        return parse(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError as problem:
        fail(f"{file}: byte {problem.start} is not UTF-8")
        raise


def _event(event_json: str) -> dict[str, Any]:
    try:
        event = json.loads(event_json)
    except ValueError as problem:
        raise UnfitEventError(f"--event is no JSON: {problem}") from None
    if not isinstance(event, dict):
        raise UnfitEventError("--event holds no object: {…} is right")
    return event
