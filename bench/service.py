"""The simulator as a process of its own: what the benchmarks share of it.

A benchmark has a subclass of `Simulated`, which starts its module, and there a `main` that makes the account
and calls `serve`. The two talk in lines of JSON; the process ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec
import requests

from bench.aggregation.jobs import ROOT
from simulator.account import Account
from simulator.server import SimulatorServer

API_KEY: Final = "bench" + "0" * 35
CONTROL_SECONDS: Final = 300

Self = TypeVar("Self", bound="Simulated")


class Simulated:
    """A running simulator; leaving the block ends it."""

    def __init__(self, module: str, plan: Any = None) -> None:
        """`python -m MODULE` is started and gets the plan as its first line."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.told: dict[str, Any] = msgspec.json.decode(self.ask(plan))
        """What `serve` said: `url`, `api_url`, and more."""
        self.url: str = self.told["url"]
        self.api_url: str = self.told["api_url"]
        self.pid = self._process.pid
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.communicate()

    def ask(self, what: Any) -> bytes:
        """The line with which the process answers this one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with {self._process.wait()}")
        return line

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API."""
        answer = self._session.request(
            method, f"{self.url}/simulator{path}", json=body, timeout=CONTROL_SECONDS
        )
        answer.raise_for_status()
        return answer.json()

    def calls(self) -> dict[str, int]:
        """API calls so far, by endpoint; `total` is all of them."""
        report = self.control("GET", "/calls")
        return {**report["by_endpoint"], "total": report["total"]}

    def delay(self, seconds: float) -> None:
        """Let every call take so long, its own work included; 0 for no delay."""
        self.control("DELETE", "/faults")
        if seconds:
            self.control("POST", "/faults", {"kind": "slow-after", "times": -1, "seconds": seconds})


def plan() -> bytes:
    """In the process: the line that holds the plan."""
    return sys.stdin.buffer.readline()


def serve(account: Account, more: dict[str, Any], answer: Callable[[], Any] = dict) -> None:
    """In the process: serve the account, say how to reach it and `more`, and answer each line."""
    with SimulatorServer(account) as server:
        _say({"url": server.url, "api_url": server.api_url, **more})
        while sys.stdin.buffer.readline():
            _say(answer())


def _say(what: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()
