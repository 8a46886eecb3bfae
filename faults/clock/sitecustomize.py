"""Moves a Python process's clocks by the seconds that stand in the file that FAULTS_CLOCK_FILE names.

The file holds two numbers: by how much our clock (`time.time` and `time.time_ns`) is moved, and by how much
the one that nobody moves (CLOCK_BOOTTIME, CLOCK_MONOTONIC by `time.clock_gettime_ns`): both, for time that
passes. `datetime.now`, `time.monotonic` and other programs do not move.
"""

import os
import time

_EVERY_SECONDS = 0.05


def _install(path: str) -> None:
    real, real_ns, steady, clock_ns = time.time, time.time_ns, time.monotonic, time.clock_gettime_ns
    held = [0.0, 0.0, float("-inf")]

    def offsets() -> list[float]:
        if steady() - held[2] > _EVERY_SECONDS:
            held[2] = steady()
            try:
                with open(path, encoding="ascii") as file:
                    held[:2] = map(float, file.read().split())
            except (OSError, ValueError):
                pass
        return held

    time.time = lambda: real() + offsets()[0]
    time.time_ns = lambda: real_ns() + int(offsets()[0] * 1e9)
    time.clock_gettime_ns = lambda clock: clock_ns(clock) + int(offsets()[1] * 1e9)


if "FAULTS_CLOCK_FILE" in os.environ:
    _install(os.environ["FAULTS_CLOCK_FILE"])
