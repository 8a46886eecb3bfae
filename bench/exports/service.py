"""The simulator as a process of its own, with a note of what every import brought.

`python -m bench.exports.service` serves one empty list, prints how to reach it, and answers each line on
standard input with a line of JSON: what came since the last one. It ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import msgspec
import requests

from bench.aggregation.jobs import ROOT
from simulator import subscribing
from simulator.account import Account
from simulator.server import SimulatorServer

API_KEY: Final = "bench" + "0" * 35
Times = dict[str, float]


@dataclass
class Note:
    """Imports (seconds of the monotonic clock when applied, rows) and when each address was first held."""

    imports: list[tuple[float, int]]
    first: Times


class Simulated:
    """A running simulator; leaving the block ends it."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "bench.exports.service"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        told = msgspec.json.decode(self._line())
        self.url: str = told["url"]
        self.api_url: str = told["api_url"]
        self.client_id: str = told["client_id"]
        self.lists: list[str] = told["lists"]
        self.pid = self._process.pid
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Simulated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.communicate()

    def note(self) -> Note:
        """What came since the last note."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._line(), type=Note)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API."""
        answer = self._session.request(method, f"{self.url}/simulator{path}", json=body, timeout=120)
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

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with {self._process.wait()}")
        return line


class _Watch:
    """Notes what imports bring, in the simulator's process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._import = subscribing.import_rows
        self._note = Note([], {})

    def import_rows(
        self, account: Account, target: Any, rows: list[dict[str, Any]], *rest: Any, **more: Any
    ) -> Any:
        result = self._import(account, target, rows, *rest, **more)
        now = time.monotonic()
        with self._lock:
            self._note.imports.append((now, len(rows)))
            for row in rows:
                self._note.first.setdefault(str(row["emailaddress"]).lower(), now)
        return result

    def take(self) -> Note:
        with self._lock:
            taken, self._note = self._note, Note([], {})
        return taken


def main() -> None:
    watch = _Watch()
    subscribing.import_rows = watch.import_rows
    account = Account(API_KEY)
    client = account.add_client("Bench")
    lists = [account.add_list(client, f"List {number}").list_id for number in range(1, 4)]
    with SimulatorServer(account) as server:
        told = {"url": server.url, "api_url": server.api_url, "client_id": client.client_id, "lists": lists}
        _say(told)
        while sys.stdin.buffer.readline():
            _say(watch.take())


def _say(what: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
