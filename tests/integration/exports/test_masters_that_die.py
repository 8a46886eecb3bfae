"""Masters of a cluster are killed and started again while events come, are folded and delivered."""

import random
import threading
import time
from dataclasses import replace

import pytest
import redis
from simulated import Export

import settings as settings_module
from listbridge import audiences
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.audiences import AudienceEvent
from listbridge.campaign_monitor import destination
from listbridge.context import build
from listbridge.exports.ledger import lags
from listbridge.jobs.deliver import deliver
from listbridge.store.local_cluster import MASTERS, LocalCluster
from listbridge.store.store import now_ms
from simulator.account import Account
from simulator.server import SimulatorServer

WRITERS = 2
PEOPLE = 120


@pytest.fixture
def masters(tmp_path):
    with LocalCluster(tmp_path / "masters", appendfsync="always") as cluster:
        yield cluster


@pytest.fixture
def clustered(masters, tmp_path, encryption_key, monkeypatch):
    """An export into a simulated list, on the cluster."""
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    settings = settings_module.load(
        {
            "LISTBRIDGE_DATA_DIR": str(tmp_path / "data"),
            "LISTBRIDGE_REDIS_URL": masters.url,
            "LISTBRIDGE_BROKER_URL": "redis://127.0.0.1:1",
            "LISTBRIDGE_ENCRYPTION_KEYS": encryption_key,
            "LISTBRIDGE_FLUSH_MILLISECONDS": "0",
            "LISTBRIDGE_API_CONNECT_TIMEOUT_SECONDS": "0.5",
            "LISTBRIDGE_API_READ_TIMEOUT_SECONDS": "0.5",
        }
    )
    account = Account("a" * 32)
    account.add_list(account.add_client("A client"), "A list")
    with SimulatorServer(account) as server:
        context = build(settings, masters.url)
        yield Export(context, server)
        context.store.client.close()


class Load:
    """Writers, a fold and a deliverer, each with a connection of its own, until `over`."""

    def __init__(self, export):
        self._export = export
        self.over = threading.Event()
        self.acknowledged = {}
        self.batches = 0
        self.troubles = 0
        self.broken = []
        self._threads = [threading.Thread(target=self._try, args=(self._write, n)) for n in range(WRITERS)]
        self._threads += [
            threading.Thread(target=self._try, args=(each,)) for each in (self._fold, self._deliver)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _try(self, work, *args):
        settings = self._export.context.settings
        context = build(settings, settings.redis_url, retries=1)
        try:
            work(context, *args)
        except Exception as error:
            self.broken.append(error)
        finally:
            context.store.client.close()

    def _again(self, work):
        """Repeat what the store could not take, as whoever calls us does."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return work()
            except redis.RedisError:
                self.troubles += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _write(self, context, number):
        dice = random.Random(number)
        while not self.over.is_set():
            people = dice.sample(range(number, PEOPLE, WRITERS), 20)
            events = [
                AudienceEvent(
                    email=f"p{each}@example.com",
                    audience="vip",
                    event=dice.choice(["enter", "exit"]),
                    timestamp=audiences.now(),
                )
                for each in people
            ]
            self._again(lambda events=events: audiences.receive(context.store, events))
            self.acknowledged.update((each.email, each.event) for each in events)
            self.batches += 1
            time.sleep(0.005)  # what comes next is of a later millisecond

    def _fold(self, context):
        folder = Folder(context.store, context.program)
        while not self.over.is_set():
            self._again(folder.run)
            time.sleep(0.01)

    def _deliver(self, context):
        list_id = self._export.list.list_id
        while not self.over.is_set():
            self._again(lambda: deliver(context, list_id))
            time.sleep(0.05)


def test_nothing_that_was_acknowledged_is_lost_and_the_list_comes_to_equal_it(clustered, masters):
    clustered.create("vip", existing_users=True, brakes={"leaving": None})
    with Load(clustered) as load:
        for number in range(MASTERS):
            time.sleep(0.5)
            masters.kill(number)
            time.sleep(0.3)
            masters.restart(number)
            masters.wait_until_whole()
        before = load.batches
        time.sleep(1)
        assert load.batches > before
    assert load.broken == []
    assert load.troubles > 0

    context, list_id = clustered.context, clustered.list.list_id
    folder, deadline = Folder(context.store, context.program), time.monotonic() + 30
    while any(has_lag(context.store, context.program)):
        folder.run()
        assert time.monotonic() < deadline
    inside = {email for email, event in load.acknowledged.items() if event == "enter"}
    assert audiences.members(context.store, "vip") == inside
    clustered.context = replace(context)
    while any(lags(context.store, list_id, now_ms() + 60_000)):
        clustered.deliver_until_rest(20)
    held = {email for email in load.acknowledged if clustered.held(email)}
    assert held == inside
