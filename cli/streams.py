"""`stream`: what came in, from the store and from the archive."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from cli.archive import show_unreadable
from cli.output import json_option, say
from cli.runtime import context, errors, fail
from cli.writing import WRITERS
from listbridge.aggregation.kinds import rfc3339
from listbridge.archive.export import Export
from listbridge.context import Context
from listbridge.identity import person_key
from listbridge.streams.log import tail
from listbridge.streams.schemas import SCHEMAS


@click.group()
def stream() -> None:
    """Streams: what came in."""


@stream.command("tail")
@click.argument("name", metavar="STREAM", type=click.Choice(sorted(SCHEMAS)))
@click.option(
    "--count", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many of the newest."
)
@click.option("--quarantine", is_flag=True, help="What was set aside, with the reason.")
@json_option
def tail_stream(name: str, count: int, quarantine: bool, as_json: bool) -> None:
    """The newest events of a stream, newest last."""
    with context() as ctx:
        rows = _set_aside(ctx, name, count) if quarantine else _events(ctx, name, count)
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    for row in rows:
        say(" ".join(f"{name}={value}" for name, value in row.items()))
    if not rows:
        say("Nothing there.")


def _events(ctx: Context, name: str, count: int) -> list[dict[str, object]]:
    rows = []
    lines, unreadable = ctx.archive.newest(name, count)
    show_unreadable(unreadable)
    for line in lines:
        body = msgspec.json.decode(line)
        head = {"time": rfc3339(body.pop("_time")), "received": rfc3339(body.pop("_received"))}
        rows.append(head | {"id": body.pop("_id")} | body)
    return rows


def _set_aside(ctx: Context, name: str, count: int) -> list[dict[str, object]]:
    rows = []
    for _, line in tail(ctx.store, "quarantine", name, count):
        at, reason, raw = line.split(b"\t", 2)
        rows.append(
            {
                "received": rfc3339(int(at)),
                "reason": reason.decode("utf-8", "replace"),
                "raw": raw.decode("utf-8", "replace"),
            }
        )
    return rows


@stream.command("export")
@click.argument("name", metavar="STREAM", type=click.Choice(sorted(SCHEMAS)))
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="Events from this day on (UTC).")
@click.option("--to", "until", type=click.DateTime(["%Y-%m-%d"]), help="Events before this day (UTC).")
@click.option("--email", help="Events of one person.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(sorted(WRITERS)),
    default="ndjson",
    show_default=True,
    help="How they are written.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write to.")
def export_stream(
    name: str,
    since: datetime | None,
    until: datetime | None,
    email: str | None,
    kind: str,
    output: Path | None,
) -> None:
    """All events of a stream, archived or not, each once, in no order.

    When a file of the archive can't be read, the rest is written, and the command ends with 1.
    """
    key = None if email is None else person_key(email)
    if email is not None and key is None:
        fail("--email is no e-mail address")
    if kind == "parquet" and output is None:
        fail("Parquet is written to a file: name it with -o FILE")
    with context() as ctx:
        found = Export(ctx.archive, name, key, _times(since, until))
        count = _written(found, kind, output)
    show_unreadable(found.unreadable)
    if output is not None:
        errors.print(f"{count:,} events are in {output}")
    if found.unreadable:
        sys.exit(1)


def _times(since: datetime | None, until: datetime | None) -> tuple[int, int] | None:
    """From and before (epoch ms); None for all times, which times outside the calendar belong to, too."""
    if since is None and until is None:
        return None
    first = -(1 << 63) if since is None else int(since.replace(tzinfo=UTC).timestamp()) * 1000
    last = (1 << 63) - 1 if until is None else int(until.replace(tzinfo=UTC).timestamp()) * 1000
    return first, last


def _written(found: Export, kind: str, output: Path | None) -> int:
    """Write the events; a file appears under its name when it is whole. -> how many events."""
    if output is None:
        return WRITERS[kind](found, sys.stdout.buffer)
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        with temporary.open("wb") as file:
            count = WRITERS[kind](found, file)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return count
