"""What the second run costs, and that what is left alone is not lost."""

from dataclasses import replace

import pytest

from listbridge.campaign_monitor import revisits
from listbridge.imports import cursors as cursors_module
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import registry, service
from listbridge.workflows.models import State

DAY_MS = revisits.DAY_MS


@pytest.fixture
def importer(importer_of):
    return importer_of(small_pages=False, campaigns=12, people=150, activity_rows=3000)


def calls(importer):
    return dict(importer.server.simulator.calls.report()["by_endpoint"])


def cost(importer, workflow):
    """The calls of one more run, by endpoint."""
    before = calls(importer)
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    assert importer.state(workflow).state is State.COMPLETED, importer.state(workflow).reason
    spent = {name: count - before.get(name, 0) for name, count in calls(importer).items()}
    return {name: count for name, count in spent.items() if count}


def aged(importer, **changes):
    """Change what is kept of all readings, as if time had passed."""
    store, held = importer.context.store, cursors_module.cursors(importer.context.store, importer.client_id)
    for name, cursor in held.items():
        made = cursors_module.Resource(name, (name,), None)
        cursors_module.save(store, importer.client_id, made, replace(cursor, **changes))


def campaigns_of(importer):
    return importer.server.account.clients[importer.client_id].campaigns


def reports_in(spent):
    return {name: count for name, count in spent.items() if "/campaigns/" in name and "summary" not in name}


def test_a_second_run_over_an_unchanged_account_asks_for_nothing_twice(importer):
    workflow = importer.import_all(webhooks=False)
    spent = cost(importer, workflow)
    suppressed = sum(count for name, count in spent.items() if "suppression" in name)
    assert sum(spent.values()) - suppressed <= len(campaigns_of(importer)) + 6 * len(importer.list_ids) + 10
    assert not reports_in(spent)
    line = next(line for line in importer.log(workflow) if line.startswith("left alone"))
    assert f": {12 * 6 + len(importer.list_ids)} of" in line
    assert next(iter(campaigns_of(importer).values())).name in line
    assert importer.stored() == importer.held()


def test_only_the_reports_that_changed_are_read(importer):
    workflow = importer.import_all(webhooks=False)
    campaign = list(campaigns_of(importer).values())[-1]
    opened = campaign.reports["opens"].rows()[-1]
    campaign.reports["opens"].add(opened)
    spent = reports_in(cost(importer, workflow))
    assert {name.rsplit("/", 1)[1]: count for name, count in spent.items()} == {
        "opens": 1,
        "clicks": 1,
    }
    assert importer.stored() == importer.held()


def test_a_click_that_no_summary_tells_of_is_found_when_the_report_is_looked_at_again(importer):
    workflow = importer.import_all(webhooks=False)
    campaign = list(campaigns_of(importer).values())[-1]
    campaign.reports["clicks"].add(campaign.reports["clicks"].rows()[-1])
    assert not reports_in(cost(importer, workflow))
    assert importer.stored() != importer.held()
    aged(importer, complete_from=now_ms() - 8 * DAY_MS)
    assert reports_in(cost(importer, workflow))
    assert importer.stored() == importer.held()


def test_a_row_with_an_old_date_is_found_by_a_whole_reading(importer):
    workflow = importer.import_all(webhooks=False)
    campaign = next(iter(campaigns_of(importer).values()))
    campaign.reports["clicks"].add(campaign.reports["clicks"].rows()[0])
    aged(importer, complete_from=now_ms() - 31 * DAY_MS)
    cost(importer, workflow)
    assert importer.stored() != importer.held()
    assert not [line for line in importer.log(workflow) if "from the beginning again" in line]
    aged(importer, whole_from=now_ms() - 400 * DAY_MS)
    cost(importer, workflow)
    assert importer.stored() == importer.held()
    assert any("from the beginning again" in line for line in importer.log(workflow))


def test_recipients_are_read_again_when_there_are_more(importer):
    workflow = importer.import_all(webhooks=False)
    campaign = list(campaigns_of(importer).values())[-1]
    recipients = campaign.reports["recipients"]
    recipients.add(type(recipients.rows()[0])("zoe@example.com", campaign.audience[0][1]))
    spent = reports_in(cost(importer, workflow))
    assert {name.rsplit("/", 1)[1] for name in spent} == {"recipients", "bounces"}
    assert importer.stored() == importer.held()


def test_people_who_join_are_found_and_others_rest(importer):
    workflow = importer.import_all(webhooks=False)
    list_id = importer.list_ids[0]
    importer.server.simulator.act("subscribe", list_id, "zoe@example.com", name="Zoe")
    spent = cost(importer, workflow)
    assert sum(count for name, count in spent.items() if name.endswith("/active")) == 1
    assert sum(count for name, count in spent.items() if name.endswith("/unsubscribed")) == 3
    assert importer.stored() == importer.held()


def test_old_campaigns_are_visited_less_often_by_an_import_that_is_kept_updated(importer):
    workflow = importer.create(keep_updated=True, webhooks=False)
    importer.run(workflow)

    def visits():
        return sum(count for name, count in calls(importer).items() if "summary" in name)

    before = visits()
    registry.wake(importer.context.store, workflow.id)
    importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING
    assert visits() == before
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    assert visits() == before + len(campaigns_of(importer))


def test_the_lists_of_a_campaign_are_asked_for_once(importer):
    workflow = importer.import_all(webhooks=False)
    assert not [name for name in cost(importer, workflow) if "listsandsegments" in name]
    assert importer.context.store.client.hlen(keys.remembered(importer.client_id)) > 0


def test_a_campaign_that_is_deleted_while_the_account_is_read_is_set_aside(importer):
    campaigns = campaigns_of(importer)
    gone = list(campaigns.values())[5]
    made = importer.server.simulator.calls

    def stopping():
        if made.report()["total"] > 40:
            campaigns.pop(gone.campaign_id, None)
        return False

    workflow = importer.create(webhooks=False)
    importer.run(workflow, stopping=stopping)
    assert importer.state(workflow).state is State.COMPLETED
    assert any(line.startswith("skipped") and gone.name in line for line in importer.log(workflow))
    assert importer.stored() >= importer.held()


def test_a_list_that_is_not_shown_any_more_is_set_aside_and_the_rest_goes_on(importer, monkeypatch):
    from listbridge.campaign_monitor import CampaignMonitor, NotVisible

    hidden, real = importer.list_ids[0], CampaignMonitor.list_stats

    def stats(self, list_id):
        if list_id == hidden:
            raise NotVisible("Invalid ListID", status=401, code=101)
        return real(self, list_id)

    monkeypatch.setattr(CampaignMonitor, "list_stats", stats)
    workflow = importer.import_all(webhooks=False)
    assert any("Newsletter" in line and "not shown" in line for line in importer.log(workflow))
    missing = importer.held() - importer.stored()
    assert {fact[:2] for fact in missing} == {("state", hidden)}
