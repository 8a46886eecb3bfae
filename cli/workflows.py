"""`export`, `import`, `workflow`: what is kept in step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli import choosing
from cli.accounts import authorization_option, client_option
from cli.care import confirm_zone, rotate_token
from cli.drift import reconcile
from cli.export_options import config_of, export_options
from cli.holding import edit, holding_config, holding_options, resume, resuming, start
from cli.imports import import_, show_run
from cli.outcomes import rejections, remove, retry, status, why
from cli.output import json_option, say, show_fields, show_rows, text
from cli.plans import plan
from cli.runtime import context
from cli.trial import try_person
from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.exports.ledger import dropped_of
from listbridge.standing.imports import shown as standing_shown
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import Workflow

COLUMNS = {
    "id": "ID",
    "kind": "KIND",
    "state": "STATE",
    "description": "DESCRIPTION",
    "reason": "REASON",
    "progress": "PROGRESS",
}


def _show(ctx: Context, workflow: Workflow, as_json: bool) -> None:
    found = standing_shown(ctx, workflow)
    if as_json:
        show_fields(found, as_json=True)
        return
    run = found.pop("run", None)
    show_fields(found, as_json=False)
    if run:
        show_run(run)


@click.group()
def export() -> None:
    """Exports: audience membership into a list."""


for command in (plan, try_person, start, edit, reconcile):
    export.add_command(command)


for command in (confirm_zone, rotate_token):
    import_.add_command(command)


@export.command("create")
@client_option
@authorization_option
@click.option("--description", default="")
@export_options
@holding_options
@click.option("--paused", is_flag=True, help="Don't start yet: see `export plan`, then `workflow resume`.")
@json_option
def create_export(
    list_: str | None,
    client: str | None,
    authorization: str | None,
    description: str,
    config_file: Path | None,
    brakes: tuple[str, ...],
    brake_least_people: int | None,
    quiet_hours: str | None,
    quiet_zone: str | None,
    paused: bool,
    as_json: bool,
    no_reconcile: bool,
    **options: Any,
) -> None:
    """Create an export and start it."""
    config = config_of(config_file, **options)
    if no_reconcile:
        config["reconcile_every"] = None
    config = holding_config(config, brakes, brake_least_people, quiet_hours, quiet_zone)
    wanted = list_ or config.get("list_id")
    if not isinstance(wanted, str):
        raise click.UsageError("say which list with --list, or in --config")
    with context() as ctx:
        held, api = choosing.api_of(ctx, authorization)
        chosen = choosing.client_id(api, client or config.get("client_id"))
        config |= {"client_id": chosen, "list_id": choosing.list_id(api, chosen, wanted)}
        made = service.create_export(ctx, held.id, config, description, paused=paused)
        _show(ctx, made, as_json)


@export.command("dropped")
@click.argument("workflow_id", metavar="ID")
@json_option
def dropped(workflow_id: str, as_json: bool) -> None:
    """Whose values the list's fields can't take, and why: they were left out, the rest was sent."""
    with context() as ctx:
        held = dropped_of(ctx.store, _of_kind(ctx, workflow_id, "export").export.list_id)
    rows = [
        {"key": key, "field": field, "reason": reason}
        for key, values in sorted(held.items())
        for field, reason in values
    ]
    columns = {"key": "PERSON", "field": "FIELD", "reason": "WHY"}
    show_rows(rows, columns, as_json=as_json, empty="No value was left out.")


@click.group()
def workflow() -> None:
    """Exports and imports together."""


@workflow.command("list")
@json_option
def list_workflows(as_json: bool) -> None:
    """All workflows with their state and progress."""
    with context() as ctx:
        rows = [service.shown(ctx, each) for each in registry.list_all(ctx.store)]
    show_rows(rows, COLUMNS, as_json=as_json, empty="No workflow yet: `listbridge export create`.")


def _of_kind(ctx: Context, workflow_id: str, kind: str | None) -> Workflow:
    found = registry.get(ctx.store, workflow_id)
    if kind not in (None, found.kind):
        raise registry.NotAllowed(f"{workflow_id} is an {found.kind}; this is for an {kind}")
    return found


for command in (why, rejections, retry, remove, status):
    export.add_command(command)


def _showing(kind: str | None) -> Callable[[str, bool], None]:
    def show(workflow_id: str, as_json: bool) -> None:
        with context() as ctx:
            _show(ctx, _of_kind(ctx, workflow_id, kind), as_json)

    show.__doc__ = f"How an {kind} stands." if kind else "How a workflow stands."
    return show


for group, kind in ((export, "export"), (import_, "import"), (workflow, None)):
    group.command("show")(click.argument("workflow_id", metavar="ID")(json_option(_showing(kind))))


@workflow.command("log")
@click.argument("workflow_id", metavar="ID")
@click.option(
    "--lines", type=click.IntRange(1, 2000), default=50, show_default=True, help="How many of the newest."
)
@json_option
def show_log(workflow_id: str, lines: int, as_json: bool) -> None:
    """What a workflow did, newest last."""
    with context() as ctx:
        registry.get(ctx.store, workflow_id)
        rows = [row | {"at": rfc3339(int(str(row["at"])))} for row in log.read(ctx.store, workflow_id, lines)]
    columns = {"at": "AT", "level": "LEVEL", "message": "MESSAGE"}
    show_rows(rows, columns, as_json=as_json, empty="Nothing yet.")


def _acting(action: Callable[[Context, str], Workflow], doc: str) -> Callable[[str], None]:
    def act(workflow_id: str) -> None:
        with context() as ctx:
            changed = action(ctx, workflow_id)
        say(f"{changed.id} is {text(changed.state.value)}")

    act.__doc__ = doc
    return act


for name, action, doc in (
    ("pause", service.pause, "Stop for now; what changes meanwhile is caught up with later."),
    ("stop", service.stop, "End it for good; what was written stays."),
):
    workflow.command(name)(click.argument("workflow_id", metavar="ID")(_acting(action, doc)))


@workflow.command("resume")
@resuming
def resume_workflow(**said: Any) -> None:
    """Go on after a pause or a failure, or run an import now; say what it waits for, if it does."""
    resume(**said)


@workflow.command("delete")
@click.argument("workflow_id", metavar="ID")
def delete(workflow_id: str) -> None:
    """Stop and forget a workflow; an import's webhooks are taken away."""
    with context() as ctx:
        service.delete(ctx, workflow_id)
    say(f"{workflow_id} is deleted")
