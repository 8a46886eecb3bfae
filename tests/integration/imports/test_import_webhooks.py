"""The webhooks of an import: made once, found again, woken, taken away; and what they tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from listbridge.campaign_monitor.incoming import receive
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.jobs.pull import lease_of
from listbridge.store.lease import Lease
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import State
from simulator.webhooks import payload

PUBLIC_URL = "http://127.0.0.1:9"


@pytest.fixture
def importer(importer):
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, public_url=PUBLIC_URL)
    )
    return importer


def hooks(importer):
    """(list id, URL, status, events) of all webhooks in the account."""
    return [
        (each.list_id, hook.url, hook.status, tuple(hook.events))
        for each in importer.server.account.clients[importer.client_id].lists.values()
        for hook in each.webhooks.values()
    ]


def again(importer, workflow):
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING, importer.state(workflow).reason


def kept_updated(importer, **config):
    workflow = importer.create(keep_updated=True, **config)
    importer.run(workflow)
    return workflow


def test_each_chosen_list_gets_one_webhook_that_the_receiver_admits(importer):
    workflow = kept_updated(importer, lists=importer.list_ids[:2])
    found = hooks(importer)
    assert [list_id for list_id, *_ in found] == importer.list_ids[:2]
    assert {(status, events) for *_, status, events in found} == {
        ("Active", ("Subscribe", "Deactivate", "Update"))
    }
    [url] = {url for _, url, *_ in found}
    prefix = f"{PUBLIC_URL}/webhooks/campaign-monitor/{workflow.id}/"
    assert url.startswith(prefix)
    known = receiver(importer.context.store, workflow.id)
    assert known.admits(url.removeprefix(prefix))
    assert not known.admits("another")
    assert list(known.account.lists) == importer.list_ids[:2]
    assert url.removeprefix(prefix) not in known.token


def test_a_second_run_finds_the_webhooks(importer):
    workflow = kept_updated(importer)
    before = hooks(importer)
    again(importer, workflow)
    assert hooks(importer) == before
    assert any(line.endswith("is there") for line in importer.log(workflow))


def test_a_webhook_that_was_switched_off_is_switched_on_again(importer):
    workflow = kept_updated(importer)
    for each in importer.server.account.clients[importer.client_id].lists.values():
        for hook in each.webhooks.values():
            hook.status = "Inactive"
    again(importer, workflow)
    assert {status for *_, status, _ in hooks(importer)} == {"Active"}
    assert any("had been switched off" in line for line in importer.log(workflow))


def test_a_webhook_that_was_deleted_is_made_again_with_the_same_address(importer):
    workflow = kept_updated(importer)
    before = hooks(importer)
    importer.server.account.find_list(importer.list_ids[0]).webhooks.clear()
    again(importer, workflow)
    assert hooks(importer) == before


def test_webhooks_follow_a_changed_public_address(importer):
    workflow = kept_updated(importer)
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, public_url="http://127.0.0.1:10")
    )
    again(importer, workflow)
    assert len(hooks(importer)) == len(importer.list_ids)
    assert all(url.startswith("http://127.0.0.1:10/") for _, url, *_ in hooks(importer))


def test_webhooks_of_others_are_left_alone(importer):
    target = importer.server.account.find_list(importer.list_ids[0])
    other = kept_updated(importer)
    workflow = kept_updated(importer)
    assert len(target.webhooks) == 2
    service.delete(importer.context, workflow.id)
    assert [f"/{other.id}/" in hook.url for hook in target.webhooks.values()] == [True]


def test_deleting_the_import_takes_its_webhooks_and_tokens_away(importer):
    workflow = kept_updated(importer)
    service.delete(importer.context, workflow.id)
    assert hooks(importer) == []
    assert receiver(importer.context.store, workflow.id) is None


def test_an_import_whose_list_is_gone_can_still_be_deleted(importer):
    workflow = kept_updated(importer, lists=importer.list_ids[:2])
    client = importer.server.account.clients[importer.client_id]
    del client.lists[importer.list_ids[0]]
    service.delete(importer.context, workflow.id)
    assert hooks(importer) == []


def test_an_import_that_never_ran_can_be_deleted(importer):
    service.delete(importer.context, importer.create().id)
    assert importer.server.simulator.calls.report()["total"] == 0


def test_without_a_public_address_the_log_says_that_there_are_no_webhooks(importer):
    importer.context = replace(importer.context, settings=replace(importer.context.settings, public_url=""))
    workflow = kept_updated(importer)
    assert hooks(importer) == []
    assert any("LISTBRIDGE_PUBLIC_URL is not set" in line for line in importer.log(workflow))


def test_an_import_without_webhooks_makes_none(importer):
    workflow = kept_updated(importer, webhooks=False)
    assert hooks(importer) == []
    assert receiver(importer.context.store, workflow.id) is None


@pytest.mark.parametrize("action", ["unsubscribe", "subscribe", "bounce", "delete", "update"])
def test_what_a_webhook_told_is_not_counted_again_when_lists_and_reports_are_read(importer, action):
    store, account = importer.context.store, importer.server.account
    account.clock.set(datetime.now(UTC) + timedelta(days=1))
    workflow = kept_updated(importer)
    target = account.find_list(importer.list_ids[0])
    campaign = next(iter(account.clients[importer.client_id].campaigns))
    email = next(person.email for person in target.subscribers.values() if person.state == "Active")
    if action == "subscribe":
        email = "new@example.org"
    importer.server.simulator.act(action, target.list_id, email, name="Name", campaign_id=campaign)
    told = [record for record in account.webhook_events if record.list_id == target.list_id]
    assert told
    known = receiver(store, workflow.id).account
    counts = receive(store, known, payload(target.list_id, [record.event for record in told]))
    assert (counts.accepted, counts.quarantined) == (2 * len(told), 0)
    before = importer.event_count()
    again(importer, workflow)
    assert importer.event_count() == before


def test_an_import_is_not_deleted_in_the_middle_of_a_run(importer, monkeypatch):
    workflow = importer.create()
    lease = Lease(importer.context.store, lease_of(workflow.id), 60_000)
    assert lease.acquire()
    monkeypatch.setattr(service, "RUN_END_SECONDS", 0.2)

    with pytest.raises(service.StillRunning):
        service.delete(importer.context, workflow.id)

    lease.release()
    service.delete(importer.context, workflow.id)
    assert registry.find(importer.context.store, workflow.id) is None


def test_what_a_late_worker_writes_about_a_deleted_workflow_goes_away(importer):
    workflow = importer.create()
    service.delete(importer.context, workflow.id)

    log.write(importer.context.store, workflow.id, "late")
    log.count(importer.context.store, workflow.id, {"api_calls": 1})

    assert log.read(importer.context.store, workflow.id) == []
    assert log.progress(importer.context.store, workflow.id) == {}
