"""A person who changed their address is erased under both."""

import json
from zoneinfo import ZoneInfo

from test_erasing import ADA, BO, fold, is_named, opened, view

from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.incoming import receive
from listbridge.jobs.forget import forget, keys_of
from listbridge.streams.log import append

NEW = "ada@new.example"
ACCOUNT = Account("c1", "Client One", ZoneInfo("UTC"), {"l1": "Newsletter"})


def move(context):
    """The list tells that Ada's address has changed."""
    change = {
        "Type": "Update",
        "Date": "2026-11-01 10:00:00",
        "EmailAddress": NEW,
        "OldEmailAddress": ADA,
        "State": "Active",
        "Name": "Ada",
        "CustomFields": [],
    }
    receive(context.store, ACCOUNT, json.dumps({"ListID": "l1", "Events": [change]}).encode())
    fold(context)


def test_who_changed_their_address_is_erased_under_both(context):
    append(context.store, [opened(ADA, 1), opened(BO, 1)])
    move(context)
    assert view(context, ADA)["linked"] == [ADA]
    people = keys_of(context, ADA)
    assert set(people) == {ADA, NEW}
    assert all(each.complete for each in forget(context, people))
    assert not is_named(context, ADA)
    assert not is_named(context, NEW)
    assert view(context, BO)["fields"]["cm_openct"] == 1


def test_the_same_change_told_late_links_nobody_again(context):
    append(context.store, [opened(ADA, 1)])
    move(context)
    forget(context, keys_of(context, ADA))
    move(context)
    assert not is_named(context, ADA)
    assert not is_named(context, NEW)
