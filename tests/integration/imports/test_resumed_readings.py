"""A reading that goes on after a break knows what came, and what left, during the break."""

import pytest

from listbridge.imports.cursors import cursors
from listbridge.workflows import registry
from listbridge.workflows.models import State


@pytest.fixture
def importer(importer_of):
    return importer_of(people=200, campaigns=1)


def stop_at(importer, workflow, cursor, wanted):
    """Run until the position of `cursor` is where it should be."""

    def stopping():
        held = cursors(importer.context.store, importer.client_id).get(cursor)
        return held is not None and wanted(held.position.partition("@")[0])

    importer.hurry(1)
    importer.run(workflow, stopping=stopping)
    assert importer.state(workflow).state is State.RUNNING, "it was never there"


def test_who_joins_during_a_break_is_found_when_the_reading_goes_on(importer):
    list_id = importer.list_ids[0]
    workflow = importer.create(keep_updated=True, webhooks=False)
    stop_at(importer, workflow, f"list:{list_id}:active", lambda position: "/" in position)

    importer.server.simulator.act("subscribe", list_id, "zoe@example.com", name="Zoe")
    importer.run(workflow)

    assert importer.state(workflow).state is State.SLEEPING
    assert importer.stored() == importer.held()


@pytest.mark.parametrize("answers_last_page", [False, True])
def test_recipients_that_became_fewer_during_a_break_are_read_again(importer, monkeypatch, answers_last_page):
    campaign = next(iter(importer.server.account.clients[importer.client_id].campaigns.values()))
    cursor = f"campaign:{campaign.campaign_id}:recipients:{campaign.audience[0][1]}"
    workflow = importer.create(keep_updated=True, webhooks=False)
    stop_at(importer, workflow, cursor, lambda position: position.startswith("2:"))

    report = campaign.reports["recipients"]
    del report.rows()[5:]
    report._orders.clear()
    if answers_last_page:
        answer_with_the_last_page(monkeypatch)
    for _ in range(2):
        registry.wake(importer.context.store, workflow.id)
        importer.run(workflow)

    position = cursors(importer.context.store, importer.client_id)[cursor].position
    assert position == "done:5"
    assert importer.held() - importer.stored() == type(importer.held())()


def answer_with_the_last_page(monkeypatch):
    """The service gives the last page when a later one is asked for."""
    from simulator import paging, wire

    def page(rows, request, ordered_by=""):
        last = max(-(-len(rows) // request.size), 1)
        number = min(request.number, last)
        made = paging.PageRequest(number, request.size, request.order_field, request.descending)
        return paging.envelope(paging.cut(rows, made), len(rows), made, ordered_by=ordered_by)

    monkeypatch.setattr(wire, "page", page)
