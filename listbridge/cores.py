"""How many processes this machine runs side by side."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may use, at least one."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on this system
        return max(1, os.cpu_count() or 1)
