"""Jobs: the pieces of work that are measured, each in a fresh process of its own.

A job reads its arguments (a line of JSON), gets ready (imports, connections), says so, waits for the word
to go, does its work and answers with one line of JSON. It ends when the process that started it is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[2]
READY: Final = b"ready\n"
GO: Final = b"go\n"

Answer = dict[str, Any]
Prepared = Callable[[], Answer]


class JobFailed(Exception):
    """A job ended without an answer; what it said stands above."""


class Job:
    """One job in a process of its own, ready to go. Leaving the block ends the process."""

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
        *,
        module: str = "bench.aggregation.jobs",
    ) -> None:
        self.name = name
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environ = {**os.environ, "PYTHONPATH": paths, "POLARS_MAX_THREADS": "1", **(env or {})}
        argv = [sys.executable, "-m", module, name]
        self._process = subprocess.Popen(
            argv, env=environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        # Not among the command's words, which every process may read: a store's URL holds its password.
        self._tell(msgspec.json.encode(arguments) + b"\n")
        self._expect(READY)

    def go(self) -> None:
        """Let the work begin."""
        self._tell(GO)

    def answer(self) -> Answer:
        """Wait for the answer. Raises `JobFailed`."""
        answer: Answer = msgspec.json.decode(self._line())
        return answer

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _expect(self, wanted: bytes) -> None:
        if (line := self._line()) != wanted:
            self._process.kill()
            self._process.communicate()
            raise JobFailed(f"the job {self.name} said {line!r}; it should say {wanted!r}")

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise JobFailed(
                f"the job {self.name} ended with {self._process.returncode} and without an answer"
            )
        return line


def run(
    name: str,
    arguments: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    *,
    module: str = "bench.aggregation.jobs",
) -> Answer:
    """Do one job from beginning to end. Raises `JobFailed`."""
    with Job(name, arguments, env, module=module) as job:
        job.go()
        return job.answer()


def main(prepare: Callable[[str, dict[str, Any]], Prepared]) -> None:
    """The process of a job: `python -m MODULE NAME`."""
    # What libraries print must not stand among the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    work = prepare(sys.argv[1], msgspec.json.decode(sys.stdin.buffer.readline()))
    answers.write(READY)
    if sys.stdin.buffer.readline() == GO:
        answers.write(msgspec.json.encode(work()) + b"\n")


def _prepared(name: str, arguments: dict[str, Any]) -> Prepared:
    """The job's work, with everything imported that it needs."""
    match name:
        case "workload":
            from bench.aggregation import workload

            return workload.job(**arguments)
        case "engine":
            from bench.aggregation import peers

            return peers.job(**arguments)
        case "append" | "fold" | "inspect":
            from bench.aggregation import through_store

            return through_store.JOBS[name](**arguments)
        case "rebuild":
            from bench.aggregation import rebuilding

            return rebuilding.job(**arguments)
        case "latency":
            from bench.aggregation import latency

            return latency.job(**arguments)
    raise ValueError(f"no job is named {name!r}")


if __name__ == "__main__":
    main(_prepared)
