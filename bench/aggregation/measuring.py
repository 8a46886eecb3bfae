"""What a piece of work costs: wall-clock and CPU seconds, and the greatest memory of the process."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Seconds, CPU seconds (user and system, children included) and MiB of resident memory.

    `peak_mb` is the process's greatest ever, libraries included; `baseline_mb` what it was before the work.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    baseline_mb: float


def measure(work: Callable[[], T]) -> tuple[T, Cost]:
    """Do the work once and say what it cost."""
    baseline, cpu, start = peak_mb(), cpu_seconds(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - start
    return result, Cost(wall, cpu_seconds() - cpu, peak_mb(), baseline)


def cpu_seconds() -> float:
    """User and system time of this process and the children that it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def peak_mb() -> float:
    """The greatest resident memory of this process in MiB.

    On Linux from /proc, because there `ru_maxrss` begins with what the parent had when it forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def cpu_seconds_of(pid: int) -> float:
    """User and system time of another process and the children that it has waited for, on Linux."""
    held = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in held[11:15]) / os.sysconf("SC_CLK_TCK")
