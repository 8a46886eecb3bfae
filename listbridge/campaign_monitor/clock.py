"""How far the service's clock is from ours, though ours may be moved at any time.

Every answer tells the service's time. What the last one told is kept for the whole process, by the service's
address, with our clock and one that nobody moves: where these two disagree afterwards, ours was moved, and
what was told before says nothing about it any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

MOVED_MS = 5_000
"""Our clock was moved when it has gone by so much more or less than the steady one."""

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


@dataclass(frozen=True, slots=True)
class Heard:
    """What the service's clock said, and what ours did (epoch ms), with the steady one (ms)."""

    service: int
    ours: int
    steady: int


_heard: dict[str, Heard] = {}


def hear(base_url: str, service_ms: int) -> int:
    """An answer told the time; -> the service's clock minus ours (ms)."""
    told = Heard(service_ms, *_now())
    _heard[base_url] = told
    return told.service - told.ours


def offset_ms(base_url: str) -> int | None:
    """The service's clock minus ours; None when it never told this process, or ours was moved since."""
    told = _heard.get(base_url)
    if told is None:
        return None
    ours, steady = _now()
    moved = abs((ours - told.ours) - (steady - told.steady)) > MOVED_MS
    return None if moved else told.service - told.ours


def steady_ms() -> int:
    """A clock that nobody moves, and that goes on while the machine sleeps (ms)."""
    return time.clock_gettime_ns(_STEADY) // 1_000_000


def _now() -> tuple[int, int]:
    return time.time_ns() // 1_000_000, steady_ms()
