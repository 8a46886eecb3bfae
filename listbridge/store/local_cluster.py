"""A cluster of three masters on this machine, from the embedded server's binary: for tests and benchmarks.

It has no replicas and nobody supervises it: for work, run a cluster of your own.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from listbridge.store.keys import SLOTS
from listbridge.store.server import PORTS, ServerFailed, configuration, port_is_free, server_binary

MASTERS = 3
READY_SECONDS = 30.0


class LocalCluster:
    """Three masters on directories below `root`, each with a third of the slots."""

    def __init__(self, root: Path, *, appendfsync: str = "always") -> None:
        self._root = root
        self._appendfsync = appendfsync
        self._password = secrets.token_hex(16)
        self._ports: Sequence[int] = ()
        self._servers: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def start(self) -> str:
        """Start the masters, give them their slots, and wait until all agree; -> the cluster's URL."""
        self._ports = _free_ports(2 * MASTERS)
        places = ",".join(f"127.0.0.1:{port}" for port in self._ports[:MASTERS])
        self.url = f"redis+cluster://:{self._password}@{places}"
        self._servers = [self._launch(number) for number in range(MASTERS)]
        for number in range(MASTERS):
            self._wait(number, lambda client: client.ping())
        for number in range(MASTERS):
            first, last = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1
            with self.master(number) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number:
                    client.execute_command(
                        "CLUSTER", "MEET", "127.0.0.1", self._ports[0], self._ports[MASTERS]
                    )
        self.wait_until_whole()
        return self.url

    def kill(self, number: int) -> None:
        """End one master as a power cut would."""
        self._servers[number].kill()
        self._servers[number].wait()

    def restart(self, number: int) -> None:
        """Start a master that was killed again, on its append-only file."""
        self._servers[number] = self._launch(number)

    def wait_until_whole(self) -> None:
        """Wait until every master serves all slots. Raises `ServerFailed`."""
        for number in range(MASTERS):
            self._wait(number, _is_whole)

    def master(self, number: int) -> redis.Redis:
        """A client of one master."""
        return redis.Redis(
            host="127.0.0.1",
            port=self._ports[number],
            password=self._password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=5,
        )

    def pids(self) -> list[int]:
        return [server.pid for server in self._servers]

    def stop(self) -> None:
        for server in self._servers:
            server.kill()
        for server in self._servers:
            server.wait()

    def __enter__(self) -> LocalCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, number: int) -> subprocess.Popen[bytes]:
        directory = self._root / f"master-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        text = configuration(directory, self._ports[number], self._password, self._appendfsync)
        own = {
            "databases": "1",
            "masterauth": self._password,
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-port": str(self._ports[MASTERS + number]),
            "cluster-node-timeout": "2000",
            "cluster-require-full-coverage": "no",
        }
        path = directory / "store.conf"
        path.write_text(text + "".join(f"{name} {value}\n" for name, value in own.items()), encoding="utf-8")
        with (directory / "store.log").open("ab") as log:
            return subprocess.Popen(
                [server_binary(), path], cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _wait(self, number: int, ready: Callable[[redis.Redis], object]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with self.master(number) as client:
            while time.monotonic() < deadline:
                if self._servers[number].poll() is not None:
                    break
                try:
                    if ready(client):
                        return
                except redis.RedisError:
                    pass
                time.sleep(0.02)
        log = (self._root / f"master-{number}" / "store.log").read_text(errors="replace")
        raise ServerFailed(f"master {number} was not ready: {log[-1000:]}")


def _is_whole(client: redis.Redis) -> bool:
    told = client.execute_command("CLUSTER INFO")
    return told["cluster_state"] == "ok" and int(told["cluster_slots_ok"]) == SLOTS


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(PORTS)
        if port not in found and port_is_free(port):
            found.append(port)
    return found
