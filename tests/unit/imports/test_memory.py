"""What is remembered of a summary is good from one moment to another."""

import pytest

from listbridge.campaign_monitor import memory
from listbridge.campaign_monitor.mailings import Counted
from listbridge.campaign_monitor.memory import Memory

NOW = 1_000_000


@pytest.mark.parametrize(
    ("at", "good_since", "is_read"),
    [
        (NOW - 10, NOW - 11, False),
        (NOW - 10, NOW - 10, True),
        (NOW, NOW - 1, False),
        # By a clock that was ahead.
        (NOW + 1, NOW - 1, True),
        (NOW + 600_000, NOW - 1, True),
    ],
)
def test_counts_are_read_again_when_they_are_old_or_of_a_time_to_come(
    store, monkeypatch, at, good_since, is_read
):
    monkeypatch.setattr(memory, "now_ms", lambda: NOW)
    held, fresh = Counted(at, {"opens": 1}), Counted(NOW, {"opens": 2})
    known = Memory(store, "client")
    known.counts("campaign:c", 0, lambda: held)
    assert known.counts("campaign:c", good_since, lambda: fresh) == (fresh if is_read else held)
