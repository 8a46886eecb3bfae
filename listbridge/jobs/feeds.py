"""How an export stands as a feed of its list at a moment: what of it counts, and what holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from listbridge import authorizations
from listbridge.aggregation.kinds import rfc3339
from listbridge.backup.waking import restored_at
from listbridge.context import Context
from listbridge.exports.brakes import LEAVING, NEW, REFUSED, UNSUBSCRIBED, Limits
from listbridge.exports.setup import setup_of
from listbridge.exports.terms import OPTED_IN_FIELD
from listbridge.exports.values import lookup
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.systems import system_of
from listbridge.workflows import registry
from listbridge.workflows.models import ACTIVE, State, Workflow
from listbridge.workflows.quiet import quiet_until

MAX_AHEAD_MS = 5 * 60_000
"""An opt-in that claims to be later than this would outlast every opt-out."""


def awake(store: Store, workflow: Workflow) -> Workflow:
    """An export as it stands now: woken when its sleep is over, put to rest in its quiet hours."""
    now = now_ms()
    if workflow.state is State.SLEEPING and workflow.wake_at <= now:
        registry.wake(store, workflow.id)
        workflow = msgspec.structs.replace(workflow, state=State.RUNNING)
    until = quiet_until(workflow.export.quiet_hours, now)
    if workflow.state is State.RUNNING and until is not None:
        registry.rest(store, workflow.id, until, f"quiet hours until {rfc3339(until)}")
        workflow = msgspec.structs.replace(workflow, state=State.SLEEPING, wake_at=until)
    return workflow


def delivers(workflow: Workflow, now: int) -> bool:
    """Does the export have a say in what the list holds? If not, its labels stay as they are."""
    return workflow.state in ACTIVE and quiet_until(workflow.export.quiet_hours, now) is None


def is_stale(context: Context, workflow: Workflow, now: int) -> bool:
    """Was nothing heard for too long of who opted out, neither by a webhook nor by an import?

    Without an address for webhooks it is always heard too late, and while another time zone of the client
    waits to be confirmed nobody knows when it was.
    """
    export = workflow.export
    if export.resubscribe == "never":
        return False
    if not context.settings.public_url:
        return True
    oldest = max(now - export.opt_out_feed_minutes * 60_000, restored_at(context.store))
    try:
        found = authorizations.get(context.store, workflow.authorization_id)
    except authorizations.NoSuchAuthorization:
        return True  # a delivery tells of it in words
    system = system_of(found)
    _, unconfirmed = system.zones(context.store, export.client_id)
    told = int(cast(bytes | None, context.store.client.get(keys.told(export.list_id))) or 0)
    heard_at = max(told, system.opt_outs_read_at(context.store, export.client_id, export.list_id))
    return bool(unconfirmed) or heard_at < oldest


def basis(context: Context, feeds: Sequence[Workflow]) -> str:
    """What the decisions for a list depend on: its exports, which of them deliver, their audiences, and
    which of them bring nobody back for now."""
    now = now_ms()
    return " ".join(
        f"{each.id}{'' if delivers(each, now) else '-'}{'~' if is_stale(context, each, now) else ''}"
        f":{_digest(each)}"
        for each in feeds
    )


def is_otherwise(context: Context, list_id: str, workflows: Sequence[Workflow]) -> bool:
    """Do the decisions for a list depend on something else by now than at the last delivery?"""
    held = setup_of(context.store, list_id)
    return held is not None and held.feeds != basis(context, registry.feeding(workflows, list_id))


def _digest(workflow: Workflow) -> str:
    text = msgspec.json.encode([workflow.export.audiences, workflow.edits, workflow.confirmed_at])
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def limits_of(workflow: Workflow, now: int) -> Limits:
    """The limits of an export, without those that a person has released."""
    export = workflow.export
    brakes = export.brakes
    shares = {LEAVING: brakes.leaving, UNSUBSCRIBED: brakes.unsubscribed, REFUSED: brakes.refused}
    off = {kind for kind, until in workflow.released.items() if until > now}
    return Limits(
        shares={kind: share for kind, share in shares.items() if share is not None and kind not in off},
        least_people=brakes.least_people,
        new=None if NEW in off else export.max_new_subscribers,
        canary=workflow.canary,
        canary_since=workflow.canary_since,
    )


def opt_ins_of(feeds: Sequence[Workflow], fields: Mapping[str, Any], now: int) -> dict[str, int]:
    """The opt-in times (epoch ms) in the fields that exports name, beside the events' own."""
    names = {each.export.opted_in_field for each in feeds} - {OPTED_IN_FIELD}
    found = {name: as_moment(lookup(fields, name)) for name in names}
    return {name: at for name, at in found.items() if at is not None and at <= now + MAX_AHEAD_MS}


def as_moment(value: Any) -> int | None:
    """Epoch milliseconds of an RFC 3339 time, or of a number that is them; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    if value.isascii() and value.isdigit():
        return int(value) if len(value) <= 15 else None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return int(at.astimezone(UTC).timestamp() * 1000) if at.tzinfo is not None else None
