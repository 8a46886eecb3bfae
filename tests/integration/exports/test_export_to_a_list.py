"""Exports against the simulated API, over HTTP."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from simulated import IMPORT, minutes_from_now

from listbridge import authorizations
from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor import destination
from listbridge.mappings import active
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, plan
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from simulator import segments
from simulator.account import CustomField
from simulator.faults import Interjection

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"


@pytest.fixture(params=["replace", "append"], ids=["replaces", "appends"])
def either_reading(export, request):
    """Both readings of what an import does with the values of a field of many options."""
    export.account.switches.change({"import_multi_select": request.param})


def test_the_field_is_made_hidden_with_an_option_and_a_segment_for_each_audience(export):
    export.create("vip", "lapsed", labels={"vip": "Very important"})

    export.deliver()

    (field,) = export.list.fields
    assert (field.name, field.data_type, field.visible) == ("Lytics Audiences", "MultiSelectMany", False)
    assert sorted(field.options) == ["Very important", "lapsed"]
    assert sorted(s.title for s in export.list.segments.values()) == ["Very important", "lapsed"]


def test_no_segments_are_made_when_they_are_not_wanted(export):
    export.create("vip", segments=False)

    export.deliver()

    assert export.list.segments == {}


def test_a_list_is_prepared_once_and_again_when_an_audience_is_added(export):
    export.create("vip")
    export.deliver()
    before = export.server.simulator.calls.report()["total"]
    export.deliver()
    assert export.server.simulator.calls.report()["total"] == before

    export.create("lapsed")
    export.deliver()

    assert sorted(export.list.fields[0].options) == ["lapsed", "vip"]
    assert len(export.list.segments) == 2


@pytest.mark.usefixtures("either_reading")
@pytest.mark.also_on_a_cluster
def test_membership_follows_the_audiences(export):
    export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])

    export.happen(("enter", ANN, "lapsed"), ("exit", BOB, "vip"), ("enter", CID, "other"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.held(CID)) == (["lapsed", "vip"], [], None)

    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert export.held(ANN) == ["lapsed"]
    by_title = {s.title: s for s in export.list.segments.values()}
    assert [p.email for p in segments.members(by_title["lapsed"])] == [ANN]
    assert export.calls() == 3


@pytest.mark.usefixtures("either_reading")
def test_leaving_the_last_audience_clears_the_field_and_unsubscribes_nobody(export):
    export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    export.happen(("exit", ANN, "vip"))
    export.deliver()

    assert export.held(ANN) == []
    assert export.list.find(ANN).state == "Active"


@pytest.mark.usefixtures("either_reading")
@pytest.mark.also_on_a_cluster
def test_several_exports_into_one_list_hold_the_union(export):
    export.create("vip")
    second = export.create("lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", ANN, "lapsed"), ("enter", BOB, "lapsed"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == (["lapsed", "vip"], ["lapsed"])

    service.pause(export.context, second.id)
    export.happen(("exit", BOB, "lapsed"), ("enter", CID, "lapsed"), ("exit", ANN, "vip"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.held(CID)) == (["lapsed"], ["lapsed"], None)

    service.resume(export.context, second.id)
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.held(CID)) == (["lapsed"], [], ["lapsed"])

    service.stop(export.context, second.id)
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.held(CID)) == ([], [], [])


def test_a_paused_export_costs_nothing_and_catches_up(export):
    only = export.create("vip")
    export.deliver()
    service.pause(export.context, only.id)
    export.happen(("enter", ANN, "vip"))
    calls = export.server.simulator.calls.report()["total"]

    assert export.deliver() is None
    assert export.server.simulator.calls.report()["total"] == calls
    service.resume(export.context, only.id)
    export.deliver()

    assert export.held(ANN) == ["vip"]


def test_what_changed_while_an_export_had_failed_and_another_went_on_is_delivered(export):
    first = export.create("vip")
    export.deliver()
    registry.fail(export.context.store, first.id, "for the test")
    second = export.create("lapsed")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    service.stop(export.context, second.id)
    service.delete(export.context, second.id)
    assert export.held(ANN) is None

    service.resume(export.context, first.id)
    export.deliver()

    assert export.held(ANN) == ["vip"]


@pytest.mark.parametrize(("existing_users", "held"), [(False, None), (True, ["vip"])])
def test_who_was_in_the_audience_before_the_start(export, existing_users, held):
    export.happen(("enter", ANN, "vip"))
    export.create("vip", existing_users=existing_users)
    export.happen(("enter", BOB, "vip"))

    export.deliver()

    assert (export.held(ANN), export.held(BOB)) == (held, ["vip"])


def test_an_export_that_is_made_anew_takes_nothing_from_existing_members(export):
    old = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    service.delete(export.context, old.id)

    export.create("vip")
    export.deliver()
    assert export.held(ANN) == ["vip"]

    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert export.held(ANN) == []


def test_an_export_that_is_made_anew_with_another_field_fills_that_one(export):
    old = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    service.delete(export.context, old.id)

    export.create("vip", field_name="Audiences", existing_users=True)
    export.deliver()

    assert export.held(ANN, "Audiences") == ["vip"]


def test_name_and_mapped_attributes_travel_with_the_row(export):
    _add_text_field(export, "City")
    export.create("vip", name_field="full_name", field_mappings={"town": "City"})

    export.happen(("enter", ANN, "vip", {"fields": {"full_name": "Ann B", "town": "Paris"}}))
    export.deliver()

    person = export.list.find(ANN)
    assert (person.name, person.values["[City]"]) == ("Ann B", ["Paris"])


def test_a_profile_date_goes_into_a_date_field_as_a_day(export):
    export.list.fields.append(CustomField("Opted in", "[Optedin]", "Date", []))
    export.create("vip", field_mappings={"opted_in_at": "Opted in"})

    export.happen(("enter", ANN, "vip", {"opted_in_at": datetime(2026, 3, 9, 7, 30, tzinfo=UTC)}))
    export.deliver()

    assert export.list.find(ANN).values["[Optedin]"] == ["2026-03-09"]
    calls = export.calls()
    export.happen(("enter", ANN, "vip", {"opted_in_at": datetime(2026, 3, 9, 8, 30, tzinfo=UTC)}))
    export.deliver()
    assert export.calls() == calls


def test_a_value_of_251_characters_is_refused_with_a_clear_reason(export):
    _add_text_field(export, "City")
    export.create("vip", field_mappings={"town": "City"})
    export.happen(
        ("enter", ANN, "vip", {"fields": {"town": "x" * 251}}),
        ("enter", BOB, "vip", {"fields": {"town": "y" * 250}}),
    )

    result = export.deliver()

    assert (result.sent, result.refused) == (1, 1)
    assert export.refusals()[ANN].message == "the value for [City] has 251 characters; the limit is 250"
    assert export.held(ANN) is None
    export.happen(("enter", ANN, "vip", {"fields": {"town": "Paris"}}))
    export.deliver()
    assert (export.held(ANN), export.refusals()) == (["vip"], {})


def test_a_field_to_map_to_that_the_list_does_not_have_fails_the_workflow_with_what_it_has(export):
    _add_text_field(export, "City")
    only = export.create("vip", field_mappings={"town": "Town"})

    export.deliver()

    assert export.state(only) is State.FAILED
    assert "'Town'" in registry.get(export.context.store, only.id).reason
    _add_text_field(export, "Town")
    service.resume(export.context, only.id)
    export.happen(("enter", ANN, "vip", {"fields": {"town": "Paris"}}))
    export.deliver()
    assert export.list.find(ANN).values["[Town]"] == ["Paris"]


@pytest.mark.also_on_a_cluster
def test_people_whom_the_list_knows_as_unsubscribed_are_refused_and_stay_so(export):
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.create("vip")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))

    result = export.deliver()

    assert (result.sent, dict(result.refusals)) == (1, {"unsubscribed": 1})
    assert export.refusals()[ANN].message
    assert export.held(ANN) == "Unsubscribed"
    before = export.calls()
    service.pause(export.context, _only(export).id)
    service.resume(export.context, _only(export).id)
    export.deliver()
    assert export.calls() == before


@pytest.mark.parametrize("status_is_known", [True, False])
def test_a_later_opt_in_brings_back_whom_the_export_says_so_alone_in_a_flagged_call(export, status_is_known):
    for email in (ANN, CID):
        export.act("subscribe", email)
        export.act("unsubscribe", email)
        if status_is_known:
            export.tell_status(email)
    export.create("vip", resubscribe="when_opted_in_later")
    export.happen(
        ("enter", ANN, "vip", {"opted_in_at": minutes_from_now(2)}),
        ("enter", BOB, "vip", {"opted_in_at": minutes_from_now(2)}),
        ("enter", CID, "vip", {"opted_in_at": minutes_from_now(-2)}),
    )

    export.deliver()

    assert (export.held(ANN), export.held(BOB), export.held(CID)) == (["vip"], ["vip"], "Unsubscribed")
    assert [each["email"] for each in export.account.added_after_opt_out] == [ANN]
    assert export.calls() == 2


def test_an_export_that_does_not_say_so_brings_nobody_back(export):
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.tell_status(ANN)
    export.create("vip")

    export.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(2)}))
    export.deliver()

    assert export.held(ANN) == "Unsubscribed"
    assert export.calls() == 0


@pytest.mark.parametrize("kind", ["drop-after", "slow-after", "drop-before", "500", "504-html"])
@pytest.mark.usefixtures("either_reading")
def test_a_call_without_a_good_answer_leads_to_the_right_end(export, kind):
    export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.deliver()
    export.fault(kind)
    export.happen(("exit", ANN, "vip"), ("enter", BOB, "lapsed"), ("exit", BOB, "vip"), ("enter", CID, "vip"))

    assert export.deliver() is None
    export.happen(("exit", CID, "vip"))
    export.deliver_until_rest()

    assert (export.held(ANN), export.held(BOB), export.held(CID) or []) == ([], ["lapsed"], [])
    applied = kind in ("drop-after", "slow-after")
    assert (export.held(CID) is not None) is applied


def test_who_unsubscribes_while_a_call_is_cut_is_not_added_again(export):
    export.create("vip", resubscribe="when_opted_in_later")
    export.fault("drop-after")
    export.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(0)}))
    assert export.deliver() is None
    export.act("unsubscribe", ANN)

    export.deliver_until_rest()

    assert export.held(ANN) == "Unsubscribed"
    assert export.account.added_after_opt_out == []


def test_who_unsubscribes_just_before_a_call_is_refused(export):
    export.create("vip")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.server.simulator.faults.interject(Interjection(match=IMPORT, action="unsubscribe", people=1))

    export.deliver()
    export.deliver_until_rest()

    assert sorted(map(str, (export.held(ANN), export.held(BOB)))) == ["Unsubscribed", "['vip']"]
    assert export.account.added_after_opt_out == []
    assert [r.code for r in export.refusals().values()] == ["unsubscribed"]


@pytest.mark.parametrize("kind", ["429", "429-headers"])
def test_too_many_calls_put_the_workflow_to_sleep_and_nothing_is_lost(export, kind):
    only = export.create("vip")
    export.deliver()
    export.fault(kind, times=2, seconds=3.0)
    export.happen(("enter", ANN, "vip"))

    assert export.deliver() is None
    assert export.state(only) is State.SLEEPING
    assert export.deliver() is None
    assert export.calls() == 1

    export.deliver_until_rest()
    assert export.state(only) is State.RUNNING
    assert export.held(ANN) == ["vip"]


def test_a_revoked_key_fails_the_workflow_and_after_a_resume_all_arrives(export):
    only = export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.account.api_key = "another key"
    export.happen(("exit", ANN, "vip"), ("enter", BOB, "vip"))

    assert export.deliver() is None
    assert export.state(only) is State.FAILED
    assert registry.get(export.context.store, only.id).reason
    export.happen(("enter", CID, "lapsed"))
    assert export.deliver() is None

    export.account.api_key = "a" * 32
    service.resume(export.context, only.id)
    export.deliver()

    assert (export.held(ANN), export.held(BOB), export.held(CID)) == ([], ["vip"], ["lapsed"])


def test_an_export_whose_authorization_is_gone_fails_with_the_reason(export):
    only = export.create("vip")
    authorizations.delete(export.context.store, export.authorization.id)

    assert export.deliver() is None

    assert export.state(only) is State.FAILED
    assert "no authorization" in registry.get(export.context.store, only.id).reason


@pytest.mark.also_on_a_cluster
def test_2500_people_cost_three_calls(export):
    patient = replace(export.context.settings, api_read_timeout_seconds=30)
    export.context = replace(export.context, settings=patient)
    export.create("vip")
    for start in range(0, 2500, 500):
        export.happen(*(("enter", f"p{n}@example.com", "vip") for n in range(start, start + 500)))

    result = export.deliver()

    assert (result.sent, export.calls()) == (2500, 3)
    assert sum(p.state == "Active" for p in export.list.subscribers.values()) == 2500


def test_an_unexpected_problem_puts_the_export_to_sleep_and_is_raised(export, monkeypatch):
    only = export.create("vip")
    monkeypatch.setattr(destination.CampaignMonitorList, "prepare", lambda *_: {}["no such key"])

    with pytest.raises(KeyError):
        export.deliver()

    assert export.state(only) is State.SLEEPING
    assert "unexpected KeyError" in registry.get(export.context.store, only.id).reason


def _add_text_field(export, name):
    export.list.fields.append(CustomField(name, f"[{name}]", "Text", []))


def _only(export):
    (workflow,) = registry.exports_to(export.context.store, export.list.list_id)
    return workflow


def test_an_export_of_a_field_that_new_mappings_make_sends_it_though_its_process_has_old_ones(
    export, monkeypatch
):
    monkeypatch.setattr(active, "ASK_SECONDS", 600.0)
    _add_text_field(export, "Moves")
    export.create("vip", field_mappings={"moves": "Moves"})
    store = export.context.store
    export.deliver()
    text = """SELECT email(email) AS email KIND string, event AS moves KIND string
    FROM audience INTO USER BY email ALIAS own"""
    activate(store, plan(store, (*with_files([]), MappingText("own", "own.lql", text))))
    export.folder = Folder(store, ActivePrograms(store))
    assert export.context.program.version == 1

    export.happen(("enter", ANN, "vip"))
    export.deliver()

    assert export.list.find(ANN).values["[Moves]"] == ["enter"]
