"""The program of the active mappings, as a process takes it up without a restart."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from listbridge.aggregation import Program
from listbridge.mappings.versions import active, active_number, program_of
from listbridge.store.store import Store

ASK_SECONDS = 1.0
"""How old the answer to which version is active may be."""


class Programs(Protocol):
    """Where the program to work with is had from."""

    def current(self, *, renew: bool = False) -> Program:
        """The program; with `renew` not one that was active before this call."""


class Unchanging:
    """One program for good."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def current(self, *, renew: bool = False) -> Program:  # noqa: ARG002 - the protocol's signature
        return self._program


class ActivePrograms:
    """The program of the store's active mappings; the store is asked once a second at most.

    One per process, for all of its threads. `current` raises `NoActiveMappings` and `UnusableMappings`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._held: tuple[Program, float] | None = None

    def current(self, *, renew: bool = False) -> Program:
        asked = time.monotonic()
        if program := self._known(asked, renew):
            return program
        with self._lock:
            # What another thread was told after we had asked is an answer to us, too.
            return self._known(asked, renew) or self._ask()

    def _known(self, asked: float, renew: bool) -> Program | None:
        held = self._held
        if held is None:
            return None
        program, at = held
        return program if at >= (asked if renew else asked - ASK_SECONDS) else None

    def _ask(self) -> Program:
        at = time.monotonic()
        program = self._held[0] if self._held else None
        if program is None or program.version != active_number(self._store):
            program = program_of(active(self._store))
        self._held = program, at
        return program
