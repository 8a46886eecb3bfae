"""One installation under test: the simulator, the store, and every process that `up` runs."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit, urlunsplit

import redis
import requests
from cryptography.fernet import Fernet

from cli.demo.change import write_mappings
from cli.demo.comparison import Feed
from cli.demo.stage import API_KEY, Stage
from cli.processes import Child, Supervisor
from cli.services import answers, services
from faults.ledger import AUDIENCES, Ledger
from faults.proxy import Proxy
from faults.races import Added
from listbridge.context import build
from listbridge.jobs.sweep import sweep
from listbridge.store.data_directory import read_record
from listbridge.store.embedded import EmbeddedStore
from listbridge.workflows import registry
from listbridge.workflows.models import State
from settings import Settings, as_environ

FIELD = "Lytics Audiences"
NO_BRAKES = {"leaving": None, "unsubscribed": None, "refused": None}
QUEUES = ("fold", "deliver", "pull", "archive", "schedule")
PREFIX = "lb-celery:"
CLOCK_DIR = Path(__file__).parent / "clock"
QUIET_SECONDS = 150.0
TRY_AGAIN_SECONDS = 90.0
OPENS_FOR_ALL = 120
"""Rows of activity among which each of four campaigns has an open, but for once in some 30,000 times."""


class NeverQuiet(Exception):
    """Something was still to be done when the time was over; the message says what."""


class NoDisk(Exception):
    """This user may not mount a file system."""


@dataclass(frozen=True)
class Plan:
    """How an installation is set up."""

    appendfsync: str = "always"
    proxied: bool = False
    tmpfs_mb: int = 0
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
    feeds: list[Feed] = field(default_factory=list)
    import_id: str = ""
    child_env: dict[str, str] = field(default_factory=dict)
    """What the environment of a process of this installation holds."""
    unreadable: set[str] = field(default_factory=set)
    """Addresses that can be nobody's key: what is told of them is set aside."""
    poisoned: int = 0
    """Lines that were put into the audience stream and are no events."""
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
        return redis.Redis.from_url(_database(self.embedded.url, 1))

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


@contextmanager
def world(directory: Path, plan: Plan, log: TextIO, log_path: Path, seed: int) -> Iterator[World]:
    """Start everything, with two exports and an import that are up to date."""
    with ExitStack() as stack:
        simulator_port, http_port = _free_ports(2)
        url = f"http://127.0.0.1:{simulator_port}"
        settings = _settings(directory, plan, url, http_port)
        if plan.tmpfs_mb:
            stack.enter_context(_tmpfs(settings.data_dir, plan.tmpfs_mb))
        embedded = stack.enter_context(EmbeddedStore(settings.data_dir, appendfsync=plan.appendfsync))
        filled = replace(settings, redis_url=embedded.url, broker_url=_database(embedded.url, 1))
        proxy = None
        if plan.proxied:
            proxy = Proxy(("127.0.0.1", urlsplit(embedded.url).port or 0))
            stack.callback(proxy.close)
            through = embedded.url.replace(f":{urlsplit(embedded.url).port}", f":{proxy.port}")
            theirs = replace(filled, redis_url=through, broker_url=_database(through, 1))
        else:
            theirs = filled
        context = build(filled, embedded.url)
        ours = list(map(_clocked(settings), services(theirs)))
        children = [_simulator(url, simulator_port, plan), *ours]
        api, other = stack.enter_context(requests.Session()), stack.enter_context(requests.Session())
        api.headers["Authorization"] = f"Bearer {filled.api_tokens[0]}"
        api.trust_env = other.trust_env = False
        lock = threading.Lock()
        stack.enter_context(_kept(embedded, lock))
        supervisor = stack.enter_context(Supervisor(children, log))
        made = World(
            Stage(context, supervisor, url, api, other),
            plan,
            embedded,
            log_path,
            seed,
            proxy,
            store_lock=lock,
        )
        made.child_env = dict(ours[0].env)
        _begin(made)
        yield made


def _begin(made: World) -> None:
    """An authorization, an import with webhooks, two exports; all is quiet at the end."""
    stage = made.stage
    records = stage.control("GET", "/records")
    client_id = records["clients"][0]["client_id"]
    lists = [each["list_id"] for each in records["lists"]]
    asked = {"description": "Meridian Travel", "api_key": API_KEY}
    authorization = made.until_answered("POST", "/authorizations", asked)["id"]
    config: dict[str, Any] = {"client_id": client_id, "keep_updated": True}
    body = {"kind": "import", "authorization_id": authorization, "config": config}
    made.import_id = made.until_answered("POST", "/workflows", body)["id"]
    for number, audiences in ((0, AUDIENCES[:3]), (1, AUDIENCES[1:])):
        config = {
            "client_id": client_id,
            "list_id": lists[number],
            "audiences": list(audiences),
            "field_name": FIELD,
            "existing_users": True,
            "consent_to_track": "Unchanged",
            "brakes": NO_BRAKES,
        }
        body = {"kind": "export", "authorization_id": authorization, "config": config}
        made.until_answered("POST", "/workflows", body)
        made.feeds.append(Feed(lists[number], tuple(audiences)))
    made.wait_until_quiet()


@contextmanager
def _kept(embedded: EmbeddedStore, lock: threading.Lock) -> Iterator[None]:
    """The store is started again whenever it has ended, unless somebody holds the lock."""
    until = threading.Event()

    def keep() -> None:
        while not until.wait(0.1):
            with lock:
                embedded.ensure_running()

    keeper = threading.Thread(target=keep, name="store-keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        until.set()
        keeper.join()


def _settings(directory: Path, plan: Plan, simulator_url: str, http_port: int) -> Settings:
    data, mappings = directory / "data", directory / "mappings"
    write_mappings(mappings)
    return Settings(
        data_dir=data,
        appendfsync=plan.appendfsync,
        mappings_dir=str(mappings),
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


@contextmanager
def _tmpfs(directory: Path, megabytes: int) -> Iterator[None]:
    """A small disk. Raises `NoDisk` when this user may not mount one."""
    directory.mkdir(parents=True)
    options = ("-o", f"size={megabytes}m", "tmpfs")
    done = subprocess.run(["mount", "-t", "tmpfs", *options, str(directory)], capture_output=True, text=True)
    if done.returncode:
        raise NoDisk(f"no small disk could be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def _clocked(settings: Settings) -> Callable[[Child], Child]:
    """Makes children whose clock `World.move_clock` moves."""
    found = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(CLOCK_DIR), *([found] if found else [])])
    more = {"PYTHONPATH": path, "FAULTS_CLOCK_FILE": str(settings.data_dir / "clock")}
    return lambda child: replace(child, env={**child.env, **more})


def _simulator(url: str, port: int, plan: Plan) -> Child:
    sizes = ("--people", str(plan.people), "--activity-rows", str(plan.activity_rows), "--campaigns", "4")
    return Child(
        "simulator",
        (sys.executable, "-m", "simulator", "--port", str(port), *sizes, "--api-key", API_KEY),
        ready=lambda: answers(f"{url}/simulator/health"),
        ready_seconds=120,
    )


def _database(url: str, number: int) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _number(path: Path) -> int:
    return int(path.name.split(".")[-3])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
