"""Of one minute's states the opt-out holds, in whatever order they are told."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor.incoming import receive
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.profiles.reading import profile_of
from listbridge.workflows import service
from simulator.webhooks import payload


@pytest.fixture
def workflow(importer):
    settings = replace(importer.context.settings, public_url="http://127.0.0.1:9")
    importer.context = replace(importer.context, settings=settings)
    clock = importer.server.account.clock
    clock.set(clock.now().replace(second=1) - timedelta(hours=1))
    made = importer.create(keep_updated=True)
    importer.run(made)
    return made


def somebody(importer):
    people = importer.server.account.find_list(importer.list_ids[0]).subscribers.values()
    return next(each.email for each in people if each.state == "Active")


def act(importer, action, email, **details):
    importer.server.simulator.act(action, importer.list_ids[0], email, **details)


def told(importer):
    return [each.event for each in importer.server.account.webhook_events]


def tell(importer, workflow, *events):
    known = receiver(importer.context.store, workflow.id).account
    for each in events:
        receive(importer.context.store, known, payload(importer.list_ids[0], [each]))


def status(importer, email):
    Folder(importer.context.store, importer.context.program).run()
    found = profile_of(importer.context.store, importer.context.programs, email.lower())
    return found["fields"]["cm_list_ids_status"][importer.list_ids[0]]


def test_an_opt_out_that_a_row_told_stands_when_an_older_change_is_told_late(importer, workflow):
    email = somebody(importer)
    act(importer, "update", email, name="Another")
    act(importer, "unsubscribe", email)
    importer.run(service.resume(importer.context, workflow.id))
    assert status(importer, email) == "unsubscribed"
    tell(importer, workflow, *told(importer))
    assert {each["Date"] for each in told(importer)} == {told(importer)[0]["Date"]}
    assert status(importer, email) == "unsubscribed"


@pytest.mark.parametrize("action", ["unsubscribe", "delete", "spam"])
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_an_opt_out_holds_in_any_order_of_its_minute(importer, workflow, action, order):
    email = somebody(importer)
    act(importer, "update", email, name="Another")
    act(importer, action, email)
    act(importer, "subscribe", email, name="Again")
    tell(importer, workflow, *(told(importer)[place] for place in order))
    assert status(importer, email) == ("deleted" if action == "delete" else "unsubscribed")


def test_who_subscribes_in_a_later_minute_is_active(importer, workflow):
    email = somebody(importer)
    act(importer, "unsubscribe", email)
    importer.server.account.clock.advance(60)
    act(importer, "subscribe", email)
    tell(importer, workflow, *reversed(told(importer)))
    assert status(importer, email) == "active"
