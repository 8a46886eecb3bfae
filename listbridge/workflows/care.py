"""What people do for running imports: confirm a changed time zone, replace the token of the webhooks."""

from __future__ import annotations

from listbridge import authorizations
from listbridge.context import Context
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.holds import ZONE, NotConfirmed, how_to_go_on
from listbridge.workflows.models import State, Workflow
from listbridge.workflows.registry import NotAllowed

NO_WEBHOOKS = "it makes them when it runs, if it was made with webhooks and LISTBRIDGE_PUBLIC_URL is set"


def zone_to_confirm(context: Context, workflow_id: str) -> tuple[str, str]:
    """The zone by which an import's times are read, and the one that waits to be confirmed.

    Raises `NotAllowed` when it waits for none.
    """
    workflow = _waiting(context, workflow_id)
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).zones(context.store, workflow.imports.client_id)


def confirm_zone(context: Context, workflow_id: str, zone: str) -> list[Workflow]:
    """Read the client's times by the new zone (an IANA name) from now on; -> the imports that go on.

    The old name is right, too, where the zone was set back. Raises `NotAllowed` when the import does not wait
    for that, `NotConfirmed` for another name.
    """
    workflow = _waiting(context, workflow_id)
    authorization = authorizations.get(context.store, workflow.authorization_id)
    client_id = workflow.imports.client_id
    old, new = zone_to_confirm(context, workflow_id)
    if zone not in (old, new):
        raise NotConfirmed(
            f"{zone!r} is not the zone that was found: confirm {new} if the change was made on purpose "
            f"({how_to_go_on(workflow)}), or {old} once it is set back"
        )
    system_of(authorization).confirm_zone(context.store, client_id, zone)
    waiting = [w for w in registry.list_all(context.store, "import") if w.waits_for == ZONE]
    changed = [
        registry.resume(context.store, each.id, waits_for="")
        for each in waiting
        if each.imports.client_id == client_id and each.state is State.PAUSED
    ]
    for each in changed:
        log.write(context.store, each.id, f"times are read by {zone} from now on, as a person confirmed")
    return changed


def _waiting(context: Context, workflow_id: str) -> Workflow:
    workflow = registry.get(context.store, workflow_id)
    if workflow.kind != "import" or workflow.waits_for != ZONE:
        raise NotAllowed(f"{workflow_id} does not wait for a time zone to be confirmed")
    return workflow


def rotate_token(context: Context, workflow_id: str) -> Workflow:
    """Give an import's webhooks another token, and have it run to replace them, unless it is held.

    The old token stays good until every list's webhook was replaced, and for a grace after that. Raises
    `NotAllowed` for an export, and where there are no webhooks.
    """
    workflow = registry.get(context.store, workflow_id)
    if workflow.kind != "import":
        raise NotAllowed(f"{workflow_id} is an {workflow.kind}; only imports have webhooks")
    authorization = authorizations.get(context.store, workflow.authorization_id)
    if not system_of(authorization).rotate_token(context, workflow_id):
        raise NotAllowed(f"import {workflow_id} has no webhooks; {NO_WEBHOOKS}")
    log.write(context.store, workflow_id, "the webhooks get another token: the next run replaces them")
    if workflow.state in (State.SLEEPING, State.COMPLETED):
        return registry.resume(context.store, workflow_id)
    return workflow
