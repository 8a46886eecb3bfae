"""Rebuild everybody's profile: all partitions, in several processes, by the mappings active now."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

import redis

from listbridge.archive.errors import StorageError
from listbridge.context import Context, build
from listbridge.mappings.versions import mark_complete
from listbridge.rebuild.errors import EventsMissing, RebuildError
from listbridge.rebuild.partition import PartitionRebuild, Rebuilt
from listbridge.store.lease import Lease
from settings import Settings

LEASE = "rebuild"
LEASE_MS = 30_000
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Rebuild:
    """What a rebuild did, partition by partition, and why it could not do the others."""

    version: int
    """Of the mappings."""
    done: list[Rebuilt] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    """Partition -> why its people stay as they were."""
    complete: bool = False
    """All fields of the mappings count all events now."""


def rebuild(
    context: Context,
    *,
    processes: int = 1,
    skip_unreadable: bool = False,
    on_progress: Callable[[Rebuild], None] = lambda _: None,
) -> Rebuild:
    """Rebuild all partitions. What fails in one is noted, and the others go on.

    Raises `RebuildError` when another rebuild is at work, or when other mappings became active meanwhile.
    """
    lease = Lease(context.store, LEASE, LEASE_MS)
    if not lease.acquire():
        raise RebuildError(
            "another rebuild is at work; wait until it has ended "
            f"(one that was killed is given up after {LEASE_MS // 1000} s)"
        )
    result = Rebuild(context.programs.current(renew=True).version)
    try:
        with lease.kept() as lost:
            for number, outcome in _outcomes(context, processes, skip_unreadable, lost.is_set):
                if isinstance(outcome, str):
                    result.failed[number] = outcome
                else:
                    result.done.append(outcome)
                on_progress(result)
    finally:
        lease.release()
    if context.programs.current(renew=True).version != result.version:
        raise RebuildError("other mappings have become active meanwhile: start the rebuild again")
    whole = not result.failed and not any(each.unreadable or each.left_out for each in result.done)
    if whole:
        numbers = context.programs.current().numbers
        result.complete = mark_complete(context.store, result.version, numbers)
    return result


def _outcomes(
    context: Context, processes: int, skip_unreadable: bool, lost: Callable[[], bool]
) -> Iterator[tuple[int, Rebuilt | str]]:
    numbers = range(context.store.partitions)
    if processes == 1:
        for number in numbers:
            yield number, _one(context, number, skip_unreadable, lost)
        return
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    with ProcessPoolExecutor(processes, spawn, _start, (context.settings, context.redis_url, stop)) as pool:
        waiting = {pool.submit(_one_of_process, number, skip_unreadable): number for number in numbers}
        try:
            for future in _ended(waiting):
                if future is not None:
                    yield waiting[future], _result(future)
                elif lost():
                    stop.set()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def _result(future: Future[Rebuilt | str]) -> Rebuilt | str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "a process of the rebuild was killed, or ran out of memory; start the rebuild again"


def _ended(waiting: Iterable[Future[Rebuilt | str]]) -> Iterator[Future[Rebuilt | str] | None]:
    """The futures as they end, and None now and then: Ctrl-C doesn't interrupt a wait without end, because
    Polars has the signal's handler restart it."""
    pending = set(waiting)
    while pending:
        ended, pending = wait(pending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        yield from ended or [None]


def _one(
    context: Context, number: int, skip_unreadable: bool, stopping: Callable[[], bool] = lambda: False
) -> Rebuilt | str:
    try:
        return PartitionRebuild(
            context.store,
            context.archive,
            context.programs,
            memory_bytes=context.settings.rebuild_memory_mb << 20,
            skip_unreadable=skip_unreadable,
            stopping=stopping,
        ).run(context.store.parts[number])
    except EventsMissing as problem:
        return f"{problem}; mend the files, or rebuild with --skip-unreadable"
    except (RebuildError, StorageError) as problem:
        return str(problem)
    except redis.RedisError as problem:
        return f"the store failed: {type(problem).__name__}: {problem}"


_held: tuple[Context, Event] | None = None
"""What a process of the pool works with, and what tells it to stop."""


def _start(settings: Settings, redis_url: str, stop: Event) -> None:
    """Begin a process of the pool: Ctrl-C is for the parent, which says when to stop."""
    global _held
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    _held = build(settings, redis_url), stop


def _end_with_parent() -> None:
    """A pool doesn't notice that its parent was killed; each of its commits stands by itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _one_of_process(number: int, skip_unreadable: bool) -> Rebuilt | str:
    assert _held is not None
    context, stop = _held
    return _one(context, number, skip_unreadable, stop.is_set)
