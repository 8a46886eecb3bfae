"""Child processes that do not outlive the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any


def restart_delay(failures: int) -> float:
    """Seconds to wait before a process that has just died for the `failures`th time is started again."""
    return float(min(30.0, 0.2 * 2 ** min(failures - 1, 10)))


class Spawner:
    """Starts child processes that end when this process does, even when it is killed.

    On Linux the kernel sends a child SIGTERM when the *thread* that started it ends (prctl(2),
    PR_SET_PDEATHSIG), so every child is started by one thread, which lives until `close` or the end of
    this process. macOS has nothing like it: there, children outlive a parent that was killed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "spawner")

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """`subprocess.Popen(argv, **options)` in a process group of its own, which Ctrl-C doesn't reach."""
        options = {"process_group": 0, "stdin": subprocess.DEVNULL, **options}
        return self._thread.submit(_popen, tied(argv), options).result()

    def close(self) -> None:
        """End the starting thread, and so, on Linux, the children that still run."""
        self._thread.shutdown()


def _popen(argv: Sequence[str], options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, **options)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group of a child of `Spawner`: the child and its helpers.

    To be called once, as soon as the child is seen to have ended: later its number may be another's.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def tied(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv`, in the same process, on Linux tied to the life of the calling thread."""
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *argv]


# The parent may be gone before prctl is called: then nobody will send the signal.
_TIE = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(128 + signal.SIGTERM)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]} can't be run: {error.strerror}")
"""
