"""Ringing the workers through Celery, in the background.

Publishing to a broker that is down takes seconds before it fails. What a bell is rung for is stored
already, so no request waits for it: one thread publishes, and what it can't is found by the sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from queue import SimpleQueue
from threading import Thread
from types import ModuleType
from typing import Any

from webhooks.wiring import Bells, ring

Bell = Callable[..., object]


def celery_bells() -> Bells:
    """Bells that send the tasks of `workers.tasks`; the process's settings say to which broker."""
    return Bells(
        _in_background(_fold), _in_background(_deliver), _in_background(_pull), _in_background(_plan)
    )


def _in_background(bell: Bell) -> Bell:
    return lambda *args: waiting().put((bell, args))


@lru_cache(maxsize=1)
def waiting() -> SimpleQueue[tuple[Bell, tuple[Any, ...]]]:
    """The bells to ring, by a thread that doesn't keep the process from ending."""
    queue: SimpleQueue[tuple[Bell, tuple[Any, ...]]] = SimpleQueue()
    Thread(target=_ring_all, args=(queue,), name="bells", daemon=True).start()
    return queue


def _ring_all(queue: SimpleQueue[tuple[Bell, tuple[Any, ...]]]) -> None:
    while True:
        bell, args = queue.get()
        ring(bell, *args)


def _fold() -> None:
    _tasks().fold.apply_async(retry=False)


def _deliver(list_id: str) -> None:
    _tasks().ring_deliver(list_id)


def _pull(workflow_id: str) -> None:
    _tasks().pull.apply_async((workflow_id,), retry=False)


def _plan(workflow_id: str) -> None:
    _tasks().plan.apply_async((workflow_id,), retry=False)


def _tasks() -> ModuleType:
    """The tasks, once `workers.app` has made its app the one that sends them, whichever the thread."""
    import workers.app
    import workers.tasks

    return workers.tasks
