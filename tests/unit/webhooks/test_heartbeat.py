"""The web service says that it takes deliveries, and goes on when the store can't be used."""

import time

import pytest
import redis

from listbridge.campaign_monitor.gaps import SILENCE_MS, gaps_after
from listbridge.store import keys
from listbridge.store.store import now_ms
from webhooks import heartbeat


def test_it_is_said_again_and_again_until_it_ends(store):
    over = heartbeat.start(store, 0.02)
    first = None
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        held = store.client.get(keys.RECEIVING)
        first = first or held
        if held and held != first:
            break
        time.sleep(0.01)
    over.set()
    assert abs(int(held) - now_ms()) < 5_000
    assert held != first
    assert gaps_after(store, "l1", 0) == []


def test_a_silence_is_kept_and_told(store, caplog):
    silent_since = now_ms() - SILENCE_MS - 1000
    store.client.set(keys.RECEIVING, silent_since)
    heartbeat.say(store)
    (gap,) = gaps_after(store, "l1", 0)
    assert gap.since == silent_since
    assert "may have been missed" in caplog.text


def test_a_store_that_fails_is_no_reason_to_end(store, monkeypatch, caplog):
    def fail(*_):
        raise redis.ConnectionError

    monkeypatch.setattr(heartbeat, "beat", fail)
    heartbeat.say(store)
    assert "could not be stored: ConnectionError" in caplog.text


@pytest.mark.parametrize("path", ["/v1/workflows/w1/confirm-zone", "/v1/workflows/w1/rotate-token"])
def test_nothing_there_to_care_for(client, path):
    body = {"zone": "Europe/Berlin"} if path.endswith("zone") else None
    assert client.post(path, json=body).status_code == 404
