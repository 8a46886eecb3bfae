"""A workflow's log and its progress, as a user reads them. No e-mail addresses go in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal, cast

from redis.client import Pipeline

from listbridge.store import keys
from listbridge.store.store import Store, now_ms

logger = logging.getLogger(__name__)

KEPT_LINES = 2000

Level = Literal["info", "warning", "error"]


def write(store: Store, workflow_id: str, message: str, *, level: Level = "info") -> None:
    """Add a line; the newest `KEPT_LINES` are kept."""
    logger.log(logging.getLevelNamesMapping()[level.upper()], "%s: %s", workflow_id, message)
    line: dict[Any, Any] = {"at": now_ms(), "level": level, "message": message}
    pipe = store.client.pipeline(transaction=False)
    pipe.xadd(keys.log(workflow_id), line, maxlen=KEPT_LINES, approximate=True)
    _execute(pipe, store, workflow_id, keys.log(workflow_id))


def read(store: Store, workflow_id: str, count: int = 100) -> list[dict[str, object]]:
    """The newest lines, oldest first: `{"at" (epoch ms), "level", "message"}`."""
    raw = cast(
        list[tuple[bytes, dict[bytes, bytes]]], store.client.xrevrange(keys.log(workflow_id), count=count)
    )
    return [
        {"at": int(f[b"at"]), "level": f[b"level"].decode(), "message": f[b"message"].decode()}
        for _, f in reversed(raw)
    ]


def count(store: Store, workflow_id: str, counters: Mapping[str, int]) -> None:
    """Add to the progress counters. They inform; nothing is decided by them."""
    pipe = store.client.pipeline(transaction=False)
    for name, amount in counters.items():
        if amount:
            pipe.hincrby(keys.progress(workflow_id), name, amount)
    if len(pipe):
        _execute(pipe, store, workflow_id, keys.progress(workflow_id))


def _execute(pipe: Pipeline, store: Store, workflow_id: str, written: str) -> None:
    """Write; what was written about a workflow that has been deleted since goes away again."""
    pipe.exists(keys.workflow(workflow_id))
    if not pipe.execute()[-1]:
        store.client.delete(written)


def progress(store: Store, workflow_id: str) -> dict[str, int]:
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.progress(workflow_id)))
    return {name.decode(): int(value) for name, value in sorted(held.items())}
