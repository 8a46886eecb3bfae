"""The stage: a throwaway data directory, free ports, the simulator, and everything that `up` runs."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import requests
from cryptography.fernet import Fernet

from cli.processes import Child, Supervisor
from cli.services import answers, local_url, services, store_of
from listbridge.context import Context, build
from settings import Settings

API_KEY = "demo0000000000000000000000000000000000000000"


@dataclass
class Stage:
    """What the story acts on."""

    context: Context
    supervisor: Supervisor
    simulator_url: str
    api: requests.Session
    simulator: requests.Session

    def v1(self, method: str, path: str, body: Any = None) -> Any:
        """Call our own HTTP API. Raises `requests.HTTPError` with the answer's text."""
        return _call(self.api, method, f"{local_url(self.context.settings)}/v1{path}", body)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's control API."""
        return _call(self.simulator, method, f"{self.simulator_url}/simulator{path}", body)


def _call(session: requests.Session, method: str, url: str, body: Any) -> Any:
    answer = session.request(method, url, json=body, timeout=60)
    if not answer.ok:
        raise requests.HTTPError(f"{method} {url}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None


@contextmanager
def stage(directory: Path, scale: int, log: TextIO) -> Iterator[Stage]:
    """Start everything; it can reach nothing but the simulator."""
    simulator_port, http_port = _free_ports(2)
    simulator_url = f"http://127.0.0.1:{simulator_port}"
    settings = Settings(
        data_dir=directory,
        http_port=http_port,
        public_url=f"http://127.0.0.1:{http_port}",
        api_tokens=(secrets.token_urlsafe(32),),
        encryption_keys=(Fernet.generate_key().decode(),),
        api_base_url=f"{simulator_url}/api/v3.3",
        api_connect_timeout_seconds=1,
        api_read_timeout_seconds=3,
        sweep_seconds=0.5,
        archive_seconds=3,
    )
    with store_of(settings) as filled:
        context = build(filled, filled.redis_url)
        children = [_simulator(simulator_url, simulator_port, scale), *services(filled)]
        with Supervisor(children, log) as supervisor, requests.Session() as api, requests.Session() as other:
            api.headers["Authorization"] = f"Bearer {filled.api_tokens[0]}"
            api.trust_env = other.trust_env = False
            yield Stage(context, supervisor, simulator_url, api, other)


def _simulator(url: str, port: int, scale: int) -> Child:
    return Child(
        "simulator",
        (sys.executable, "-m", "simulator", "--port", str(port), "--scale", str(scale), "--api-key", API_KEY),
        ready=lambda: answers(f"{url}/simulator/health"),
        ready_seconds=60 + 10 * scale,
    )


def _free_ports(count: int) -> list[int]:
    """Ports that are free just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
