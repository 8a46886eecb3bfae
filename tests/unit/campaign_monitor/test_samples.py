"""Which deliveries are put aside while a list's webhooks are tested."""

from zoneinfo import ZoneInfo

import msgspec
import pytest

from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.testing import new_test, open_test, put_aside, settle

ACCOUNT = Account("c", "Client", ZoneInfo("UTC"), {"l": "List"})


def delivery(*types: str) -> bytes:
    events = [{"Type": each, "EmailAddress": f"{each}@example.com"} for each in types]
    return msgspec.json.encode({"ListID": "l", "Events": events})


@pytest.mark.parametrize(
    ("types", "aside"),
    [
        (("Subscribe", "Deactivate", "Update"), True),
        (("Subscribe",), True),
        (("Update",), True),
        (("Deactivate",), False),
        (("Deactivate", "Update"), False),
        (("Subscribe", "Subscribe"), False),
        ((), False),
    ],
)
def test_only_what_can_be_a_sample_is_put_aside(fake_store, types, aside):
    body, test = delivery(*types), new_test("l")
    with open_test(fake_store, test):
        assert put_aside(fake_store, ACCOUNT, "l", body) is aside
    assert not put_aside(fake_store, ACCOUNT, "l", body)
    found = []
    settle(fake_store, test, lambda _: True, lambda *each: found.append(each))
    assert found == ([(ACCOUNT, body)] if aside else [])
