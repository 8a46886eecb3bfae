"""Setting up an installation: a data directory, the simulator, the store, and all processes."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import requests
from cryptography.fernet import Fernet

from cli.demo.change import write_mappings
from cli.demo.comparison import Feed
from cli.demo.stage import API_KEY, Stage
from cli.processes import Child, Supervisor
from cli.services import answers, services
from faults.disks import Disk, small_disk
from faults.ledger import AUDIENCES
from faults.proxy import Proxy
from faults.world import FIELD, Plan, World, database
from listbridge.context import build
from listbridge.store.embedded import EmbeddedStore
from settings import Settings

NO_BRAKES = {"leaving": None, "unsubscribed": None, "refused": None}
CLOCK_DIR = Path(__file__).parent / "clock"
HEALTHY_SECONDS = 4.0
"""A process that ran for so long and is killed again is started again as soon as after the first time."""


@contextmanager
def world(directory: Path, plan: Plan, log: TextIO, log_path: Path, seed: int) -> Iterator[World]:
    """Start everything, with two exports and an import that are up to date."""
    with ExitStack() as stack:
        simulator_port, http_port = _free_ports(2)
        url = f"http://127.0.0.1:{simulator_port}"
        settings = _settings(directory, plan, url, http_port)
        disk = None
        if plan.tmpfs_mb:
            stack.enter_context(small_disk(settings.data_dir, plan.tmpfs_mb))
        elif plan.disk_mb:
            disk = stack.enter_context(Disk(settings.data_dir, plan.disk_mb))
        embedded = stack.enter_context(_store(settings, plan))
        filled = replace(settings, redis_url=embedded.url, broker_url=database(embedded.url, 1))
        proxy = None
        if plan.proxied:
            proxy = Proxy(("127.0.0.1", urlsplit(embedded.url).port or 0))
            stack.callback(proxy.close)
            through = embedded.url.replace(f":{urlsplit(embedded.url).port}", f":{proxy.port}")
            theirs = replace(filled, redis_url=through, broker_url=database(through, 1))
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
        supervisor = stack.enter_context(Supervisor(children, log, healthy_seconds=HEALTHY_SECONDS))
        made = World(
            Stage(context, supervisor, url, api, other),
            plan,
            embedded,
            log_path,
            seed,
            proxy,
            disk,
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


def _store(settings: Settings, plan: Plan) -> EmbeddedStore:
    return EmbeddedStore(settings.data_dir, appendfsync=plan.appendfsync, healthy_seconds=HEALTHY_SECONDS)


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


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
