"""The side that posts: wrk (Debian's package `wrk`), with requests that were made before."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.aggregation.measuring import cpu_seconds

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 8


class NoGenerator(Exception):
    """wrk isn't installed: `apt-get install wrk`."""


class _Summary(msgspec.Struct):
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    failed: int
    taken: int


@dataclass(frozen=True)
class Load:
    """What came of a load: answered requests, and all that were begun; `cpu_s` is the generator's own."""

    requests: int
    begun: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    seconds: float

    @property
    def ceiling_per_s(self) -> float:
        """What the generator could do with a core for itself."""
        return self.requests / self.cpu_s


def require() -> None:
    """Raises `NoGenerator`."""
    if shutil.which("wrk") is None:
        raise NoGenerator("wrk isn't installed: apt-get install wrk")


def write(path: Path, url: str, headers: Mapping[str, str], bodies: Iterable[bytes]) -> list[bytes]:
    """Write the requests that post these bodies to `url`; -> the requests."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode()
    made = [head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    write_requests(path, made)
    return made


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    with path.open("wb") as file:
        for each in requests:
            file.write(b"%010d" % len(each))
            file.write(each)


def post(url: str, requests: Path, seconds: int) -> Load:
    """Post for so long over a few connections. Raises when something was refused or failed."""
    require()
    parts = urlsplit(url)
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
    before = cpu_seconds()
    ended = subprocess.run(
        [*argv, f"{parts.scheme}://{parts.netloc}", "--", str(requests)], capture_output=True, check=False
    )
    cpu = cpu_seconds() - before
    if ended.returncode:
        raise RuntimeError(f"wrk ended with {ended.returncode}: {ended.stderr.decode()[-500:]}")
    said = msgspec.json.decode(ended.stderr.splitlines()[-1], type=_Summary)
    if said.refused or said.failed or not said.requests:
        raise RuntimeError(
            f"of {said.taken} posts in {seconds} s {said.requests} were answered, {said.refused} of these "
            f"refused, and {said.failed} failed"
        )
    return Load(
        said.requests,
        said.taken,
        said.requests / said.seconds,
        said.p50_ms,
        said.p99_ms,
        cpu,
        said.seconds,
    )
