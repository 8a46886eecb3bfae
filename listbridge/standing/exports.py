"""How an export stands: its list, its counters, and how soon opt-outs are heeded."""

from __future__ import annotations

from typing import Any

from listbridge import authorizations
from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.standing import lists
from listbridge.standing.rejections import by_code
from listbridge.standing.streams import StreamStanding, streams_standing
from listbridge.store.store import now_ms
from listbridge.streams.schemas import CM_ACTIVITY, CM_USER
from listbridge.systems import system_of
from listbridge.workflows import service
from listbridge.workflows.models import Workflow

OPT_OUT_STREAMS = frozenset({CM_USER, CM_ACTIVITY})
"""The streams that opt-outs come in."""


def export_standing(context: Context, workflow: Workflow) -> dict[str, Any]:
    """What there is to see of an export beside its definition.

    `opt_out_lag_seconds`: for how long the oldest opt-out that reached us may have waited to be heeded.
    `opt_outs_read_at`: when an import last read all who left the list; None for never.
    """
    now = now_ms()
    read_at = opt_outs_read_at(context, workflow)
    standing = lists.standing_of(context.store, workflow.export.list_id, now)
    return lists.shown(standing, now) | {
        "opt_out_lag_seconds": round(opt_out_lag(streams_standing(context.store), now), 1),
        "opt_outs_read_at": rfc3339(read_at) if read_at else None,
    }


def shown(context: Context, workflow: Workflow) -> dict[str, Any]:
    """A workflow as users see it, an export's `standing` with it."""
    found = service.shown(context, workflow)
    if workflow.kind == "export":
        found["standing"] = export_standing(context, workflow)
    return found


def refused_now(context: Context, workflow: Workflow) -> dict[str, int]:
    """How many the list refuses now, by code; every refusal is read for it."""
    return by_code(context.store, workflow.export.list_id)


def opt_outs_read_at(context: Context, workflow: Workflow) -> int | None:
    """As of when an import last read all who left the export's list (epoch ms); None for never."""
    system = system_of(authorizations.get(context.store, workflow.authorization_id))
    export = workflow.export
    return system.opt_outs_read_at(context.store, export.client_id, export.list_id) or None


def opt_out_lag(streams: list[StreamStanding], now: int) -> float:
    """Seconds that the oldest event of a stream with opt-outs has waited to be folded."""
    return max((each.lag_seconds(now) for each in streams if each.stream in OPT_OUT_STREAMS), default=0.0)
