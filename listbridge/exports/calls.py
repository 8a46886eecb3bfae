"""Calls in flight: the thread whose call has ended begins the next one by itself.

Whoever plans the calls and records what became of them is often busy with that for some 100 ms; no slot
stays empty meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

B = TypeVar("B")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Ended(Generic[B, A]):
    """A batch whose call has ended, with the call's answer or with what it raised."""

    batch: B
    answer: A | None = None
    problem: BaseException | None = None

    def result(self) -> A:
        """The answer. Raises the problem."""
        if self.problem is not None:
            raise self.problem
        return self.answer  # type: ignore[return-value]


class Calls(Generic[B, A]):
    """At most `in_flight` calls of `make` at once, each for one batch, in the order of the batches.

    `before` is called in the thread of a call, just before it. What it raises halts the calls, and so does a
    call's problem unless it is `harmless`: what has not begun stays until it is taken back.
    """

    def __init__(
        self,
        make: Callable[[B], A],
        before: Callable[[], object],
        in_flight: int,
        *,
        harmless: type[Exception],
    ) -> None:
        self._make, self._before, self._in_flight, self._harmless = make, before, in_flight, harmless
        self._changed = Condition()
        self._ready: deque[B] = deque()
        self._ended: list[Ended[B, A]] = []
        self._threads = 0
        self._under_way = 0
        self._halted = True
        self._problem: BaseException | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Calls are made in this block; leaving it waits for those under way, and no other one begins."""
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="deliver") as pool:
            self._pool, self._halted = pool, False
            try:
                yield
            finally:
                self.halt()

    @property
    def waiting(self) -> int:
        """How many batches have not begun."""
        return len(self._ready)

    @property
    def unsettled(self) -> int:
        """How many batches have begun, or will, and were not given back."""
        with self._changed:
            return len(self._ready) + self._under_way + len(self._ended)

    def put(self, batches: Iterable[B], *, first: bool = False) -> None:
        """Let these calls begin as soon as there is room: `first` before all others."""
        with self._changed:
            if first:
                self._ready.extendleft(reversed(list(batches)))
            else:
                self._ready.extend(batches)
            wanted = min(self._in_flight, self._under_way + len(self._ready))
            while not self._halted and self._threads < wanted:
                self._threads += 1
                self._pool.submit(self._serve)

    def ended(self, longest_seconds: float) -> list[Ended[B, A]]:
        """The calls that have ended; waits for the first if one is under way, or is about to be."""
        with self._changed:
            self._changed.wait_for(self._has_news, longest_seconds)
            found, self._ended = self._ended, []
            return found

    def _has_news(self) -> bool:
        to_come = self._under_way or (self._ready and not self._halted)
        return bool(self._ended or self._problem or not to_come)

    def take_problem(self) -> BaseException | None:
        """What `before` raised, once."""
        with self._changed:
            problem, self._problem = self._problem, None
            return problem

    def halt(self) -> list[B]:
        """Begin no other call; -> what has not begun."""
        with self._changed:
            self._halted = True
            found = list(self._ready)
            self._ready.clear()
            return found

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            end: Ended[B, A]
            try:
                end = Ended(batch, self._make(batch))
            except BaseException as problem:
                end = Ended(batch, problem=problem)
            with self._changed:
                self._under_way -= 1
                self._ended.append(end)
                self._halted = self._halted or not (
                    end.problem is None or isinstance(end.problem, self._harmless)
                )
                self._changed.notify_all()

    def _next(self) -> B | None:
        """The batch whose call begins now; None ends the thread."""
        if not self._goes_on():
            return None
        problem: BaseException | None = None
        try:
            self._before()
        except BaseException as error:
            problem = error
        with self._changed:
            if problem is not None:
                self._halted, self._problem = True, problem
            if not self._goes_on():
                return None
            self._under_way += 1
            return self._ready.popleft()

    def _goes_on(self) -> bool:
        """Is there a call to begin? If not, the thread that asks ends."""
        with self._changed:
            goes_on = bool(self._ready) and not self._halted
            if not goes_on:
                self._threads -= 1
                self._changed.notify_all()
            return goes_on
