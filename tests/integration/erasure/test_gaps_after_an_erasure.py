"""A list that is read because deliveries are missing brings nobody back who was erased."""

from zoneinfo import ZoneInfo

from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.gaps import Gap
from listbridge.campaign_monitor.models import Subscriber
from listbridge.campaign_monitor.repairs import told_of
from listbridge.store.store import now_ms
from listbridge.streams.log import append
from listbridge.streams.tombstones import bury

ACCOUNT = Account("c1", "Client One", ZoneInfo("UTC"), {"l1": "Newsletter"})
ADA, BO = "ada@example.com", "bo@example.com"
HOUR = 3_600_000


def test_a_gap_after_the_erasure_tells_nothing_of_who_is_still_in_the_list(store):
    now = now_ms()
    rows = [Subscriber(each, "2020-01-01 10:00:00", "Active", name="Somebody") for each in (ADA, BO)]
    bury(store, ADA, now)
    gap = Gap(now + HOUR, now + 2 * HOUR)
    events = told_of(store, ACCOUNT, "l1", "active", rows, gap)
    assert {event.key for event in events} == {BO}
    assert append(store, events).accepted == len(events) > 0
