"""Pull: from resource to page to events, over any Source.

Events are appended before the position moves, and appending again what was appended changes
nothing; so a run that is stopped anywhere goes on from its last step. A resource that was read to
its end is marked with the time, so that a run that goes on doesn't begin with it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import cast

from listbridge.errors import Skippable
from listbridge.imports.protocol import Batch, Resource, Source
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
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


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a resource has been read, and when its end was reached last (epoch ms; 0: never).

    `complete_from` is when the last reading began that reached the end; it stays while another goes on.
    """

    position: str
    finished_at: int = 0
    complete_from: int = 0


class Puller:
    """Reads all of a source but what was read to its end since `started_at`, when this run began (epoch ms).

    `on_batch` gets each step's counts: for progress, and to ring for a fold.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        stop: Callable[[], bool],
        on_batch: Callable[[Resource, Batch, Counts], None],
        started_at: int,
        in_flight: int = 1,
    ) -> None:
        self._store = store
        self._source = source
        self._stop = stop
        self._on_batch = on_batch
        self._started_at = started_at
        self._in_flight = in_flight
        self._lock = Lock()
        self._failed = Event()

    def run(self) -> PullResult:
        """Read everything on to its end, or until `stop`. Raises `Fatal` and `Retriable` of the source.

        A resource that fails ends the others at their next step.
        """
        result = PullResult()
        held = cursors(self._store, self._source.account)
        resources = self._source.resources({name: c.position for name, c in held.items() if c.position})
        futures: list[Future[None]] = []
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="pull") as pool:
            try:
                for resource in resources:
                    if self._ends():
                        break
                    if not self._is_finished(resource, held):
                        complete_from = min(
                            (held[n].complete_from if n in held else 0 for n in resource.cursors), default=0
                        )
                        futures.append(pool.submit(self._attempt, resource, complete_from, result))
            except BaseException:
                self._failed.set()
                raise
        for future in futures:
            future.result()
        return result

    def _is_finished(self, resource: Resource, held: Mapping[str, Cursor]) -> bool:
        return all(name in held and held[name].finished_at >= self._started_at for name in resource.cursors)

    def _ends(self) -> bool:
        return self._failed.is_set() or self._stop()

    def _attempt(self, resource: Resource, complete_from: int, result: PullResult) -> None:
        try:
            self._read(resource, complete_from, result)
        except BaseException:
            self._failed.set()
            raise

    def _read(self, resource: Resource, complete_from: int, result: PullResult) -> None:
        if self._ends():
            return
        began = now_ms()
        account, position = self._source.account, resource.position or ""
        try:
            for batch in self._source.read(resource):
                position = batch.position
                counts = append(self._store, batch.events)
                counts.add(quarantine(self._store, batch.unreadable))
                save(self._store, account, resource, Cursor(position, 0, complete_from))
                with self._lock:
                    result.rows += batch.rows
                    result.accepted += counts.accepted
                    result.duplicates += counts.duplicates
                    result.quarantined += counts.quarantined
                    self._on_batch(resource, batch, counts)
                if self._ends():
                    return
            save(self._store, account, resource, Cursor(position, now_ms(), began))
        except Skippable as error:
            with self._lock:
                result.skipped += (f"{resource.name}: {error}",)
        with self._lock:
            result.resources += 1


def cursors(store: Store, account: str) -> dict[str, Cursor]:
    """How far each resource of the account has been read, by cursor name."""
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.cursors(account)))
    return {name.decode(): _decode(value.decode()) for name, value in held.items()}


def save(store: Store, account: str, resource: Resource, cursor: Cursor) -> None:
    """Keep the cursor under all the resource's names."""
    value = f"{cursor.position}\t{cursor.finished_at}\t{cursor.complete_from}"
    store.client.hset(keys.cursors(account), mapping=dict.fromkeys(resource.cursors, value))


def _decode(value: str) -> Cursor:
    position, finished_at, *more = value.split("\t")
    return Cursor(position, int(finished_at), *map(int, more))
