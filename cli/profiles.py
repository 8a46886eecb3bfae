"""`profiles`: what is known of a person, and everybody's profile made anew."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.output import json_option, say, show_fields, show_json
from cli.runtime import context, errors, fail
from listbridge.cores import usable_cores
from listbridge.jobs.rebuild import Rebuild
from listbridge.jobs.rebuild import rebuild as rebuild_all
from listbridge.profiles.reading import profile_of


@click.group()
def profiles() -> None:
    """Profiles: what the events say of people."""


@profiles.command("show")
@click.argument("email")
@json_option
def show_profile(email: str, as_json: bool) -> None:
    """Everything that is known of a person."""
    with context() as ctx:
        found = profile_of(ctx.store, ctx.programs, email, history=ctx.archive)
    if found is None:
        fail("nothing is known of this address")
        return
    if as_json:
        show_json(found)
        return
    head = {name: found[name] for name in ("key", "linked", "audiences", "updated_at") if name in found}
    show_fields(head | dict(sorted(found["fields"].items())), as_json=False)


@profiles.command("rebuild")
@click.option(
    "--processes", type=click.IntRange(1, 64), help="How many at a time; by default one for each core."
)
@click.option(
    "--skip-unreadable", is_flag=True, help="Go on without the events of archive files that can't be read."
)
@json_option
def rebuild(processes: int | None, skip_unreadable: bool, as_json: bool) -> None:
    """Make everybody's profile anew from all events, by the mappings that are active.

    Events keep arriving meanwhile; a rebuild that is stopped can be started again. Exit 1 when some people
    stay as they were.
    """
    started = time.monotonic()
    with (
        context() as ctx,
        Progress(
            TextColumn("partitions"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
        ) as bar,
    ):
        task = bar.add_task("", total=ctx.store.partitions)
        result = rebuild_all(
            ctx,
            processes=processes or usable_cores(),
            skip_unreadable=skip_unreadable,
            on_progress=lambda so_far: bar.update(task, completed=len(so_far.done) + len(so_far.failed)),
        )
    if as_json:
        show_json(_told(result) | {"seconds": round(time.monotonic() - started, 1)})
    else:
        _show(result, time.monotonic() - started)
    if result.failed:
        sys.exit(1)


def _told(result: Rebuild) -> dict[str, object]:
    return {
        "mapping": result.version,
        "people": sum(each.people for each in result.done),
        "changed": sum(each.changed for each in result.done),
        "events": sum(each.events for each in result.done),
        "left_out": sum(each.left_out for each in result.done),
        "complete": result.complete,
        "unreadable": sorted({text for each in result.done for text in each.unreadable}),
        "failed": [{"partition": number, "reason": why} for number, why in sorted(result.failed.items())],
        "partitions": [asdict(each) for each in sorted(result.done, key=lambda each: each.partition)],
    }


def _show(result: Rebuild, seconds: float) -> None:
    told = _told(result)
    people, changed, events = (sum(getattr(each, name) for each in result.done) for name in COUNTED)
    say(
        f"{people:,} people made anew from {events:,} events in {seconds:.1f} s, {changed:,} of them "
        f"changed (mappings version {result.version})"
    )
    if told["left_out"]:
        say(f"{told['left_out']} events can't be reduced and don't count")
    for text in sorted({text for each in result.done for text in each.unreadable}):
        errors.print(Text("without the events of ", style="yellow") + Text(text))
    for number, why in sorted(result.failed.items()):
        errors.print(Text(f"partition {number} stays as it was: ", style="bold red") + Text(why))
    if result.complete:
        say("Every field counts all events.")


COUNTED = ("people", "changed", "events")
