"""Automated e-mails become events like campaigns do."""

import pytest

from listbridge.workflows import service
from listbridge.workflows.models import State


@pytest.fixture
def importer(importer_of):
    return importer_of(journeys=3, campaigns=1)


def emails_of(importer):
    client = importer.server.account.clients[importer.client_id]
    return [email for journey in client.journeys.values() for email in journey.emails]


def test_everything_about_automated_emails_becomes_events(importer):
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()
    ids = {email.email_id for email in emails_of(importer)}
    found = {fact[0] for fact in importer.stored() if fact[1] in ids}
    assert found == {"sent", "open", "click", "bounce"}
    assert max(importer.held().values()) > 1, "no equal rows in one minute"


def test_only_the_journeys_of_the_chosen_lists_are_read(importer):
    importer.import_all(lists=importer.list_ids[:1], webhooks=False)
    assert importer.stored() == importer.held(importer.list_ids[:1])


def test_who_gets_the_same_email_twice_was_sent_it_twice(importer):
    recipients = emails_of(importer)[0].reports["recipients"]
    first = recipients.rows()[0]
    recipients.add(type(first)(first.EmailAddress, "2026-01-02 03:04:00"))
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()


def test_a_second_run_asks_once_for_each_journey_and_finds_what_is_new(importer):
    workflow = importer.import_all(webhooks=False)
    calls = importer.server.simulator.calls

    def again():
        before = dict(calls.report()["by_endpoint"])
        service.resume(importer.context, workflow.id)
        importer.run(workflow)
        after = calls.report()["by_endpoint"]
        return {name: after[name] - before.get(name, 0) for name in after if "journeys" in name}

    assert sum(again().values()) == 1 + 3
    assert importer.server.simulator.produce_automated(20) >= 20
    spent = again()
    assert not spent.get("GET /journeys/email/{email_id}/unsubscribes")
    assert importer.stored() == importer.held()


def test_journeys_that_the_credential_may_not_see_are_set_aside(importer, monkeypatch):
    from listbridge.campaign_monitor import CampaignMonitor, PermissionMissing

    def refused(*_):
        raise PermissionMissing("You do not have the required permission", status=401, code=60)

    monkeypatch.setattr(CampaignMonitor, "journeys", refused)
    workflow = importer.create(webhooks=False)
    importer.run(workflow)
    assert importer.state(workflow).state is State.COMPLETED
    assert any(line.startswith("skipped journeys: they are not shown") for line in importer.log(workflow))
