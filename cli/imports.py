"""`import`: lists, activity and webhooks into the streams; what that costs, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli import choosing
from cli.accounts import authorization_option, client_option
from cli.output import json_option, say, show_fields, show_json, show_rows
from cli.runtime import context
from listbridge.context import Context
from listbridge.jobs.import_plan import ImportPlan, import_to_plan, plan_import, plan_workflow
from listbridge.standing.imports import import_standing
from listbridge.workflows import service
from listbridge.workflows.models import REPORT_NAMES
from listbridge.workflows.schemas import load_import

F = TypeVar("F", bound=Callable[..., Any])

_WHAT = (
    click.option(
        "--list", "lists", multiple=True, metavar="NAME", help="A list's id or name; none means all."
    ),
    client_option,
    authorization_option,
    click.option(
        "--report",
        "reports",
        multiple=True,
        type=click.Choice(REPORT_NAMES),
        help="Only this report, and others that are named; none means all.",
    ),
    click.option("--since", metavar="YYYY-MM-DD", help="Leave out campaigns that were sent before."),
    click.option("--newest-first", is_flag=True, help="Read the newest campaigns first."),
    click.option(
        "--ip-and-coordinates", is_flag=True, help="Keep openers' IP addresses, latitudes and longitudes."
    ),
)


def what_options(command: F) -> F:
    """The options that say what is read."""
    for option in reversed(_WHAT):
        command = option(command)
    return command


def _chosen(
    ctx: Context,
    authorization: str | None,
    client: str | None,
    lists: tuple[str, ...],
    reports: tuple[str, ...],
    options: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The authorization's id and the settings of an import."""
    held, api = choosing.api_of(ctx, authorization)
    chosen = choosing.client_id(api, client)
    config = options | {
        "client_id": chosen,
        "lists": [choosing.list_id(api, chosen, each) for each in lists],
        "reports": list(reports or REPORT_NAMES),
    }
    return held.id, config


@click.group("import")
def import_() -> None:
    """Imports: lists, activity and webhooks into the streams."""


@import_.command("create")
@what_options
@click.option("--description", default="")
@click.option("--keep-updated", is_flag=True, help="Run again and again.")
@click.option("--every-minutes", type=int, default=60, show_default=True)
@click.option("--daily-at", metavar="HH:MM", help="Once a day at this time instead.")
@click.option("--daily-zone", default="UTC", show_default=True, help="Whose clocks that is: Europe/Berlin.")
@click.option("--webhooks/--no-webhooks", default=True, show_default=True)
@click.option("--paused", is_flag=True, help="Don't start yet: see `import plan`, then `import run`.")
@json_option
def create_import(
    lists: tuple[str, ...],
    client: str | None,
    authorization: str | None,
    reports: tuple[str, ...],
    description: str,
    paused: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Create an import and start it."""
    with context() as ctx:
        authorization_id, config = _chosen(ctx, authorization, client, lists, reports, options)
        made = service.create_import(ctx, authorization_id, config, description, paused=paused)
        show_fields(service.shown(ctx, made), as_json=as_json)


@import_.command("plan")
@click.argument("workflow_id", metavar="[ID]", required=False)
@what_options
@json_option
def plan(
    workflow_id: str | None,
    lists: tuple[str, ...],
    client: str | None,
    authorization: str | None,
    reports: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """What a run would cost: pages and calls per report, and the time at the present pace.

    Of the import ID, or of one that these options would make. It reads summaries and statistics, no rows.
    """
    if workflow_id and (lists or client or authorization or reports or any(options.values())):
        raise click.UsageError("give the id of an import, or options for a new one, not both")
    with context() as ctx:
        if workflow_id:
            import_to_plan(ctx, workflow_id)
            made = plan_workflow(ctx, workflow_id)
        else:
            authorization_id, config = _chosen(ctx, authorization, client, lists, reports, options)
            made = plan_import(ctx, authorization_id, load_import(config))
    if as_json:
        show_json(made.shown())
    else:
        _show(made)


def _show(made: ImportPlan) -> None:
    rows = [{"kind": kind} | share for kind, share in made.shown()["kinds"].items()]
    columns = {"kind": "WHAT", "resources": "HOW MANY", "left_alone": "UNCHANGED", "rows": "ROWS"}
    show_rows(rows, columns | {"pages": "CALLS"}, as_json=False, empty="")
    say(
        f"{made.forecast.rows:,} rows in {made.calls:,} calls: about {_duration(made.seconds)} "
        f"at {made.calls_per_second:.1f} calls a second"
    )
    for problem in made.forecast.problems:
        say(f"Can't be read: {problem}")


@import_.command("progress")
@click.argument("workflow_id", metavar="ID")
@json_option
def progress(workflow_id: str, as_json: bool) -> None:
    """How far the run of an import has come: rows, pages, rate and time left."""
    with context() as ctx:
        run = import_standing(ctx, import_to_plan(ctx, workflow_id))
    if as_json:
        show_json(run)
    elif run is None:
        say("It has not run yet.")
    else:
        show_run(run)


def show_run(run: dict[str, Any]) -> None:
    """A table by kind, what is being read, and a line with the pace."""
    rows = [{"kind": kind} | sums for kind, sums in [*run["kinds"].items(), ("total", run["total"])]]
    columns = {"kind": "WHAT", "resources": "TO READ", "done": "DONE", "left_alone": "UNCHANGED"}
    columns |= {"rows": "ROWS", "rows_left": "ROWS LEFT", "pages": "PAGES", "pages_left": "PAGES LEFT"}
    show_rows(rows, columns, as_json=False, empty="")
    for each in run["reading"]:
        say(f"reading {each['name']}: {each['rows']:,} of about {each['rows_expected']:,} rows")
    if run["rows_per_second"] is not None:
        left = run["seconds_left"]
        told = "not all is found yet" if left is None else f"about {_duration(left)} left"
        say(f"{run['rows_per_second']:,.0f} rows a second, {told}")
    for name, problem in run["set_aside"].items():
        say(f"set aside: {name}: {problem}")
    if run["next_run_at"]:
        say(f"goes on at {run['next_run_at']}")


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


@import_.command("run")
@click.argument("workflow_id", metavar="ID")
def run(workflow_id: str) -> None:
    """Run an import now, whatever its schedule; one that runs already goes on."""
    with context() as ctx:
        changed = service.run_now(ctx, workflow_id)
    say(f"{changed.id} is {changed.state.value}; a worker takes it up within seconds")
