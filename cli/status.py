"""`status`: the store, the streams, the accounts, the workflows and the last errors on one screen."""

from __future__ import annotations

from typing import Any

import click

from cli.output import json_option, say, show_fields, show_json, show_rows
from cli.runtime import context
from listbridge.standing.overview import overview

_STREAMS = {
    "stream": "STREAM",
    "accepted": "EVENTS",
    "waiting": "WAITING",
    "fold_lag_seconds": "LAG S",
    "quarantined": "SET ASIDE",
}
_ACCOUNTS = {
    "authorization": "AUTHORIZATION",
    "description": "DESCRIPTION",
    "calls": "CALLS",
    "rate_limited": "429",
    "waited_seconds": "WAITED S",
    "calls_per_second": "CALLS/S NOW",
    "rests_seconds": "RESTS S",
}
_WORKFLOWS = {
    "id": "ID",
    "kind": "KIND",
    "description": "DESCRIPTION",
    "state": "STATE",
    "lag_seconds": "LAG S",
    "in_doubt": "DOUBT",
    "refused": "REFUSED",
    "time_left_seconds": "LEFT S",
}
_ERRORS = {"at": "AT", "workflow": "WORKFLOW", "level": "LEVEL", "message": "MESSAGE"}


@click.command()
@json_option
def status(as_json: bool) -> None:
    """How everything stands, on one screen."""
    with context() as ctx:
        found = overview(ctx)
    if as_json:
        show_json(found)
        return
    show_fields(found["store"] | {"opt_out_lag_seconds": found["opt_out_lag_seconds"]}, as_json=False)
    _section("Streams", found["streams"], _STREAMS, "")
    _section("Accounts", found["accounts"], _ACCOUNTS, "None: `listbridge authorization add`.")
    _section("Workflows", found["workflows"], _WORKFLOWS, "No workflow yet: `listbridge export create`.")
    for each in found["workflows"]:
        if each["reason"]:
            say(f"{each['id']}: {each['reason']}")
    _section("Last errors", found["errors"], _ERRORS, "None.")


def _section(title: str, rows: list[dict[str, Any]], columns: dict[str, str], empty: str) -> None:
    say(f"\n{title}")
    show_rows(rows, columns, as_json=False, empty=empty)
