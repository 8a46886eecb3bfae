"""The job that archives: when it is due, and one pass of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from listbridge import bells
from listbridge.archive.passes import PassResult, run_pass
from listbridge.context import Context
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.streams.log import totals
from listbridge.streams.schemas import SCHEMAS

BELL = "archive"
MANY_EVENTS = 100_000
"""So many events that wait are archived at once, however short ago the last pass was."""


def is_due(context: Context) -> bool:
    """Is the last pass long enough ago, or do many events wait and the storage works?"""
    store = context.store
    names = ("last_pass", "taken", "error")
    held = cast(list[bytes | None], store.client.hmget(keys.ARCHIVE, list(names)))
    last_pass, taken, error = held
    if now_ms() - int(last_pass or 0) >= context.settings.archive_seconds * 1000:
        return True
    if error:
        return False
    appended = sum(each.appended for stream in SCHEMAS for each in totals(store, stream))
    return appended - int(taken or 0) >= MANY_EVENTS


def archive(context: Context, *, stopping: Callable[[], bool] = lambda: False) -> PassResult:
    """One pass over all streams."""
    bells.clear(context.store, BELL)
    return run_pass(context.archive, context.program.streams, stopping=stopping)
