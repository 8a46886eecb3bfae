"""Ours and the official client are measured with the same rows."""

import msgspec
import pytest

from bench.exports import cpu, people, world
from listbridge.campaign_monitor.destination import CampaignMonitorList
from listbridge.exports.protocol import Prepared

KEY = "[LyticsAudiences]"


def test_both_clients_send_the_same_people_the_same_values():
    ours = CampaignMonitorList(None, "", "", people.CONSENT, None, 1)
    sent = [ours._as_import_row(Prepared(KEY, {}), row) for row in cpu._rows(0, KEY)]

    rows = msgspec.json.decode(msgspec.json.encode(sent))

    assert rows == [people.official_row(number, KEY) for number in range(cpu.BATCH)]


def test_only_calls_since_a_count_are_counted():
    before, after = {"GET a": 1, "POST b/import": 2}, {"GET a": 1, "POST b/import": 5, "POST c/import": 1}

    found = world.since(before, after)

    assert found == {"POST b/import": 3, "POST c/import": 1}
    assert world.imports_of(found) == 4


@pytest.mark.parametrize(("part", "value"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_share_of_all_lies_below(part, value):
    assert world.share(range(1, 101), part) == value
