"""What the last check of an export's list found, as users see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from listbridge.aggregation.kinds import rfc3339
from listbridge.exports import findings
from listbridge.exports.findings import Found, Result, Run
from listbridge.store.store import Store

COLUMNS = ("email", "kind", "reason", "held", "wanted", "done")


def drift(store: Store, list_id: str, sample: int = 0) -> dict[str, Any]:
    """The last result, with up to `sample` people of each kind, and the check that is under way: None for
    none."""
    result, run = findings.result_of(store, list_id), findings.run_of(store, list_id)
    return {
        "result": None if result is None else _result(result) | {"samples": samples(store, list_id, sample)},
        "under_way": None if run is None else _run(run),
    }


def last_check(store: Store, list_id: str) -> dict[str, Any]:
    """In short: when the list was last checked, None for never, and people by kind of drift."""
    found = findings.result_of(store, list_id)
    if found is None:
        return {"list_checked": None, "drift": None}
    outcome: Any = found.problem or found.drift or "none"
    return {"list_checked": rfc3339(found.finished_at), "drift": outcome}


def _result(result: Result) -> dict[str, Any]:
    return {
        "started_at": rfc3339(result.started_at),
        "finished_at": rfc3339(result.finished_at),
        "repair": result.repair,
        "in_list": result.in_list,
        "drift": result.drift,
        "sent_again": result.sent_again,
        "learned": result.learned,
        "calls": result.calls,
        "problem": result.problem,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "started_at": rfc3339(run.started_at),
        "repair": run.repair,
        "read": run.people,
        "calls": run.calls,
        "goes_on_at": rfc3339(run.wake_at) if run.wake_at else None,
    }


def samples(store: Store, list_id: str, count: int) -> dict[str, list[dict[str, Any]]]:
    """Up to `count` rows of each kind of drift."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(store, list_id) if count else ():
        if len(found[row["kind"]]) < count:
            found[row["kind"]].append(row)
    return dict(sorted(found.items()))


def rows(store: Store, list_id: str) -> Iterator[dict[str, Any]]:
    """Everybody whose row was otherwise, with what it held and what it should."""
    for address, each in findings.findings(store, list_id):
        yield {
            "email": address,
            "kind": each.drift.kind.value,
            "reason": each.drift.words,
            "held": {field: list(held) for field, (held, _) in each.drift.differences.items()},
            "wanted": {field: list(wanted) for field, (_, wanted) in each.drift.differences.items()},
            "done": _done(each),
        }


def _done(found: Found) -> str:
    if found.sent_again:
        return "sent again"
    return "state is known now" if found.learned else "reported"
