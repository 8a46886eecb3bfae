"""What a restored store may do: nothing, until a person has seen how the lists stand."""

from __future__ import annotations

from typing import cast

from listbridge.aggregation.kinds import rfc3339
from listbridge.exports import findings
from listbridge.exports.setup import setup_of
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.workflows import registry
from listbridge.workflows.holds import RESTORED
from listbridge.workflows.models import State

NOT_ENDED = frozenset(State) - {State.COMPLETED}


def put_to_rest(store: Store, taken_at: int) -> list[str]:
    """Pause every workflow until somebody says that they know of the restore; -> their ids. Repeatable."""
    store.client.hset(keys.META, mapping={"restored_at": now_ms(), "backup_at": taken_at})
    for pattern in keys.PASSING:
        for name in store.client.scan_iter(match=pattern, count=1000):
            store.client.delete(name)
    waiting = [each for each in registry.list_all(store) if each.state is not State.COMPLETED]
    for workflow in waiting:
        before = f"was {workflow.state}" + (f" ({workflow.reason})" if workflow.reason else "")
        reason = f"restored from a backup of {rfc3339(taken_at)}; {before}"
        registry.hold(store, workflow.id, RESTORED, reason, from_=NOT_ENDED)
    return [each.id for each in waiting]


def restored_at(store: Store) -> int:
    """When the store was restored (epoch ms); 0 if it never was."""
    return int(cast(bytes | None, store.client.hget(keys.META, "restored_at")) or 0)


def is_checked(store: Store, list_id: str) -> bool:
    """Was the list read, in all its states, since the store was restored? One that was told nothing needs
    no reading."""
    setup = setup_of(store, list_id)
    if setup is None or setup.adopting:
        return True
    last = findings.result_of(store, list_id)
    return last is not None and not last.problem and last.started_at >= restored_at(store)
