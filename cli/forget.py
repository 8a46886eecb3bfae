"""`forget`: a person is erased everywhere, with the proof."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from cli.output import json_option, say, show_json, show_rows
from cli.runtime import context, fail
from listbridge.aggregation.kinds import rfc3339
from listbridge.erasure.erasing import Erased, erasures
from listbridge.jobs import forget as job

WORD = "forget"


@click.command()
@click.argument("email")
@click.option(
    "--delete-from-lists", is_flag=True, help="Delete them from all lists in Campaign Monitor, too."
)
@click.option("--suppress", is_flag=True, help="Have Campaign Monitor never send to them again.")
@click.option("--dry-run", is_flag=True, help="Only say where they are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def forget(
    email: str, delete_from_lists: bool, suppress: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Erase a person everywhere: profile, audiences, outcomes, events, archive.

    What happened before can't bring them back; what happens later starts afresh. When it is broken off,
    start it again. Exit 1 when something is left.
    """
    with context() as ctx:
        people = job.keys_of(ctx, email)
        if dry_run:
            _show(job.find(ctx, people), as_json=as_json, found_only=True)
            return
        if not yes:
            _ask(people, delete_from_lists=delete_from_lists, suppress=suppress)
        done = job.forget(ctx, people, job.Wishes(delete_from_lists, suppress))
    _show(done, as_json=as_json)
    if not all(each.complete for each in done):
        fail("something is left, see REMAINING: start it again")


def _ask(people: Sequence[str], *, delete_from_lists: bool, suppress: bool) -> None:
    what = ["here"]
    what += ["in all lists in Campaign Monitor"] if delete_from_lists else []
    click.echo(f"{', '.join(people)} will be erased {' and '.join(what)}. This can't be undone.", err=True)
    if not suppress:
        click.echo(
            "Here nothing will be known of an opt-out of theirs any more: --suppress keeps it there.",
            err=True,
        )
    if click.prompt(f"Type {WORD} to go on", default="", err=True) != WORD:
        fail("nothing was changed")


def _show(done: Sequence[Erased], *, as_json: bool, found_only: bool = False) -> None:
    if as_json:
        show_json([_told(each) for each in done])
        return
    for number, each in enumerate(done, start=1):
        head = f"address {number} of {len(done)}, kept as {each.person}"
        say(head if found_only else f"{head}, erased up to {rfc3339(each.at)}")
        rows = [
            {"place": place, "found": n, "remaining": each.remaining.get(place, 0)}
            for place, n in sorted({**each.remaining, **each.found}.items())
        ]
        columns = {"place": "PLACE", "found": "FOUND"} | ({} if found_only else {"remaining": "REMAINING"})
        show_rows(rows, columns, as_json=False, empty="Nothing was held of this address.")
        for what, n in sorted(each.outside.items()):
            say(f"{what}: {n}")
        for what, n in sorted(each.kept.items()):
            say(f"kept: {what} ({n})")


def _told(each: Erased) -> dict[str, Any]:
    return asdict(each) | {"at": rfc3339(each.at) if each.at else None, "complete": each.complete}


@click.command("erasures")
@json_option
def list_erasures(as_json: bool) -> None:
    """Who was erased, as hashes: when, and how much was found. Exit 1 when one was not finished."""
    with context() as ctx:
        held = sorted(erasures(ctx.store), key=lambda item: item[1].at)
    rows = [
        {"person": name, "at": rfc3339(each.at), "complete": each.complete, "found": dict(each.found)}
        for name, each in held
    ]
    columns = {"person": "HASH", "at": "UP TO", "complete": "COMPLETE", "found": "FOUND"}
    show_rows(rows, columns, as_json=as_json, empty="Nobody was erased.")
    if not all(each.complete for _, each in held):
        sys.exit(1)
