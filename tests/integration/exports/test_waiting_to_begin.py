"""An export that was made to wait has no say in a list before it is first resumed."""

import pytest

from listbridge.jobs.plan import plan_export
from listbridge.jobs.trial import try_out
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from simulator.account import CustomField

ANN = "ann@example.com"
FIELD, CITY = "[LyticsAudiences]", "[City]"


@pytest.fixture
def running(export):
    """An export that runs, with Ann in its audience."""
    export.running = export.create("vip", existing_users=True)
    export.happen(("enter", ANN, "vip", {"fields": {"town": "Paris"}}))
    return export


def waiting(export, **settings):
    config = {
        "client_id": export.client.client_id,
        "list_id": export.list.list_id,
        "audiences": ["vip"],
        "consent_to_track": "Yes",
        "existing_users": True,
        **settings,
    }
    return service.create_export(export.context, export.running.authorization_id, config, paused=True)


def values(export):
    return dict(export.list.find(ANN).values)


def test_a_field_that_it_maps_and_the_list_lacks_stops_no_other_export(running):
    running.deliver()
    waiting(running, field_mappings={"town": "Nope"})

    running.deliver()

    assert registry.get(running.context.store, running.running.id).state is State.RUNNING


def test_it_makes_nothing_and_sends_nothing_through_another_export(running):
    made = waiting(running, field_mappings={"town": "City"}, create_fields=True)

    running.deliver()
    before = [each.key for each in running.list.fields], values(running)
    service.resume(running.context, made.id)
    running.deliver()

    assert before == ([FIELD], {FIELD: ["vip"]})
    assert values(running) == {FIELD: ["vip"], CITY: ["Paris"]}


def test_an_older_one_that_waits_gives_no_consent(export):
    export.running = service.pause(export.context, export.create("vip").id)
    waiting(export, audiences=["gold"], consent_to_track="Yes")
    service.stop(export.context, export.running.id)
    export.create("vip", existing_users=True, consent_to_track="No")
    export.happen(("enter", ANN, "vip"))

    export.deliver()

    assert export.client.consent[ANN] == "No"


def test_its_plan_and_its_trial_go_by_its_own_settings(running):
    running.list.fields.append(CustomField("City", CITY, "Text", []))
    running.deliver()
    made = waiting(running, field_mappings={"town": "City"})

    planned = plan_export(running.context, made.id)
    try_out(running.context, made.id, ANN)

    assert (planned.outcomes["updated"], values(running)[CITY]) == (1, ["Paris"])
    running.deliver()
    assert registry.get(running.context.store, running.running.id).state is State.RUNNING


def test_one_that_was_paused_later_keeps_its_say(running):
    running.list.fields.append(CustomField("City", CITY, "Text", []))
    made = waiting(running, field_mappings={"town": "City"})
    service.resume(running.context, made.id)
    service.pause(running.context, made.id)

    running.deliver()

    assert values(running)[CITY] == ["Paris"]
