"""The simulator as a process of its own: `python -m bench.imports.service`, its plan a line of JSON.

It prints how to reach it and ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from types import TracebackType
from typing import Any

import msgspec
import requests

from bench.aggregation.jobs import ROOT
from bench.imports.accounts import Plan, made
from simulator import reports, timezones
from simulator.server import SimulatorServer

LONG = 1500
"""Of how many rows a report has to be, at least, for late ones to come while it is read."""


class Simulated:
    """A running simulator; leaving the block ends it."""

    def __init__(self, plan: Plan) -> None:
        argv = [sys.executable, "-m", "bench.imports.service"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(plan) + b"\n")
        self._process.stdin.flush()
        told = msgspec.json.decode(self._process.stdout.readline())
        self.url: str = told["url"]
        self.api_url: str = told["api_url"]
        self.clients: list[str] = told["clients"]
        self.pid = self._process.pid
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def client_id(self) -> str:
        return self.clients[0]

    def __enter__(self) -> Simulated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.communicate()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API."""
        answer = self._session.request(method, f"{self.url}/simulator{path}", json=body, timeout=300)
        answer.raise_for_status()
        return answer.json()

    def calls(self) -> int:
        """API calls so far."""
        return int(self.control("GET", "/calls")["total"])

    def delay(self, seconds: float) -> None:
        """Let every call take so long, beside its own work."""
        self.control("POST", "/faults", {"kind": "slow-after", "times": -1, "seconds": seconds})

    def refresh_token(self) -> str:
        """As if somebody had authorised a program."""
        return str(self.control("POST", "/authorization", {})["refresh_token"])


def shift(times: int) -> None:
    """Let a late row come before every second page of a long report that is read on, `times` in all."""
    rows, asked, came = reports.Report.rows, Counter[int](), Counter[int]()

    def shifting(self: reports.Report, *args: Any, **more: Any) -> Any:
        held = self._rows
        if len(held) >= LONG and hasattr(held[0], "IPAddress"):
            asked[id(self)] += 1
            if asked[id(self)] % 2 == 0 and came[id(self)] < times:
                came[id(self)] += 1
                self.add(held[len(held) // 10 * came[id(self)] % len(held)])
        return rows(self, *args, **more)

    reports.Report.rows = shifting  # type: ignore[method-assign]


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    for label in plan.zones:
        if label not in timezones.IANA:
            from listbridge.campaign_monitor.timezones import zone_name

            timezones.IANA[label] = zone_name(label)
    account = made(plan)
    if plan.shifts:
        shift(plan.shifts)
    with SimulatorServer(account) as server:
        told = {"url": server.url, "api_url": server.api_url, "clients": list(account.clients)}
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
