"""What an account holds becomes exactly its events, whoever reads it and however often."""

from collections import Counter

import pytest

from listbridge.workflows import care, service
from listbridge.workflows.models import State


def kinds(facts):
    """How many facts there are of each kind."""
    counts = Counter()
    for fact, count in facts.items():
        counts[fact[0]] += count
    return counts


def test_everything_that_the_account_holds_becomes_its_events(importer):
    simulator, account = importer.server.simulator, importer.server.account
    target = account.find_list(importer.list_ids[0])
    email = next(person.email for person in target.subscribers.values() if person.state == "Active")
    campaign = next(iter(account.clients[importer.client_id].campaigns))
    simulator.act("spam", target.list_id, email, campaign_id=campaign)
    importer.import_all(webhooks=False)
    assert kinds(importer.stored()) == kinds(importer.held())
    assert importer.stored() == importer.held()
    assert set(kinds(importer.held())) == {"state", "sent", "open", "click", "bounce", "deactivate"}
    assert {fact[-1] for fact in importer.held() if fact[0] == "deactivate"} == {"unsubscribe", "spam"}
    assert max(importer.held().values()) > 1, "no equal rows in one minute"


@pytest.mark.parametrize(
    "switches",
    [
        {"date_filter": "exclusive"},
        {"empty_page_count": 0},
        {"bracketed_keys": False},
    ],
    ids=str,
)
def test_what_sources_disagree_on_makes_no_difference(importer, switches):
    importer.server.account.switches.change(switches)
    importer.import_all(webhooks=False)
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()


def test_pages_of_the_full_size_give_the_same(importer_of):
    importer = importer_of(small_pages=False)
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()


def test_a_second_run_adds_only_what_is_new(importer):
    workflow = importer.create(keep_updated=True, webhooks=False)
    first = importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING
    service.resume(importer.context, workflow.id)
    second = importer.run(workflow)
    assert (first.duplicates, second.accepted) == (0, 0)
    added = importer.server.simulator.produce(30)
    service.resume(importer.context, workflow.id)
    third = importer.run(workflow)
    assert third.accepted >= sum(added.values())
    assert importer.held() <= importer.stored()


def test_an_import_that_is_done_can_be_run_once_more_and_adds_nothing(importer):
    workflow = importer.import_all(webhooks=False)
    assert importer.state(workflow).state is State.COMPLETED
    service.resume(importer.context, workflow.id)
    assert importer.run(workflow).accepted == 0
    assert importer.state(workflow).state is State.COMPLETED


def test_an_import_that_is_deleted_and_made_again_adds_nothing(importer):
    service.delete(importer.context, importer.import_all(webhooks=False).id)
    before = importer.stored()
    again = importer.create(webhooks=False)
    assert importer.run(again).accepted == 0
    assert importer.stored() == before


def test_two_imports_that_overlap_count_nothing_twice(importer):
    first, second, third = importer.list_ids
    importer.import_all(lists=[first, second], webhooks=False)
    importer.import_all(lists=[second, third], webhooks=False)
    assert importer.stored() == importer.held()


def test_rows_of_lists_that_were_not_chosen_are_left_out(importer):
    chosen = importer.list_ids[:1]
    importer.import_all(lists=chosen, webhooks=False)
    assert importer.stored() == importer.held(chosen)


def test_a_list_that_is_added_later_gets_its_rows_of_old_campaigns_and_only_those(importer):
    old, new = importer.list_ids[:2], importer.list_ids[2:]
    importer.import_all(lists=old, webhooks=False)
    again = importer.create(lists=importer.list_ids, webhooks=False)
    result = importer.run(again)
    assert result.accepted == importer.held(new).total()
    assert importer.stored() == importer.held()


def test_a_changed_time_zone_neither_doubles_nor_hides_anything(importer):
    importer.import_all(webhooks=False)
    before = importer.stored()
    importer.server.account.clients[importer.client_id].time_zone = "(GMT-08:00) Pacific Time (US & Canada)"
    workflow = importer.create(webhooks=False)
    assert importer.run(workflow) is None
    care.confirm_zone(importer.context, workflow.id, "America/Los_Angeles")
    importer.run(workflow)
    assert importer.state(workflow).state is State.COMPLETED
    assert importer.stored() == before
    added = importer.server.simulator.produce(20)
    importer.import_all(webhooks=False)
    for kind in ("open", "click"):
        assert kinds(importer.stored() - before)[kind] >= added[f"{kind}s"]


def test_progress_and_log_say_what_was_done(importer):
    workflow = importer.import_all(webhooks=False)
    shown = service.shown(importer.context, workflow)["progress"]
    events = importer.held().total()
    assert (shown["events"], shown["runs"]) == (events, 1)
    assert shown["api_calls"] == importer.server.simulator.calls.report()["total"]
    assert "run_started_at" not in shown
    lines = importer.log(workflow)
    assert any(line.startswith("client Meridian Travel, time zone Australia/Sydney") for line in lines)
    assert any(f"{events} new events" in line for line in lines)
    assert importer.folds


def test_no_address_is_in_the_log(importer):
    workflow = importer.import_all(webhooks=False)
    assert not [line for line in importer.log(workflow) if "@" in line]


def test_an_unknown_time_zone_fails_with_its_label(importer):
    zones = importer.server.account.clients[importer.client_id]
    label = "(GMT+12:00) Atlantis, Lyonesse"
    zones.time_zone = label
    workflow = importer.create(webhooks=False)
    assert importer.run(workflow) is None
    held = importer.state(workflow)
    assert (held.state, label in held.reason) == (State.FAILED, True)
    assert not importer.stored()


def test_a_list_that_the_client_does_not_have_fails_with_those_that_it_has(importer):
    workflow = importer.create(lists=["nosuchlist"], webhooks=False)
    importer.run(workflow)
    held = importer.state(workflow)
    assert held.state is State.FAILED
    assert "nosuchlist" in held.reason
    assert "Newsletter" in held.reason


def test_a_wrong_key_fails_and_nothing_is_lost(importer):
    key, importer.server.account.api_key = importer.server.account.api_key, "another"
    workflow = importer.create(webhooks=False)
    importer.run(workflow)
    assert importer.state(workflow).state is State.FAILED
    importer.server.account.api_key = key
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    assert importer.stored() == importer.held()
