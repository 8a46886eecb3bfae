"""`audience`: who is in."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output import json_option, show_fields, show_rows
from cli.runtime import context, fail
from listbridge import audiences, snapshots
from listbridge.snapshots import LARGEST_LOSS, Difference
from listbridge.workflows.schemas import slug as check_slug


@click.group()
def audience() -> None:
    """Audiences: who is in."""


@audience.command("load")
@click.argument("slug")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask, however many leave.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
def load(slug: str, file: Path, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Make an audience what FILE says: a CSV or Parquet with a column `email` and any others."""
    check_slug(slug)
    with context() as ctx:
        snapshots.await_folded(ctx)
        difference = snapshots.compare(ctx, slug, snapshots.read_rows(file))
        _show_difference(difference, as_json)
        if dry_run:
            return
        if difference.loss > LARGEST_LOSS and not yes:
            share = f"{difference.loss:.0%} of the audience would leave"
            if as_json or not click.confirm(f"{share}; go on?", default=False):
                fail(f"{share}: nothing was changed; --yes does it without asking")
        snapshots.apply(ctx, difference, audiences.now())
        snapshots.await_folded(ctx)


def _show_difference(difference: Difference, as_json: bool) -> None:
    found = {
        "audience": difference.slug,
        "members_before": difference.members_before,
        "enter": len(difference.enters),
        "exit": len(difference.exits),
        "attributes_changed": len(difference.changed),
        "unreadable_addresses": list(difference.unreadable[:20]),
        "unreadable": len(difference.unreadable),
    }
    show_fields(found, as_json=as_json)


@audience.command("list")
@json_option
def list_audiences(as_json: bool) -> None:
    """Every audience with its size."""
    with context() as ctx:
        rows = [{"audience": slug, "size": size} for slug, size in audiences.sizes(ctx.store).items()]
    show_rows(
        rows,
        {"audience": "AUDIENCE", "size": "SIZE"},
        as_json=as_json,
        empty="Nobody is in any audience.",
    )


@audience.command("show")
@click.argument("slug")
@click.option("--members", is_flag=True, help="List the members' keys.")
@json_option
def show_audience(slug: str, members: bool, as_json: bool) -> None:
    """An audience's size, and who is in it if asked."""
    with context() as ctx:
        found: dict[str, object] = {"audience": slug, "size": audiences.size_of(ctx.store, slug)}
        if members:
            found["members"] = sorted(audiences.members(ctx.store, slug))
    show_fields(found, as_json=as_json)
