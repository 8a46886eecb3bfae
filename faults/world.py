"""One installation under test: the simulator, the store, and every process that `up` runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
import requests

from cli.demo.comparison import Feed
from cli.demo.stage import API_KEY, Stage
from faults.disks import Disk
from faults.ledger import Ledger
from faults.proxy import Proxy
from faults.races import Added
from listbridge.jobs.sweep import sweep
from listbridge.store.data_directory import read_record
from listbridge.store.embedded import EmbeddedStore
from listbridge.workflows import registry
from listbridge.workflows.models import State
from settings import Settings, as_environ

FIELD = "Lytics Audiences"
QUEUES = ("fold", "deliver", "pull", "archive", "schedule")
PREFIX = "lb-celery:"
QUIET_SECONDS = 150.0
TRY_AGAIN_SECONDS = 90.0
OPENS_FOR_ALL = 120
"""Rows of activity among which each of four campaigns has an open, but for once in some 30,000 times."""


class NeverQuiet(Exception):
    """Something was still to be done when the time was over; the message says what."""


@dataclass(frozen=True)
class Plan:
    """How an installation is set up."""

    appendfsync: str = "always"
    proxied: bool = False
    tmpfs_mb: int = 0
    """The data directory is a disk in memory of that size."""
    disk_mb: int = 0
    """The data directory is a disk whose power can be cut."""
    people: int = 600
    activity_rows: int = 3000


@dataclass
class World:
    """What faults act on."""

    stage: Stage
    plan: Plan
    embedded: EmbeddedStore
    log_path: Path
    seed: int = 1
    proxy: Proxy | None = None
    disk: Disk | None = None
    feeds: list[Feed] = field(default_factory=list)
    import_id: str = ""
    child_env: dict[str, str] = field(default_factory=dict)
    """What the environment of a process of this installation holds."""
    unreadable: set[str] = field(default_factory=set)
    """Addresses that can be nobody's key: what is told of them is set aside."""
    poisoned: int = 0
    """Lines that were put into the audience stream and are no events."""
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """What somebody does about the fault when the load is over. Each is done once."""
    checks: list[Callable[[], str]] = field(default_factory=list)
    """Asked once all is at rest: what is not as it should be, empty if nothing. Each is asked once."""
    clock_moves: list[tuple[int, float]] = field(default_factory=list)
    """When our processes' clock was moved (epoch ms, by the machine's), and by how many seconds."""
    passed_seconds: float = 0.0
    """How much later it is in this installation than on this machine."""
    races: set[Added] = field(default_factory=set)
    """Those that were counted already."""
    store_lock: threading.Lock = field(default_factory=threading.Lock)
    """Whoever holds it keeps the store from being started again."""

    @cached_property
    def ledger(self) -> Ledger:
        """What was acknowledged, and who may act; made when all is at rest."""
        return Ledger.of(self.stage.control("GET", "/records"), self.seed)

    @property
    def command_env(self) -> dict[str, str]:
        """The environment of a `listbridge` command on this installation."""
        return os.environ | self.child_env | as_environ(self.settings)

    @property
    def settings(self) -> Settings:
        return self.stage.context.settings

    def pid(self, name: str) -> int:
        """The process id of a child that runs; waits for it."""
        found: list[int] = []

        def runs() -> bool:
            pid = self.stage.supervisor.pid(name)
            found.extend([pid] if pid else [])
            return bool(pid)

        wait(runs, 60, f"{name} to run")
        return found[-1]

    def send(self, name: str, number: int) -> int:
        """Send a signal to a child; -> its process id."""
        pid = self.pid(name)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    def store_pid(self) -> int:
        """The process id of the store's server."""
        record = read_record(self.settings.data_dir)
        return record.pid if record else 0

    def kill_store(self) -> None:
        """SIGKILL; it is started again at once."""
        with suppress(ProcessLookupError):
            os.kill(self.store_pid(), signal.SIGKILL)

    @contextmanager
    def store_killed(self) -> Iterator[None]:
        """The store is killed, and not started again before the block ends."""
        with self.store_lock:
            self.kill_store()
            wait(lambda: self.embedded.poll() is not None, 10, "the store to end")
            yield
        wait(lambda: self.store_answers(), 60, "the store to come back")

    def store_answers(self) -> bool:
        try:
            return bool(self.stage.context.store.client.ping())
        except redis.RedisError:
            return False

    def aof(self) -> Path:
        """The append-only file that is being written."""
        return max((self.settings.data_dir / "appendonlydir").glob("*.incr.aof"), key=_number)

    def broker(self) -> redis.Redis:
        """A client of the broker's database."""
        return redis.Redis.from_url(database(self.embedded.url, 1))

    def move_clock(self, seconds: float) -> None:
        """Put the clock of all our Python processes wrong by so much."""
        self.clock_moves.append((time.time_ns() // 1_000_000, seconds))
        self._set_clocks(self.passed_seconds + seconds)

    def pass_time(self, seconds: float) -> None:
        """So much time passes at once, in the account and for all our Python processes."""
        self.until_answered("POST", "/clock", {"advance_seconds": seconds}, control=True)
        self.passed_seconds += seconds
        self._set_clocks(self.passed_seconds)

    def _set_clocks(self, ours: float) -> None:
        path = self.settings.data_dir / "clock"
        path.with_suffix(".new").write_text(f"{ours} {self.passed_seconds}", encoding="ascii")
        path.with_suffix(".new").rename(path)

    def until_answered(self, method: str, path: str, body: Any = None, *, control: bool = False) -> Any:
        """Call until it is answered 2xx, as whoever sends something that must not be lost."""
        call = self.stage.control if control else self.stage.v1
        deadline = time.monotonic() + TRY_AGAIN_SECONDS
        while True:
            try:
                return call(method, path, body)
            except (requests.RequestException, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def read_again(self) -> None:
        """Let the import read every report to its end.

        It leaves a report alone for hours while the counts of the campaign's summary stay, and a click by
        somebody who had clicked before changes none of them: so every campaign is opened once more.
        """
        self.ledger.seeds += 1
        body = {"rows": OPENS_FOR_ALL, "seed": 1000 + self.ledger.seeds}
        self.until_answered("POST", "/activity", body, control=True)
        self.until_answered("POST", f"/workflows/{self.import_id}/resume")

    def wait_until_quiet(self) -> None:
        """Until nothing is left to do, three looks in a row. Raises `NeverQuiet`."""
        deadline, calm, why = time.monotonic() + QUIET_SECONDS, 0, ""
        while calm < 3:
            try:
                why = self.unrest()
            except (redis.RedisError, requests.RequestException) as problem:
                why = f"{type(problem).__name__}: {problem}"[:300]
            calm = 0 if why else calm + 1
            if time.monotonic() > deadline:
                raise NeverQuiet(f"after {QUIET_SECONDS:.0f} s: {why}; messages that wait: {self.messages()}")
            time.sleep(0.2)

    def unrest(self) -> str:
        """What is still to be done; empty when all is at rest."""
        store = self.stage.context.store
        for each in registry.list_all(store):
            if each.kind == "import" and not (each.state is State.SLEEPING and each.reason == "up to date"):
                return f"the import is {each.state}: {each.reason}"
            if each.kind == "export" and each.state is not State.RUNNING:
                return f"an export is {each.state}: {each.reason}"
        due = sweep(self.stage.context)
        if due.fold or due.lists or due.imports:
            return f"due: {due}"
        doubts = sum(store.client.zcard(p.retry(feed.list_id)) for feed in self.feeds for p in store.parts)
        if doubts:
            return f"{doubts} people are to be sent again"
        pending = self.stage.control("GET", "/calls")["webhook_pending"]
        return f"{pending} webhook events wait" if pending else ""

    def messages(self) -> dict[str, int]:
        """The broker's queues that hold something, and how much."""
        client = self.broker()
        found = {name: int(client.llen(PREFIX + name)) for name in QUEUES}
        return {name: length for name, length in found.items() if length}

    def values_of(self, feed: Feed, email: str) -> list[str]:
        """The options that the list shows for a person."""
        url = f"{self.stage.simulator_url}/api/v3.3/subscribers/{feed.list_id}.json"
        answer = self.stage.simulator.get(url, params={"email": email}, auth=(API_KEY, "x"), timeout=30)
        fields = answer.json().get("CustomFields", []) if answer.ok else []
        return [each["Value"] for each in fields if each["Key"] == f"[{FIELD.replace(' ', '')}]"]


def wait(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises `TimeoutError` when it isn't so in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def database(url: str, number: int) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _number(path: Path) -> int:
    return int(path.name.split(".")[-3])
