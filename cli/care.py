"""`import confirm-zone` and `import rotate-token`: what a running import needs a person for."""

from __future__ import annotations

import click

from cli.output import say
from cli.runtime import context
from listbridge.workflows import care


@click.command("confirm-zone")
@click.argument("workflow_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Take the zone that was found, without typing it.")
@click.option("--zone", help="The zone, in the place of typing it.")
def confirm_zone(workflow_id: str, yes: bool, zone: str | None) -> None:
    """Confirm that the client's time zone was changed on purpose; its imports go on."""
    with context() as ctx:
        old, new = care.zone_to_confirm(ctx, workflow_id)
        say(f"The client's times were read by {old}; its zone was found to be {new}.")
        typed = new if yes else zone or click.prompt("Type the zone by which they are to be read", type=str)
        changed = care.confirm_zone(ctx, workflow_id, typed)
    say(f"{', '.join(each.id for each in changed)}: times are read by {typed} from now on")


@click.command("rotate-token")
@click.argument("workflow_id", metavar="ID")
def rotate_token(workflow_id: str) -> None:
    """Give an import's webhooks another token; no delivery is lost.

    The old one stays good until every webhook was replaced, and for an hour after that.
    """
    with context() as ctx:
        changed = care.rotate_token(ctx, workflow_id)
    say(f"{changed.id} is {changed.state.value}: its next run replaces the webhooks, then the old token ends")
