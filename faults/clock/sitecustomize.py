"""Moves a Python process's clock by the seconds that stand in the file that FAULTS_CLOCK_FILE names.

`time.time` and `time.time_ns` move; `datetime.now`, the monotonic clocks and other programs do not.
"""

import os
import time

_EVERY_SECONDS = 0.05


def _install(path: str) -> None:
    real, real_ns, steady = time.time, time.time_ns, time.monotonic
    held = [0.0, float("-inf")]

    def offset() -> float:
        if steady() - held[1] > _EVERY_SECONDS:
            held[1] = steady()
            try:
                with open(path, encoding="ascii") as file:
                    held[0] = float(file.read() or 0)
            except (OSError, ValueError):
                pass
        return held[0]

    time.time = lambda: real() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)


if "FAULTS_CLOCK_FILE" in os.environ:
    _install(os.environ["FAULTS_CLOCK_FILE"])
