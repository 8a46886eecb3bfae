from dataclasses import replace

import pytest
from delivery_world import Clock, CountingStore, World
from simulated import Export

from listbridge.campaign_monitor import destination
from listbridge.exports import engine, sending
from simulator.account import Account
from simulator.server import SimulatorServer


@pytest.fixture
def clock(monkeypatch):
    """The deliverer's time, which passes only when a test or a step says so."""
    made = Clock()
    monkeypatch.setattr(engine, "now_ms", made)
    monkeypatch.setattr(sending, "now_ms", made)
    return made


@pytest.fixture
def small_store(store):
    """A store of two partitions."""
    return CountingStore(store.client, 2)


@pytest.fixture
def new_world(small_store, clock):
    """Makes a world; a second one starts afresh on the same store."""

    def make(**options):
        small_store.client.flushall()
        clock.now = Clock().now
        return World(small_store, clock, **options)

    return make


@pytest.fixture
def export(context, monkeypatch):
    """An empty simulated list, and exports to it with short timeouts."""
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    settings = replace(
        context.settings, api_connect_timeout_seconds=0.5, api_read_timeout_seconds=0.5, flush_milliseconds=0
    )
    account = Account("a" * 32)
    account.add_list(account.add_client("A client"), "A list")
    with SimulatorServer(account) as server:
        yield Export(replace(context, settings=settings), server)
