"""The Singer tap, in an environment of its own, because it pins older packages than ours."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from bench.imports.service import Simulated

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = HERE.parents[1] / ".venv-tap"


def python() -> Path:
    """The interpreter of the tap's environment, which is made the first time."""
    found = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".installed").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        pip = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(HERE / "tap.txt")], check=True)
        (ENVIRONMENT / ".installed").touch()
    return found


@dataclass
class Run:
    """One run of the tap; `records` counts its rows, without what it makes of campaigns and lists."""

    wall_s: float
    cpu_s: float
    calls: int
    records: int
    output: Path
    status: int


class Tap:
    """The tap aimed at a client of a simulated account; it goes on from its own state."""

    def __init__(self, simulated: Simulated, client_id: str, catalog: Any = None) -> None:
        self._simulated = simulated
        self._files = Path(mkdtemp(prefix="listbridge-bench-tap-"))
        self._python = python()
        self._runs = 0
        config = {"client_id": client_id, "refresh_token": simulated.refresh_token()}
        self._file("config", config)
        self._file("state", {})
        self.catalog = catalog or self._catalog()
        self._file("catalog", self.catalog)

    def run(self) -> Run:
        """One run of everything that the tap offers."""
        self._runs += 1
        output = self._files / f"output-{self._runs}"
        before = self._simulated.calls()["total"]
        started, cpu = time.perf_counter(), _children()
        with output.open("wb") as out:
            done = self._tap("--catalog", self._name("catalog"), "--state", self._name("state"), stdout=out)
        wall, used = time.perf_counter() - started, _children() - cpu
        calls = self._simulated.calls()["total"] - before
        states = [message["value"] for message in messages(output) if message["type"] == "STATE"]
        if states:
            self._file("state", states[-1])
        return Run(wall, used, calls, sum(1 for _ in rows(output)), output, done.returncode)

    def _catalog(self) -> Any:
        told = self._tap("--discover", stdout=subprocess.PIPE)
        catalog = json.loads(told.stdout)
        for stream in catalog["streams"]:
            next(each for each in stream["metadata"] if not each["breadcrumb"])["metadata"]["selected"] = True
        return catalog

    def _tap(self, *arguments: str, stdout: Any) -> subprocess.CompletedProcess[bytes]:
        argv = [str(self._python), str(HERE / "tap_runner.py"), self._simulated.url]
        argv += ["--config", self._name("config"), *arguments]
        return subprocess.run(argv, stdout=stdout, stderr=subprocess.DEVNULL, check=False)

    def _name(self, what: str) -> str:
        return str(self._files / f"{what}.json")

    def _file(self, what: str, held: Any) -> None:
        Path(self._name(what)).write_text(json.dumps(held))


def messages(output: Path) -> Iterator[dict[str, Any]]:
    """What the tap wrote."""
    with output.open() as lines:
        for line in lines:
            yield json.loads(line)


NOT_ROWS: Final = ("campaigns", "lists", "list_details", "campaign_summary", "campaign_email_client_usage")


def rows(output: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(stream, record) of reports and of lists' states."""
    for message in messages(output):
        if message["type"] == "RECORD" and message["stream"] not in NOT_ROWS:
            yield message["stream"], message["record"]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write(f"{python()}\n")
