"""`up` and `simulate`: run things until Ctrl-C."""

from __future__ import annotations

import click

from cli.processes import Supervisor, stop_requested
from cli.runtime import errors, settings
from cli.services import held_port, local_url, services, store_of
from listbridge.context import build


@click.command()
def up() -> None:
    """Start everything that one machine needs and keep it running until Ctrl-C."""
    held = settings()
    with stop_requested() as until, held_port(held), store_of(held) as filled:
        build(filled, filled.redis_url)  # refuse to start on a store or a mapping that does not fit
        errors.print(f"listbridge is starting; the HTTP side will be at {local_url(filled)}")
        if not held.api_tokens:
            errors.print("no LISTBRIDGE_API_TOKENS: /v1 will admit nobody (`listbridge init` makes one)")
        Supervisor(services(filled)).run(until)
    errors.print("listbridge has stopped")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def simulate(options: tuple[str, ...]) -> None:
    """Run a simulated Campaign Monitor; `simulate --help` shows its options."""
    from simulator.__main__ import main  # here, because no other command needs a second Flask program

    raise SystemExit(main(list(options)))
