"""What can't be read is set aside or asked for again; the rest goes on."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from listbridge.streams.log import tail
from listbridge.workflows import registry
from listbridge.workflows.models import State
from simulator import reports
from simulator.faults import Fault

PAGES = [
    "GET .*/active",
    "GET .*/opens",
    "GET .*/recipients",
    "GET .*/suppressionlist",
    "GET .*/campaigns.json",
]


@pytest.mark.parametrize("kind", ["200-html", "cut", "504-html"])
@pytest.mark.parametrize("match", PAGES)
def test_a_page_that_is_none_is_asked_for_again(importer, kind, match):
    importer.server.simulator.faults.add(Fault(kind=kind, match=match))
    workflow = importer.create(webhooks=False)
    assert importer.run(workflow) is None
    assert importer.state(workflow).state is State.SLEEPING
    importer.persist(registry.resume(importer.context.store, workflow.id))
    assert importer.stored() == importer.held()


def test_a_page_that_drips_is_given_up_and_asked_for_again(importer):
    importer.hurry(4, timeout_seconds=1.0)
    importer.server.simulator.faults.add(Fault(kind="drip", match="GET .*/opens", seconds=3))
    workflow = importer.create(webhooks=False)
    assert importer.run(workflow) is None
    assert (
        "longer than the read timeout" in importer.state(workflow).reason or importer.state(workflow).reason
    )
    importer.persist(registry.resume(importer.context.store, workflow.id))
    assert importer.stored() == importer.held()


@pytest.mark.parametrize("kind", ["401-permission", "401-hidden"])
def test_a_list_that_answers_401_is_set_aside_and_the_rest_goes_on(importer, kind):
    refused = importer.list_ids[1]
    importer.server.simulator.faults.add(Fault(kind=kind, match=f"GET .*/lists/{refused}/", times=-1))

    workflow = importer.import_all(webhooks=False)

    missing = importer.held() - importer.stored()
    assert {fact[:2] for fact in missing} == {("state", refused)}
    assert any(line.startswith("skipped") and "not shown" in line for line in importer.log(workflow))


@pytest.mark.parametrize("kind", ["401-permission", "401-hidden"])
def test_a_report_that_answers_401_is_set_aside_and_read_by_the_next_run(importer, kind):
    campaign = next(iter(importer.server.account.clients[importer.client_id].campaigns))
    importer.server.simulator.faults.add(Fault(kind=kind, match=f"GET .*/{campaign}/clicks"))
    workflow = importer.create(keep_updated=True, webhooks=False)
    importer.run(workflow)
    assert any(line.startswith("skipped") and "clicks" in line for line in importer.log(workflow))
    assert importer.stored() != importer.held()

    registry.wake(importer.context.store, workflow.id)
    importer.run(workflow)

    assert importer.stored() == importer.held()


def strange_rows(importer):
    """Rows that a report may have and that are no events of a list of ours; how many can't be read."""
    campaign = next(iter(importer.server.account.clients[importer.client_id].campaigns.values()))
    email, list_id = campaign.audience[0]
    date = campaign.reports["opens"].rows()[0].Date
    bounces = campaign.reports["bounces"]
    for made in (
        reports.Bounce("", list_id, "Soft", date, ""),
        reports.Bounce("nobody", list_id, "Soft", date, ""),
        reports.Bounce(email, "f" * 32, "Soft", date, ""),
        reports.Bounce(email, list_id, "Soft", "2026-02-30 10:00:00", ""),
        reports.Bounce(email, list_id, "Soft", "soon", ""),
    ):
        bounces.add(made)
    return bounces


def test_rows_that_can_not_be_read_are_set_aside_and_rows_of_other_lists_left_out(importer):
    before = Counter(importer.held())
    strange_rows(importer)

    importer.import_all(webhooks=False)
    importer.import_all(webhooks=False)

    assert importer.stored() == before
    aside = [
        line.split(b"\t", 2) for _, line in tail(importer.context.store, "quarantine", "cm_activity", 99)
    ]
    assert sorted(msgspec.json.decode(raw)["EmailAddress"] == "" for _, _, raw in aside) == [False] * 3 + [
        True
    ]


def test_a_time_that_the_zone_skips_is_read_with_the_offset_from_before(importer):
    client = importer.server.account.clients[importer.client_id]
    campaign = next(iter(client.campaigns.values()))
    email, list_id = campaign.audience[0]
    skipped = "2025-10-05 02:30:00"  # Sydney's clocks went from 2:00 to 3:00
    campaign.reports["bounces"].add(reports.Bounce(email, list_id, "Soft", skipped, ""))

    importer.import_all(webhooks=False)

    assert importer.stored() == importer.held()
    times = [fact[4] for fact in importer.stored() if fact[0] == "bounce" and fact[4] == 1_759_595_400_000]
    assert times, "16:30 UTC on the day before"


def test_a_campaign_that_is_deleted_between_listing_and_reading_is_set_aside(importer):
    campaigns = importer.server.account.clients[importer.client_id].campaigns
    gone = next(reversed(campaigns))
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, api_calls_in_flight=1)
    )
    importer.server.simulator.faults.add(
        Fault(kind="401-hidden", match=f"GET .*/{gone}/(?!summary|lists)", times=-1)
    )
    workflow = importer.import_all(webhooks=False)
    skipped = [line for line in importer.log(workflow) if line.startswith("skipped")]
    assert len(skipped) == 6
    missing = importer.held() - importer.stored()
    assert {fact[1] for fact in missing if fact[0] != "deactivate"} == {gone}
