"""What the processes of a group take, on Linux: CPU time and resident memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def group(leader: int) -> list[int]:
    """The processes of the group that a process leads."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                if os.getpgid(int(entry.name)) == leader:
                    found.append(int(entry.name))
    return sorted(found)


def cpu_seconds(leader: int) -> float:
    """User and system time of a group so far."""
    total = 0
    for pid in group(leader):
        with suppress(OSError):
            held = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(held[11]) + int(held[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident_mb(leader: int) -> float:
    """MiB of resident memory of a group; pages that its processes share count in each."""
    return sum(resident_mb_of(pid) for pid in group(leader))


def resident_mb_of(pid: int) -> float:
    """MiB of resident memory of one process; 0 when it has ended."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return 0.0
