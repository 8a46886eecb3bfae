"""The web service says that it takes deliveries, and goes on when the store can't be used."""

import itertools
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


@pytest.mark.parametrize(("quiet_ms", "missed"), [(15_000, False), (SILENCE_MS + 1, True), (None, True)])
def test_a_clock_that_was_moved_is_no_silence(store, quiet_ms, missed):
    two_days_ago = now_ms() - 2 * 86_400_000
    store.client.set(keys.RECEIVING, two_days_ago)
    assert heartbeat.say(store, quiet_ms)
    assert bool(gaps_after(store, "l1", 0)) is missed
    assert abs(int(store.client.get(keys.RECEIVING)) - now_ms()) < 5_000


def test_it_knows_by_a_clock_that_nobody_moves_how_long_it_was_quiet(store, monkeypatch):
    said = []

    def beat(_, now, *, quiet_ms):
        said.append(quiet_ms)
        if len(said) == 2:
            raise redis.ConnectionError
        if len(said) == 4:
            over.set()
        return False

    monkeypatch.setattr(heartbeat, "beat", beat)
    monkeypatch.setattr(heartbeat, "steady_ms", itertools.count(1000, 1000).__next__)
    over = heartbeat.start(store, 0.2)
    assert over.wait(10)
    assert said == [None, 1000, 2000, 1000], "a beat that was not stored ends no silence"


def test_a_store_that_fails_is_no_reason_to_end(store, monkeypatch, caplog):
    def fail(*_, **__):
        raise redis.ConnectionError

    monkeypatch.setattr(heartbeat, "beat", fail)
    heartbeat.say(store)
    assert "could not be stored: ConnectionError" in caplog.text


@pytest.mark.parametrize("path", ["/v1/workflows/w1/confirm-zone", "/v1/workflows/w1/rotate-token"])
def test_nothing_there_to_care_for(client, path):
    body = {"zone": "Europe/Berlin"} if path.endswith("zone") else None
    assert client.post(path, json=body).status_code == 404
