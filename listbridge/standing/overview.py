"""Everything at once, for one screen."""

from __future__ import annotations

from typing import Any, cast

from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.standing.accounts import AccountStanding, accounts_standing
from listbridge.standing.exports import opt_out_lag
from listbridge.standing.lists import standing_of
from listbridge.standing.streams import streams_standing
from listbridge.store.store import Store, now_ms
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow

ERRORS_SHOWN = 5
LINES_LOOKED_AT = 200
"""The newest lines of each workflow's log among which warnings and errors are looked for."""


def overview(context: Context) -> dict[str, Any]:
    """Store, streams, accounts, workflows, the newest errors; times RFC 3339, durations in seconds."""
    now, store = now_ms(), context.store
    streams = streams_standing(store)
    workflows = registry.list_all(store)
    return {
        "store": _store(store),
        "opt_out_lag_seconds": round(opt_out_lag(streams, now), 1),
        "streams": [
            {
                "stream": each.stream,
                "accepted": each.accepted,
                "waiting": each.waiting,
                "fold_lag_seconds": round(each.lag_seconds(now), 1),
                "quarantined": each.quarantined,
            }
            for each in streams
        ],
        "accounts": [_account(each) for each in accounts_standing(context)],
        "workflows": [_workflow(store, each, now) for each in workflows],
        "errors": _errors(store, workflows),
    }


def _store(store: Store) -> dict[str, Any]:
    infos = [server.info() for server in store.servers]
    versions = {str(info.get("valkey_version", info.get("redis_version"))) for info in infos}
    return {
        "server": f"{infos[0].get('server_name', 'redis')} {', '.join(sorted(versions))}",
        "servers": len(infos),
        "memory_bytes": sum(int(info.get("used_memory", 0)) for info in infos),
        "append_only": all(info.get("aof_enabled") for info in infos),
        "last_write_ok": all(info.get("aof_last_write_status", "ok") == "ok" for info in infos),
        "people": _people(store),
    }


def _people(store: Store) -> int:
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.hlen(part.profiles)
    return int(sum(pipe.execute()))


def _account(account: AccountStanding) -> dict[str, Any]:
    budget = account.budget
    return {
        "authorization": account.authorization.id,
        "description": account.authorization.description,
        "calls": budget.calls,
        "rate_limited": budget.refused,
        "waited_seconds": round(budget.waited_seconds, 1),
        "calls_per_second": round(budget.calls_per_second, 2),
        "rests_seconds": round(budget.rests_seconds, 1),
    }


def _workflow(store: Store, workflow: Workflow, now: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": workflow.id,
        "kind": workflow.kind,
        "description": workflow.description,
        "state": workflow.state,
        "lag_seconds": None,
        "in_doubt": None,
        "refused": None,
        "time_left_seconds": None,
        "reason": workflow.reason,
    }
    if workflow.kind == "export" and workflow.state is not State.COMPLETED:
        standing = standing_of(store, workflow.export.list_id, now)
        left = standing.backfill.seconds_left if standing.backfill else None
        shown |= {
            "lag_seconds": round(standing.lag_seconds(now), 1),
            "in_doubt": standing.in_doubt,
            "refused": standing.refused,
            "time_left_seconds": None if left is None else round(left),
        }
    return shown


def _errors(store: Store, workflows: list[Workflow]) -> list[dict[str, Any]]:
    """The newest warnings and errors of all workflows, newest first."""
    found = [
        {"at": int(str(line["at"])), "workflow": each.id, "level": line["level"], "message": line["message"]}
        for each in workflows
        for line in log.read(store, each.id, LINES_LOOKED_AT)
        if line["level"] != "info"
    ]
    newest = sorted(found, key=lambda line: -cast(int, line["at"]))[:ERRORS_SHOWN]
    return [line | {"at": rfc3339(cast(int, line["at"]))} for line in newest]
