"""Pull: from resource to page to events, over any Source.

Events are appended before the position moves, and appending again what was appended changes
nothing; so a run that is stopped anywhere goes on from its last step.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import cast

from listbridge.errors import Skippable
from listbridge.imports.protocol import Batch, Resource, Source
from listbridge.store import keys
from listbridge.store.store import Store
from listbridge.streams.events import Counts
from listbridge.streams.log import append, quarantine


@dataclass(slots=True)
class PullResult:
    """What a run did; `skipped` are resources that the system would not give, with its words."""

    resources: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    skipped: tuple[str, ...] = ()


class Puller:
    """Reads all of a source. `on_batch` gets each step's counts: for progress, and to ring for a fold."""

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        stop: Callable[[], bool],
        on_batch: Callable[[Resource, Batch, Counts], None],
        in_flight: int = 1,
    ) -> None:
        self._store = store
        self._source = source
        self._stop = stop
        self._on_batch = on_batch
        self._in_flight = in_flight
        self._lock = Lock()

    def run(self) -> PullResult:
        """Read everything on to its end, or until `stop`. Raises `Fatal` and `Retriable` of the source."""
        result = PullResult()
        resources = self._source.resources(positions(self._store, self._source.account))
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="pull") as pool:
            futures = [pool.submit(self._read, resource, result) for resource in resources]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        return result

    def _read(self, resource: Resource, result: PullResult) -> None:
        if self._stop():
            return
        try:
            for batch in self._source.read(resource):
                counts = append(self._store, batch.events)
                counts.add(quarantine(self._store, batch.unreadable))
                save_position(self._store, self._source.account, resource, batch.position)
                with self._lock:
                    result.rows += batch.rows
                    result.accepted += counts.accepted
                    result.duplicates += counts.duplicates
                    result.quarantined += counts.quarantined
                    self._on_batch(resource, batch, counts)
                if self._stop():
                    return
        except Skippable as error:
            with self._lock:
                result.skipped += (f"{resource.name}: {error}",)
        with self._lock:
            result.resources += 1


def positions(store: Store, account: str) -> dict[str, str]:
    """How far each resource of the account has been read, by cursor name."""
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.cursors(account)))
    return {name.decode(): position.decode() for name, position in held.items()}


def save_position(store: Store, account: str, resource: Resource, position: str) -> None:
    store.client.hset(keys.cursors(account), mapping=dict.fromkeys(resource.cursors, position))
