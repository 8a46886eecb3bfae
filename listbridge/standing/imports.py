"""How an import stands: how far its run has come, in total, by kind, and what is being read."""

from __future__ import annotations

from typing import Any

import msgspec

from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.imports.progress import progress_of
from listbridge.standing import exports
from listbridge.store.store import now_ms
from listbridge.workflows.models import State, Workflow

MOST_READ = 50
"""How many of the resources that are being read are shown."""


def import_standing(context: Context, workflow: Workflow) -> dict[str, Any] | None:
    """The present run, or the last one; None before the first. No rate is told unless one is running."""
    found = progress_of(context.store, workflow.id, now_ms())
    if found is None:
        return None
    runs = workflow.state is State.RUNNING
    return {
        "total": msgspec.to_builtins(found.total),
        "kinds": msgspec.to_builtins(found.kinds),
        "reading": [
            {"name": each.name, "rows": each.rows, "rows_expected": each.expected, "pages": each.pages}
            for each in found.reading[:MOST_READ]
        ]
        if runs
        else [],
        "rows_per_second": found.rows_per_second if runs else None,
        "seconds_left": found.seconds_left if runs else None,
        "set_aside": found.set_aside,
        "next_run_at": rfc3339(workflow.wake_at) if workflow.state is State.SLEEPING else None,
    }


def shown(context: Context, workflow: Workflow) -> dict[str, Any]:
    """A workflow as users see it: of an import its `run`, of an export its `standing`."""
    found = exports.shown(context, workflow)
    if workflow.kind == "import":
        found["run"] = import_standing(context, workflow)
    return found
