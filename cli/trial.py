"""`export try`: one person, sent now, shown beside what the list held, and put back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cli.output import json_option, say, show_json, show_rows
from cli.runtime import context, fail
from listbridge.context import Context
from listbridge.exports.protocol import Listed
from listbridge.jobs.trial import TakeOut, Trial, try_out, undo
from listbridge.workflows.models import ACTIVE

NOTHING_TO_UNDO = (
    "nothing was sent by this command, so nothing was put back. --undo takes back what its own trial sends, "
    "not an earlier one: put that row right in Campaign Monitor, or leave it to export {workflow}"
)
COLUMNS = {"field": "FIELD", "before": "BEFORE", "sent": "SENT", "now": "NOW"}


@click.command("try")
@click.argument("workflow_id", metavar="ID")
@click.argument("email")
@click.option("--undo", "undoes", is_flag=True, help="Put back what the list held before.")
@click.option(
    "--take-out",
    type=click.Choice(["delete", "unsubscribe"]),
    default="delete",
    show_default=True,
    help="How to undo it for somebody who was not in the list.",
)
@json_option
def try_person(workflow_id: str, email: str, undoes: bool, take_out: TakeOut, as_json: bool) -> None:
    """Send one person of an export now, also of a paused one, and show what the list holds.

    Under all rules of a delivery: who would be refused is not sent, and nothing is changed.
    """
    with context() as ctx:
        trial = try_out(ctx, workflow_id, email, for_undo=undoes)
        if not as_json:
            _show(trial)
        if undoes and trial.send is None:
            fail(NOTHING_TO_UNDO.format(workflow=workflow_id))
        undone = _undo(ctx, trial, take_out, asks=not (undoes or as_json)) if _wants(trial, undoes) else None
    if as_json:
        show_json(_as_json(trial) | {"undone": undone})
    elif undone is not None:
        say(_undone_words(trial, undone))


def _wants(trial: Trial, undoes: bool) -> bool:
    return trial.may_be_undone and (undoes or (sys.stdin.isatty() and trial.workflow.state not in ACTIVE))


def _undo(ctx: Context, trial: Trial, take_out: TakeOut, *, asks: bool) -> dict[str, Any] | None:
    if asks and not click.confirm("Put back what the list held before?", default=False):
        return None
    return {"now": _listed(undo(ctx, trial, take_out))}


def _show(trial: Trial) -> None:
    plan = trial.plan
    if trial.send is None:
        code = f" ({plan.code})" if plan.code else ""
        reason = f": {plan.reason}" if plan.reason else ""
        say(f"{plan.address} would be {plan.effect.value}{code}{reason}.")
        say("Nothing was sent, nothing was changed.")
        if trial.before is not None:
            show_rows(_rows(trial), {"field": "FIELD", "before": "THE LIST HOLDS"}, as_json=False, empty="")
        return
    words = f" ({trial.words})" if trial.words else ""
    say(f"{plan.address} was sent, planned as {plan.effect.value}; outcome: {trial.state}{words}")
    show_rows(_rows(trial), COLUMNS, as_json=False, empty="")
    flags = trial.send.flags
    queued = flags.queue_autoresponders or flags.restart_autoresponders
    say(f"Automations {'may start' if queued else 'were left off'}.")
    if flags.resubscribe:
        say("The person was resubscribed, because of an opt-in later than the opt-out.")


def _rows(trial: Trial) -> list[dict[str, Any]]:
    """The state, the name and each field, before, as sent, and now."""
    before, sent, now = _listed(trial.before), _sent(trial), _listed(trial.now)
    names = dict.fromkeys([*before, *sent, *now])
    return [
        {"field": name, "before": before.get(name), "sent": sent.get(name), "now": now.get(name)}
        for name in names
    ]


def _listed(listed: Listed | None) -> dict[str, Any]:
    if listed is None:
        return {"state": "not in the list"}
    values = {key: list(held) for key, held in sorted(listed.values.items())}
    return {"state": listed.status, "name": listed.name, **values}


def _sent(trial: Trial) -> dict[str, Any]:
    if trial.send is None:
        return {}
    row = trial.send.row
    found: dict[str, Any] = {} if row.name is None else {"name": row.name}
    found[trial.field_key] = [*row.options, *row.other_options]
    return found | {key: value if isinstance(value, str) else list(value) for key, value in row.values}


def _as_json(trial: Trial) -> Mapping[str, Any] | Any:
    flags = trial.send.flags if trial.send is not None else None
    return {
        "email": trial.plan.address,
        "planned": trial.plan.effect.value,
        "code": trial.plan.code,
        "reason": trial.plan.reason,
        "outcome": trial.state or "not sent",
        "words": trial.words,
        "before": _listed(trial.before),
        "sent": _sent(trial) if trial.send is not None else None,
        "now": _listed(trial.now),
        "resubscribe": flags.resubscribe if flags else None,
        "queue_autoresponders": flags.queue_autoresponders if flags else None,
    }


def _undone_words(trial: Trial, undone: Mapping[str, Any]) -> str:
    now = undone["now"]
    if trial.before is not None:
        return f"Put back: the list holds what it held before ({now['state']})."
    return (
        f"Taken out again: the list keeps the address as {now['state']}, and takes nobody back from that by "
        "itself. A later delivery refuses this person until they subscribe, or are added in Campaign Monitor."
    )
