"""Live progress: the present step, and how far imports, deliveries and calls have come."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis
from rich.console import Console
from rich.status import Status

from listbridge.store.store import Store
from listbridge.workflows import log, registry

EVERY_SECONDS = 0.3


class Ticker:
    """Prints each step as it begins, and keeps a line of counts under it."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._step = "starting"

    def step(self, text: str) -> None:
        """A new step of the story."""
        self._step = text
        self._console.print(f"- {text}", soft_wrap=True)
        self._status.update(text)

    @contextmanager
    def watching(self, store: Store) -> Iterator[None]:
        """Keep the counts up to date for the duration of the block."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(EVERY_SECONDS):
                # The story itself tells when the store is gone.
                with suppress(redis.RedisError):
                    self._status.update(f"{self._step}\n  {_counts(store)}")

        thread = threading.Thread(target=watch, name="ticker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _counts(store: Store) -> str:
    done: Counter[str] = Counter()
    for workflow in registry.list_all(store):
        done.update(log.progress(store, workflow.id))
    people = sum(store.client.hlen(part.profiles) for part in store.parts)
    return (
        f"[dim]{done['rows']:,} rows imported, {people:,} profiles, {done['delivered']:,} rows delivered, "
        f"{done['refused']:,} refused, {done['api_calls']:,} API calls[/]"
    )
