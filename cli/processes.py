"""A supervisor for the processes of one machine: `listbridge up` and the demo run them through it.

It starts them in order, merges what they print into one log, starts a dead one again with back-off,
and stops them all at once. Each child leads a process group of its own, so Ctrl-C reaches only the
supervisor; how the children end when the supervisor is killed, see `Spawner`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import TextIO

import click

from listbridge.store.children import Spawner, kill_group, restart_delay

POLL_SECONDS = 0.1
HEALTHY_SECONDS = 60.0
LINE_BYTES = 64 * 1024
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


class NotReady(Exception):
    """A process did not become ready in time. Its last lines in the log say why."""


@dataclass(frozen=True)
class Child:
    """A process to run. `env` is added to the environment of the supervisor.

    `stop_signal` asks it to end; after `stop_seconds` it is killed. `ready`, where given, is asked until
    it answers true, for at most `ready_seconds`, before the next child is started.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 20.0
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 30.0


class Supervisor:
    """Runs the children until it is told to stop.

    Either call `run`, which blocks, or use it as a context manager: entering returns when all children
    are ready, the supervision goes on in a thread, and leaving stops the children. For one use.

    One that dies is started again the later the more often it has died before it ran for `healthy_seconds`.
    """

    def __init__(
        self,
        children: Sequence[Child],
        out: TextIO | None = None,
        *,
        healthy_seconds: float = HEALTHY_SECONDS,
    ) -> None:
        width = max((len(child.name) for child in children), default=0)
        self._log = MergedLog(out or sys.stdout, width)
        self._runs = {
            child.name: _Run(child, self._log, COLOURS[i % len(COLOURS)], healthy_seconds)
            for i, child in enumerate(children)
        }
        self._started = threading.Event()
        self._until = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, until: threading.Event) -> None:
        """Start all children, keep them running until the event is set, and stop them.

        Raises `NotReady`, after stopping them, when one isn't ready in time.
        """
        with ExitStack() as at_the_end:
            spawner = Spawner()
            at_the_end.callback(spawner.close)
            at_the_end.callback(self._stop_all)
            for run in self._runs.values():
                if until.is_set():
                    return
                run.start(spawner)
                self._await_ready(run, spawner, until)
            self._started.set()
            while not until.wait(POLL_SECONDS):
                self._check(spawner)

    def pid(self, name: str) -> int | None:
        """The process id of a child; None when it isn't running now."""
        process = self._runs[name].process
        return process.pid if process and process.poll() is None else None

    def __enter__(self) -> Supervisor:
        self._thread = threading.Thread(target=self._run_in_thread, name="supervisor")
        self._thread.start()
        try:
            self._started.wait()
        except BaseException:
            self._leave()
            raise
        if self._error:
            self._leave()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._until.set()
        if self._thread:
            self._thread.join()

    def _run_in_thread(self) -> None:
        try:
            self.run(self._until)
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    def _stop_all(self) -> None:
        """Ask all to end, the last one first, and wait for all together: each keeps what it holds safe."""
        runs = list(reversed(self._runs.values()))
        for run in runs:
            run.ask_to_end()
        for run in runs:
            run.stop()

    def _check(self, spawner: Spawner) -> None:
        for run in self._runs.values():
            run.check(spawner)

    def _await_ready(self, run: _Run, spawner: Spawner, until: threading.Event) -> None:
        ready = run.child.ready
        deadline = time.monotonic() + run.child.ready_seconds
        while ready is not None and not until.is_set():
            if run.alive and ready():
                run.is_ready = True
                return
            if time.monotonic() > deadline:
                raise NotReady(f"{run.child.name} was not ready after {run.child.ready_seconds:g} seconds")
            self._check(spawner)
            until.wait(POLL_SECONDS)


class _Run:
    """One child: its present process, and when it may be started again."""

    def __init__(self, child: Child, merged: MergedLog, colour: str, healthy_seconds: float) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self._merged = merged
        self._colour = colour
        self._healthy_seconds = healthy_seconds
        self._reader: threading.Thread | None = None
        self._failures = 0
        self._started_at = 0.0
        self._retry_at = 0.0
        self._deadline = 0.0
        self.is_ready = child.ready is None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, spawner: Spawner) -> None:
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **self.child.env}
        self.process = spawner.start(
            self.child.argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._started_at, self._retry_at = time.monotonic(), 0.0
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def check(self, spawner: Spawner) -> None:
        """Start the process again if it has died and its delay is over."""
        if self.process is None or self.alive:
            return
        now = time.monotonic()
        if not self._retry_at:
            # What was killed leaves its helpers behind, and they may hold its port.
            kill_group(self.process)
            self._failures = 1 if now - self._started_at > self._healthy_seconds else self._failures + 1
            delay = restart_delay(self._failures)
            self._retry_at = now + delay
            self._say(f"ended with {self.process.returncode}; starting it again in {delay:g} s")
        if now >= self._retry_at:
            self.start(spawner)

    def ask_to_end(self) -> None:
        """Send the process the signal that stops it, and start the time that it has for that."""
        self._deadline = time.monotonic() + self.child.stop_seconds
        if self.process is not None and not self._retry_at:
            self.process.send_signal(self.child.stop_signal)

    def stop(self) -> None:
        """Wait for a process that was asked to end, and kill what is left of its group."""
        if self.process is not None and not self._retry_at:
            self._end(self.process)
        self.process = None
        if self._reader:
            self._reader.join(1.0)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            self._await_end(process)
        except subprocess.TimeoutExpired:
            self._say(f"did not end within {self.child.stop_seconds:g} s; killing it")
        finally:
            kill_group(process)
            process.wait()

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end. A process that is still starting may have missed the signal: it gets it again."""
        while not self.is_ready and time.monotonic() < self._deadline - 1:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
                return
            process.send_signal(self.child.stop_signal)
        process.wait(max(self._deadline - time.monotonic(), 0.1))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            while line := pipe.readline(LINE_BYTES):
                self._say(line.decode(errors="replace").rstrip("\r\n"))

    def _say(self, line: str) -> None:
        self._merged.write(self.child.name, self._colour, line)


class MergedLog:
    """Writes whole lines of several writers to one stream, each after its aligned name.

    Names are coloured when the stream is a terminal and NO_COLOR isn't set. A stream that is gone is no
    reason to stop: what can't be written is dropped, so that no child waits on a full pipe.
    """

    def __init__(self, out: TextIO, width: int) -> None:
        self._out = out
        self._width = width
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._mutex = threading.Lock()

    def write(self, name: str, colour: str, line: str) -> None:
        """Write one line and flush it."""
        prefix = f"{name:<{self._width}} |"
        shown = click.style(prefix, fg=colour) if self._coloured else prefix
        with self._mutex, suppress(OSError, ValueError):
            self._out.write(f"{shown} {line}\n")
            self._out.flush()


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM or SIGHUP sets. A second signal acts as it would without this.

    A signal that is ignored, as SIGHUP under nohup, stays so. For the main thread. The event is set
    from another thread, because a handler that runs while the main thread is inside `Event.wait` would
    wait for itself.
    """
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        restore()
        threading.Thread(target=event.set).start()

    for number in before:
        signal.signal(number, ask)
    try:
        yield event
    finally:
        restore()
