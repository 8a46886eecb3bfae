"""What people do with workflows: the HTTP API and the command line call the same functions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from marshmallow import ValidationError

from listbridge import authorizations
from listbridge.aggregation.kinds import rfc3339
from listbridge.authorizations import Authorization
from listbridge.backup.waking import is_checked, restored_at
from listbridge.context import Context
from listbridge.errors import Fatal, Retriable
from listbridge.exports import ledger
from listbridge.exports.setup import prepare_again, setup_of
from listbridge.jobs.plan import export_to_plan, plan_export
from listbridge.jobs.pull import lease_of
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.systems import never, system_of
from listbridge.workflows import log, registry
from listbridge.workflows.editing import Change, edited
from listbridge.workflows.holds import (
    NOT_CONFIRMED,
    NOT_READ,
    NOTHING_SAID,
    PEOPLE,
    RESTORED,
    Acknowledgement,
    NotConfirmed,
    accept,
    how_to_go_on,
)
from listbridge.workflows.models import ACTIVE, ExportConfig, State, Workflow
from listbridge.workflows.schemas import load_export, load_import

logger = logging.getLogger(__name__)

RUN_END_SECONDS = 40.0
"""A little longer than the lease of a run whose worker was killed."""


class AuthorizationInUse(Fatal):
    """A workflow acts with this authorization: delete the workflow first."""


class StillRunning(Retriable):
    """A worker is in the middle of a call: delete the import again in a minute."""


class FieldNameTaken(Fatal):
    """All exports into one list share one audience field: give this one the same field_name."""


def people_to_return(context: Context, workflow_id: str) -> int:
    """How many people who opted out a start would add again, by a plan made now."""
    return plan_export(context, workflow_id).outcomes["returned"]


def create_export(
    context: Context,
    authorization_id: str,
    config: Mapping[str, Any],
    description: str = "",
    *,
    paused: bool = False,
) -> Workflow:
    """Make an export and start it, unless it shall wait `paused` until somebody resumes it.

    One that brings everybody back always waits, until the number of these people is confirmed; one to a list
    that was not read since the store was restored waits as those do that were restored.
    Raises `ValidationError`, `NoSuchAuthorization`, `FieldNameTaken`. An export that unsubscribes reads the
    list's settings first, and raises the other system's problems with that.
    """
    authorization = authorizations.get(context.store, authorization_id)
    export = load_export(config)
    for other in registry.exports_to(context.store, export.list_id):
        if other.export.field_name != export.field_name:
            taken = f"export {other.id} feeds this list's field {other.export.field_name!r}"
            raise FieldNameTaken(f"{taken}; {FieldNameTaken.__doc__}")
        if other.export.mode != export.mode:
            said = f"export {other.id} feeds this list with mode {other.export.mode}; one list has one mode"
            raise ValidationError({"mode": [said]})
        if clash := _clash(other.export.audiences, export.audiences):
            raise ValidationError({"labels": [f"export {other.id} labels {clash}"]})
    _check_unsubscribing(context, authorization, export)
    more = {"waits_for": PEOPLE, "reason": NOT_CONFIRMED} if export.resubscribe == "always" else {}
    if not more and _waits_to_be_read(context, export.list_id):
        more = {"waits_for": RESTORED, "reason": NOT_READ}
    made = registry.create(
        context.store,
        kind="export",
        authorization_id=authorization_id,
        config=export,
        description=description,
        paused=paused or bool(more),
        **more,
    )
    ledger.rewind(context.store, export.list_id)
    return made


def _waits_to_be_read(context: Context, list_id: str) -> bool:
    """Has this list to be read first, because the store was restored?

    Not where an export has delivered since: that had it read, and what was found is kept for a month only.
    """
    store, setup = context.store, setup_of(context.store, list_id)
    if setup is None or is_checked(store, list_id):
        return False
    waiting = any(each.waits_for == RESTORED for each in registry.exports_to(store, list_id))
    return waiting or setup.checked_at < restored_at(store)


def _check_unsubscribing(context: Context, authorization: Authorization, export: ExportConfig) -> None:
    exits, spreads = export.on_exit == "unsubscribe", export.opt_out_scope == "client"
    if not (exits or spreads) or export.unsubscribe_from_all_lists:
        return
    asked = Workflow(
        id="",
        kind="export",
        authorization_id=authorization.id,
        description="",
        config=export,
        state=State.PAUSED,
    )
    if system_of(authorization).list_reader(context, authorization, asked, never).leaving_ends_all():
        said = (
            "who unsubscribes from this list leaves all lists of the client: say unsubscribe_from_all_lists "
            "too, change the list's unsubscribe setting, or choose "
        )
        choice = ("on_exit", "update_field or nothing") if exits else ("opt_out_scope", "list")
        raise ValidationError({choice[0]: [said + choice[1]]})


def create_import(
    context: Context,
    authorization_id: str,
    config: Mapping[str, Any],
    description: str = "",
    *,
    paused: bool = False,
) -> Workflow:
    """Start an import, unless it shall wait `paused`. Raises `ValidationError`, `NoSuchAuthorization`."""
    authorizations.get(context.store, authorization_id)
    return registry.create(
        context.store,
        kind="import",
        authorization_id=authorization_id,
        config=load_import(config),
        description=description,
        paused=paused,
    )


def pause(context: Context, workflow_id: str) -> Workflow:
    return registry.pause(context.store, workflow_id)


def resume(
    context: Context,
    workflow_id: str,
    said: Acknowledgement = NOTHING_SAID,
    *,
    count: Callable[[Context, str], int] = people_to_return,
) -> Workflow:
    """Go on; an export catches up with what changed meanwhile, in the list's field and options too.

    Raises `NotConfirmed` when the workflow waits for a person and `said` is not what it waits for; `count`
    tells how many people a start would bring back.
    """
    held = registry.get(context.store, workflow_id)
    if said.canary is not None and held.kind != "export":
        raise registry.NotAllowed(f"{workflow_id} is an {held.kind}; only exports have a canary")
    if held.kind == "export" and _waits_to_be_read(context, held.export.list_id):
        raise NotConfirmed(
            f"{workflow_id} was restored and knows fewer opt-outs than its list: first have the list read "
            f"(`listbridge export reconcile {workflow_id}`) and see what would be sent "
            f"(`listbridge export plan {workflow_id}`)"
        )
    waiting = held.state is State.PAUSED
    fields = accept(held, said, lambda: count(context, workflow_id)) if waiting or said.canary else {}
    if held.kind == "import":
        authorization = authorizations.get(context.store, held.authorization_id)
        system_of(authorization).look_again(context.store, held.imports.client_id)
    workflow = registry.resume(context.store, workflow_id, **fields)
    if workflow.kind == "export":
        prepare_again(context.store, workflow.export.list_id)
    return _rewound(context, workflow)


def run_now(context: Context, workflow_id: str) -> Workflow:
    """Have an import run at once, whatever its schedule, and visit old mailings too.

    One that runs goes on as it is. Raises `NotAllowed` for an export.
    """
    held = registry.get(context.store, workflow_id)
    if held.kind != "import":
        raise registry.NotAllowed(f"{workflow_id} is an {held.kind}; only imports run, exports always do")
    if held.state is State.RUNNING:
        return held
    return resume(context, workflow_id)


def edit_export(context: Context, workflow_id: str, change: Change) -> Workflow:
    """Change the audiences of an export, whether it runs or not; everybody is looked at again.

    Raises `ValidationError`, `NotAllowed` for what has ended or is no export, `EditedMeanwhile`.
    """
    workflow = export_to_plan(context, workflow_id)
    export, edits = edited(workflow.export, workflow.edits, change, now_ms())
    for other in registry.exports_to(context.store, export.list_id):
        if other.id != workflow_id and (clash := _clash(other.export.audiences, export.audiences)):
            raise ValidationError({"labels": [f"export {other.id} labels {clash}"]})
    changed = registry.redefine(context.store, workflow, export, edits)
    context.store.client.delete(keys.plan(workflow_id))
    log.write(context.store, workflow_id, _told(change))
    return _rewound(context, changed)


def _told(change: Change) -> str:
    renamed = ", ".join(f"{old} is now {new}" for old, new in change.rename.items())
    found = (
        ("added", ", ".join(change.add)),
        ("removed (their options stay, retired)", ", ".join(change.remove)),
        ("renamed", renamed),
        ("labelled", ", ".join(f"{slug} as {label!r}" for slug, label in change.labels.items())),
    )
    return "audiences " + "; ".join(f"{what}: {each}" for what, each in found if each)


def stop(context: Context, workflow_id: str) -> Workflow:
    return _rewound(context, registry.stop(context.store, workflow_id))


def delete_authorization(context: Context, authorization_id: str) -> None:
    """Forget a credential that no workflow uses. Raises `AuthorizationInUse`, `NoSuchAuthorization`."""
    users = [w.id for w in registry.list_all(context.store) if w.authorization_id == authorization_id]
    if users:
        raise AuthorizationInUse(f"used by workflow {', '.join(users)}: delete that first")
    authorizations.delete(context.store, authorization_id)


def delete(context: Context, workflow_id: str) -> None:
    """Stop and forget a workflow, and take away what was made for it alone (an import's webhooks).

    Raises `Retriable` when the system can't be asked just now. When it does not let us any more (the
    credential was revoked, the client is gone), its webhooks stay there and are refused here.
    """
    workflow = registry.get(context.store, workflow_id)
    if workflow.state in ACTIVE:
        registry.stop(context.store, workflow_id)
    if workflow.kind == "import":
        _await_end(context, workflow_id)
        try:
            authorization = authorizations.get(context.store, workflow.authorization_id)
            system_of(authorization).source(context, authorization, workflow, never).close()
        except Fatal as problem:
            logger.warning("the webhooks of %s could not be taken away: %s", workflow_id, problem)
            context.store.client.delete(keys.receiver(workflow_id))
    registry.delete(context.store, workflow_id)
    _rewound(context, workflow)


def _await_end(context: Context, workflow_id: str) -> None:
    """Wait until no worker runs the import any more: it could make a webhook that was just taken away."""
    deadline = time.monotonic() + RUN_END_SECONDS
    while context.store.client.exists(keys.lease(lease_of(workflow_id))):
        if time.monotonic() > deadline:
            raise StillRunning(f"the run of import {workflow_id} has not ended; {StillRunning.__doc__}")
        time.sleep(0.1)


def _rewound(context: Context, workflow: Workflow) -> Workflow:
    """Have the exports into the list look at everybody again: whose field it is has changed."""
    if workflow.kind == "export":
        ledger.rewind(context.store, workflow.export.list_id)
    return workflow


def _clash(held: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """An audience that two exports into one list would label differently, or a label of two audiences."""
    for slug, label in wanted.items():
        if slug in held and held[slug] != label:
            return f"{slug} {held[slug]!r}"
        if slug not in held and label in held.values():
            return f"another audience {label!r}"
    return ""


def shown(context: Context, workflow: Workflow) -> dict[str, Any]:
    """A workflow as users see it: its definition, state, progress."""
    return {
        "id": workflow.id,
        "kind": workflow.kind,
        "description": workflow.description,
        "authorization_id": workflow.authorization_id,
        "state": workflow.state,
        "reason": workflow.reason,
        "created_at": rfc3339(workflow.created_at),
        "waits_for": workflow.waits_for,
        "how_to_go_on": how_to_go_on(workflow),
        "canary": workflow.canary or None,
        "wake_at": rfc3339(workflow.wake_at) if workflow.state is State.SLEEPING else None,
        "config": msgspec.to_builtins(workflow.config),
        "progress": log.progress(context.store, workflow.id),
    }
