"""The real command as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

LISTBRIDGE = [sys.executable, "-c", "from cli.main import main; main()"]
READY_SECONDS = 60


class Installation:
    """One data directory with its settings: runs commands, and `up` in the background."""

    def __init__(self, directory: Path, api_url: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LISTBRIDGE_")}
        self.env |= {
            "LISTBRIDGE_ENV_FILE": str(directory / "listbridge.env"),
            "LISTBRIDGE_DATA_DIR": str(directory / "data"),
            "LISTBRIDGE_HTTP_PORT": str(self.port),
            "LISTBRIDGE_API_BASE_URL": api_url,
            "LISTBRIDGE_API_CONNECT_TIMEOUT_SECONDS": "1",
            "LISTBRIDGE_API_READ_TIMEOUT_SECONDS": "3",
            "LISTBRIDGE_SWEEP_SECONDS": "0.5",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory / "up.log"

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [*LISTBRIDGE, *arguments], env=self.env, input=stdin, capture_output=True, text=True, timeout=120
        )
        if check:
            assert done.returncode == 0, done.stderr + done.stdout
        return done

    def json(self, *arguments: str):
        """What a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def up(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*LISTBRIDGE, "up"], env=self.env, stdout=log, stderr=log)
        wait_until(self.is_healthy, READY_SECONDS, "up to answer", self)

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def down(self, number: int = signal.SIGTERM) -> int:
        """Stop `up` with a signal; -> its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.process = None
        return status

    @property
    def token(self) -> str:
        lines = (self.directory / "listbridge.env").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("LISTBRIDGE_API_TOKENS="))

    def v1(self, method: str, path: str, body=None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, f"{self.url}/v1{path}", json=body, headers=headers, timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(done, seconds: float, what: str, installation: Installation | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            log = installation.log.read_text()[-4000:] if installation and installation.log.exists() else ""
            raise AssertionError(f"waited {seconds:g} s for {what}\n{log}")
        time.sleep(0.1)
