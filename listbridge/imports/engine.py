"""Pull: from resource to page to events, over any Source.

Events are appended before the position moves, and appending again what was appended changes
nothing; so a run that is stopped anywhere goes on from its last step. A resource that was read to
its end is marked with the time, so that a run that goes on doesn't begin with it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event, Lock

from listbridge.errors import Skippable
from listbridge.imports.cursors import Cursor, Look, cursors, look, save, together
from listbridge.imports.planning import rows_to_read
from listbridge.imports.protocol import Batch, Resource, Source
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Counts
from listbridge.streams.log import append, quarantine


@dataclass(slots=True)
class PullResult:
    """What a run did; `skipped` are resources that the system would not give, with its words.

    `unchanged` are those that were not read because nothing can have changed, `whole` how many were read
    from their beginning again because their turn had come.
    """

    resources: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    skipped: tuple[str, ...] = ()
    unchanged: list[Resource] = field(default_factory=list)
    whole: int = 0


class Watch:
    """Is told what a run finds and reads, a call at a time."""

    def found(self, resource: Resource, expected: int) -> None:
        """It will be read; so many rows are expected."""

    def left_alone(self, resource: Resource) -> None:
        """It can't have changed."""

    def set_aside(self, resource: Resource, problem: str) -> None:
        """It can't be read."""

    def listed(self) -> None:
        """Everything has been found."""

    def read(self, resource: Resource, batch: Batch) -> None:
        """A step of it was read and stored."""

    def done(self, resource: Resource) -> None:
        """It was read to its end, or set aside."""


class Puller:
    """Reads all of a source but what was read to its end since `started_at`, when this run began (epoch ms).

    It runs once: `in_flight` resources at a time, each read on while what was read before is stored.

    `on_batch` gets each step's counts: for progress, and to ring for a fold. `watch` is told what is found
    and read.
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
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._stop = stop
        self._on_batch = on_batch
        self._started_at = started_at
        self._in_flight = in_flight
        self._watch = watch or Watch()
        self._lock = Lock()
        self._failed = Event()
        self._ahead = ThreadPoolExecutor(in_flight, thread_name_prefix="ahead")

    def run(self) -> PullResult:
        """Read everything on to its end, or until `stop`. Raises `Fatal` and `Retriable` of the source.

        A resource that fails ends the others at their next step.
        """
        result = PullResult()
        held = cursors(self._store, self._source.account)
        positions = {name: cursor.position for name, cursor in held.items() if cursor.position}
        futures: list[Future[None]] = []
        with (
            self._ahead,
            ThreadPoolExecutor(self._in_flight, thread_name_prefix="pull") as pool,
            closing(self._source.resources(positions, self._started_at)) as resources,
        ):
            try:
                for resource in resources:
                    if self._ends():
                        break
                    if resource.problem:
                        self._set_aside(resource, resource.problem, result)
                    elif not self._is_finished(resource, held):
                        cursor = together([held.get(name) for name in resource.cursors])
                        if (verdict := self._look(resource, cursor, result)) is not Look.SKIP:
                            chosen = replace(resource, position=None) if verdict is Look.WHOLE else resource
                            futures.append(pool.submit(self._attempt, chosen, cursor, result))
                else:
                    with self._lock:
                        self._watch.listed()
            except BaseException:
                self._failed.set()
                raise
        for future in futures:
            future.result()
        return result

    def _set_aside(self, resource: Resource, problem: object, result: PullResult) -> None:
        with self._lock:
            result.skipped += (f"{resource.name}: {problem}",)
            self._watch.set_aside(resource, str(problem))

    def _look(self, resource: Resource, cursor: Cursor, result: PullResult) -> Look:
        verdict = look(resource, cursor, self._started_at)
        with self._lock:
            if verdict is Look.SKIP:
                result.unchanged.append(resource)
                self._watch.left_alone(resource)
            else:
                result.whole += verdict is Look.WHOLE
                self._watch.found(resource, rows_to_read(resource, cursor, verdict))
        return verdict

    def _is_finished(self, resource: Resource, held: Mapping[str, Cursor]) -> bool:
        """Not so if it ended in a time to come, by a clock that was ahead: that was before this run."""
        now = now_ms()
        return all(
            name in held and self._started_at <= held[name].finished_at <= now for name in resource.cursors
        )

    def _ends(self) -> bool:
        return self._failed.is_set() or self._stop()

    def _attempt(self, resource: Resource, held: Cursor, result: PullResult) -> None:
        try:
            self._read(resource, held, result)
        except BaseException:
            self._failed.set()
            raise

    def _batches(self, resource: Resource) -> Iterator[Batch]:
        """The steps of a resource: while one is being stored, the next is read."""
        steps = iter(self._source.read(resource))
        coming = self._ahead.submit(next, steps, None)
        while (batch := coming.result()) is not None:
            coming = self._ahead.submit(next, steps, None)
            yield batch

    def _read(self, resource: Resource, held: Cursor, result: PullResult) -> None:
        if self._ends():
            return
        now = now_ms()
        account, position = self._source.account, resource.position or ""
        began, whole_began = (held.began or now, held.whole_began) if resource.position else (now, now)
        reading = replace(held, finished_at=0, basis="", whole_began=whole_began, began=began)
        try:
            for batch in self._batches(resource):
                position = batch.position
                counts = append(self._store, batch.events)
                counts.add(quarantine(self._store, batch.unreadable))
                save(self._store, account, resource, replace(reading, position=position))
                with self._lock:
                    result.rows += batch.rows
                    result.accepted += counts.accepted
                    result.duplicates += counts.duplicates
                    result.quarantined += counts.quarantined
                    self._watch.read(resource, batch)
                    self._on_batch(resource, batch, counts)
                if self._ends():
                    return
            whole_from = reading.whole_began or reading.whole_from
            save(
                self._store,
                account,
                resource,
                Cursor(position, now_ms(), began, whole_from, basis=resource.basis, rows=resource.rows),
            )
        except Skippable as error:
            self._set_aside(resource, error, result)
        with self._lock:
            result.resources += 1
            self._watch.done(resource)
