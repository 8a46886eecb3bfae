"""What an export waits for, by options of `export create`, and how a person lets it go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.export_options import pairs
from cli.output import say, text
from cli.runtime import context
from listbridge.context import Context
from listbridge.exports.brakes import WINDOWS_MS
from listbridge.workflows import registry, service
from listbridge.workflows.editing import Change
from listbridge.workflows.holds import PEOPLE, RESTORED, Acknowledgement
from listbridge.workflows.models import Workflow

F = TypeVar("F", bound=Callable[..., Any])

_HOLDING = (
    click.option("--opted-in-field", help="Holds the last opt-in.  [default: opted_in_at]"),
    click.option(
        "--opt-out-feed-minutes",
        type=int,
        help="Nobody is resubscribed when nothing was heard for longer of who opted out.  [default: 1440]",
    ),
    click.option(
        "--brake",
        "brakes",
        multiple=True,
        metavar="KIND=SHARE",
        help="Pause when more of the list is leaving, unsubscribed or refused in an hour: 0 to 1, or off.",
    ),
    click.option("--brake-least-people", type=int, help="Fewer trip none.  [default: 100]"),
    click.option("--max-new-subscribers", type=int, help="The most that are added to the list in a day."),
    click.option("--quiet-hours", metavar="HH:MM-HH:MM", help="Deliver nothing then."),
    click.option("--quiet-zone", metavar="ZONE", help="Whose clocks the quiet hours go by: Europe/Berlin."),
    click.option(
        "--reconcile-every", type=int, metavar="HOURS", help="Check the list so often.  [default: 24]"
    ),
    click.option("--no-reconcile", is_flag=True, help="Check the list only when asked."),
    click.option(
        "--drift",
        type=click.Choice(["report", "repair"]),
        help="What a check does about rows that others changed.  [default: report]",
    ),
)


def holding_options(command: F) -> F:
    """The options of `export create` that `holding_config` takes."""
    for option in reversed(_HOLDING):
        command = option(command)
    return command


def holding_config(
    config: dict[str, Any],
    brakes: tuple[str, ...],
    brake_least_people: int | None,
    quiet_hours: str | None,
    quiet_zone: str | None,
) -> dict[str, Any]:
    """The settings with what the options say about brakes and quiet hours, which goes before the file's."""
    found: dict[str, Any] = dict(_share(each) for each in brakes)
    if brake_least_people is not None:
        found["least_people"] = brake_least_people
    if found:
        given = config.get("brakes")
        config = config | {"brakes": {**(given if isinstance(given, dict) else {}), **found}}
    if (quiet_hours is None) != (quiet_zone is None):
        raise click.UsageError("--quiet-hours and --quiet-zone go together")
    if quiet_hours is not None:
        start, _, end = quiet_hours.partition("-")
        config = config | {"quiet_hours": {"zone": quiet_zone, "start": start, "end": end}}
    return config


def _share(option: str) -> tuple[str, float | None]:
    kind, found, share = option.partition("=")
    if not found:
        raise click.BadParameter(f"{option!r} has no '='", param_hint="--brake")
    if share == "off":
        return kind, None
    try:
        return kind, float(share)
    except ValueError:
        raise click.BadParameter(f"{share!r} is neither a share nor off", param_hint="--brake") from None


_RESUMING = (
    click.argument("workflow_id", metavar="ID"),
    click.option(
        "--acknowledge",
        type=click.Choice([*WINDOWS_MS, RESTORED]),
        help="The brake that paused it, or that the store was restored.",
    ),
    click.option("--confirm", is_flag=True, help="The people of the canary are as they should be."),
    click.option("--confirm-people", type=int, help="How many who opted out are added again."),
    click.option("--canary", type=click.IntRange(1, 1_000_000), help="Stop after so many people."),
)


def resuming(command: F) -> F:
    """The options of the commands that `resume` does."""
    for option in reversed(_RESUMING):
        command = option(command)
    return command


def resume(
    workflow_id: str,
    acknowledge: str | None,
    confirm: bool,
    confirm_people: int | None,
    canary: int | None,
) -> None:
    """Let a workflow go on; who is added again in spite of an opt-out is counted and asked about."""
    with context() as ctx:
        held, count = registry.get(ctx.store, workflow_id), service.people_to_return
        if held.waits_for == PEOPLE and confirm_people is None:
            counted = service.people_to_return(ctx, workflow_id)
            say(f"{counted} people who opted out would be added to the list again.")
            confirm_people = click.prompt("Type that number to go on", type=int)
            count = _told(counted)
        said = Acknowledgement(acknowledge or "", confirm, confirm_people, canary)
        changed = service.resume(ctx, workflow_id, said, count=count)
    _say_state(changed)


def _told(counted: int) -> Callable[[Context, str], int]:
    return lambda _context, _workflow_id: counted


def _say_state(changed: Workflow) -> None:
    say(f"{changed.id} is {text(changed.state.value)}")


@click.command("start")
@resuming
def start(**said: Any) -> None:
    """Start an export that was made with --paused, or let it go on."""
    with context() as ctx:
        found = registry.get(ctx.store, said["workflow_id"])
    if found.kind != "export":
        raise registry.NotAllowed(f"{found.id} is an {found.kind}: listbridge workflow resume {found.id}")
    resume(**said)


@click.command("edit")
@click.argument("workflow_id", metavar="ID")
@click.option("--add-audience", "add", multiple=True, metavar="AUDIENCE")
@click.option("--remove-audience", "remove", multiple=True, metavar="AUDIENCE", help="Its option stays.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="The audience is called NEW from now on.")
@click.option("--label", "labels", multiple=True, metavar="AUDIENCE=LABEL", help="What the list calls it.")
def edit(
    workflow_id: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    rename: tuple[str, ...],
    labels: tuple[str, ...],
) -> None:
    """Change the audiences of an export, also while it runs."""
    change = Change(add, remove, pairs(rename, "--rename"), pairs(labels, "--label"))
    if not (add or remove or rename or labels):
        raise click.UsageError("nothing to change: see --help")
    with context() as ctx:
        changed = service.edit_export(ctx, workflow_id, change)
    say(f"{changed.id} has the audiences {text(changed.export.audiences)}")
