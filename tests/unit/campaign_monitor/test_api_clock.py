"""The service's clock, and ours that is moved."""

import time

import pytest

from listbridge.campaign_monitor import CampaignMonitor, clock
from listbridge.campaign_monitor.errors import NetworkProblem
from listbridge.campaign_monitor.http import ApiKey

URL = "http://service.example/api"
HOUR = 3_600_000
NOW = 1_800_000_000_000


@pytest.fixture
def clocks(monkeypatch):
    """Ours (epoch ms) and the steady one (ms); the process has heard of no service."""
    held = {"ours": NOW, "steady": 5_000_000}
    monkeypatch.setattr(time, "time_ns", lambda: held["ours"] * 1_000_000)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: held["steady"] * 1_000_000)
    monkeypatch.setattr(clock, "_heard", {})
    return held


def passes(clocks, ms):
    clocks["ours"] += ms
    clocks["steady"] += ms


def test_nothing_is_known_of_a_service_that_never_answered(clocks):
    assert clock.offset_ms(URL) is None


def test_what_one_client_heard_holds_for_all_of_the_process(clocks):
    assert clock.hear(URL, NOW + HOUR) == HOUR
    passes(clocks, 8 * HOUR)
    assert clock.offset_ms(URL) == HOUR
    assert clock.offset_ms(URL + "2") is None


@pytest.mark.parametrize("moved", [600_000, -600_000, 2 * 86_400_000, -2 * 86_400_000])
def test_nothing_is_known_once_our_clock_was_moved(clocks, moved):
    clock.hear(URL, NOW)
    passes(clocks, 60_000)
    clocks["ours"] += moved
    assert clock.offset_ms(URL) is None
    clock.hear(URL, NOW + 60_000)
    assert clock.offset_ms(URL) == -moved


def test_a_clock_that_is_put_right_by_little_still_holds(clocks):
    clock.hear(URL, NOW)
    clocks["ours"] += 800
    assert clock.offset_ms(URL) == 0


@pytest.mark.parametrize("seconds", [0, 120])
def test_a_service_that_does_not_tell_holds_nobody_up_again_and_again(clocks, monkeypatch, seconds):
    asked, steady = [], {"seconds": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: steady["seconds"])

    def system_date(_):
        asked.append(steady["seconds"])
        steady["seconds"] += seconds
        raise NetworkProblem("no answer")

    monkeypatch.setattr(CampaignMonitor, "system_date", system_date)
    api = CampaignMonitor(ApiKey("k"), base_url=URL)
    for _ in range(500):
        assert api.asked_offset_ms() is None
    assert asked == [0]
    steady["seconds"] += max(2, seconds)
    api.asked_offset_ms()
    assert len(asked) == 2
