"""The options of an export, each against the simulated API."""

import pytest
from marshmallow import ValidationError
from simulated import minutes_from_now

from listbridge.exports.ledger import dropped_of
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import State
from simulator.account import CustomField

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"
PUT = "PUT /subscribers/{list}"
UNSUBSCRIBE = "POST /subscribers/{list}/unsubscribe"
LOOK_UP = "GET /subscribers/{list}"


def with_fields(**fields):
    return {"fields": fields}


def values_of(export, email):
    return {key: held for key, held in export.list.find(email).values.items() if key != "[LyticsAudiences]"}


def lines(export, workflow):
    return " | ".join(str(each["message"]) for each in log.read(export.context.store, workflow.id, 50))


# mode


def test_update_only_changes_who_is_there_and_adds_nobody(export):
    export.act("subscribe", ANN, name="Ann")
    export.create("vip", mode="update_only", name_field="full")
    export.happen(
        ("enter", ANN, "vip", with_fields(full="Anna")), ("enter", BOB, "vip", with_fields(full="Bob"))
    )

    export.deliver()

    assert (export.held(ANN), export.list.find(ANN).name, export.list.find(BOB)) == (["vip"], "Anna", None)
    assert {key: each.code for key, each in export.refusals().items()} == {BOB: "not_in_list"}
    assert (export.calls(), export.calls(PUT)) == (0, 2)
    export.deliver()
    assert export.calls(PUT) == 2


def test_who_subscribes_later_is_updated_then(export):
    export.create("vip", mode="update_only")
    export.happen(("enter", BOB, "vip"))
    export.deliver()
    export.act("subscribe", BOB)
    export.tell_status(BOB)

    export.deliver()

    assert (export.held(BOB), export.refusals()) == (["vip"], {})


def test_update_only_clears_the_field_of_who_leaves_and_keeps_options_of_others(export):
    export.list.fields.append(
        CustomField("Lytics Audiences", "[LyticsAudiences]", "MultiSelectMany", ["theirs"])
    )
    export.act("subscribe", ANN, values={"[LyticsAudiences]": ["theirs"]})
    export.create("vip", mode="update_only")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    assert sorted(export.held(ANN)) == ["theirs", "vip"]

    export.happen(("exit", ANN, "vip"))
    export.deliver()

    assert export.held(ANN) == ["theirs"]


def test_a_cut_update_is_made_again(export):
    export.act("subscribe", ANN)
    export.create("vip", mode="update_only")
    export.happen(("enter", ANN, "vip"))
    export.fault("drop-before", match=r"PUT .*/subscribers/")

    export.deliver_until_rest()

    assert export.held(ANN) == ["vip"]


def test_many_updates_are_made_one_by_one_in_several_passes(export, monkeypatch):
    monkeypatch.setattr("listbridge.exports.engine.SINGLES_AT_ONCE", 5)
    people = [f"p{number}@example.com" for number in range(40)]
    for each in people:
        export.act("subscribe", each)
    export.create("vip", mode="update_only")
    export.happen(*(("enter", each, "vip") for each in people))

    export.deliver()

    assert {tuple(export.held(each)) for each in people} == {("vip",)}
    assert export.calls(PUT) == 40


def test_add_only_adds_others_and_changes_nobody(export):
    export.act("subscribe", ANN, name="Ann")
    export.act("subscribe", CID)
    export.act("unsubscribe", CID)
    export.create("vip", mode="add_only", name_field="full")
    people = [("enter", each, "vip", with_fields(full="New")) for each in (ANN, BOB, CID)]
    export.happen(*people)

    export.deliver()

    assert (export.held(ANN), export.list.find(ANN).name) == ([], "Ann")
    assert (export.held(BOB), export.held(CID)) == (["vip"], "Unsubscribed")
    assert {key: each.code for key, each in export.refusals().items()} == {ANN: "in_list", CID: "in_list"}
    assert (export.calls(), export.calls(LOOK_UP)) == (1, 3)

    export.happen(("exit", BOB, "vip", with_fields(full="Newer")), ("exit", ANN, "vip"))
    export.happen(("enter", ANN, "vip", with_fields(full="Newest")))
    export.deliver()
    assert (export.held(BOB), export.list.find(BOB).name, export.list.find(ANN).name) == (
        ["vip"],
        "New",
        "Ann",
    )
    assert (export.calls(), export.calls(LOOK_UP)) == (1, 3)


def test_who_is_known_to_be_in_the_list_costs_add_only_no_call(export):
    export.act("subscribe", ANN)
    export.create("vip", mode="add_only")
    export.tell_status(ANN)
    export.happen(("enter", ANN, "vip"))

    export.deliver()

    assert (export.held(ANN), export.calls(LOOK_UP)) == ([], 0)


@pytest.mark.parametrize("fault", ["drop-before", "drop-after"])
def test_an_add_without_an_answer_is_settled_by_a_look_up(export, fault):
    export.create("vip", mode="add_only")
    export.happen(("enter", ANN, "vip"))
    export.fault(fault)

    export.deliver_until_rest()

    assert (export.held(ANN), export.refusals()) == (["vip"], {})


# on_exit


def test_who_leaves_the_last_audience_is_unsubscribed_and_the_field_is_empty(export):
    made = export.create("vip", "lapsed", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"), ("enter", ANN, "lapsed"), ("enter", BOB, "vip"))
    export.deliver()

    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert (export.held(ANN), export.calls(UNSUBSCRIBE)) == (["lapsed"], 0)

    export.happen(("exit", ANN, "lapsed"), ("exit", BOB, "vip"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ("Unsubscribed", "Unsubscribed")
    assert export.list.find(ANN).values == {}
    assert (export.calls(), export.calls(UNSUBSCRIBE)) == (3, 2)
    assert "unsubscribed 2" in lines(export, made)

    export.deliver()
    assert export.calls(UNSUBSCRIBE) == 2


def test_who_was_unsubscribed_on_exit_stays_so_when_they_enter_again(export):
    export.create("vip", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.happen(("exit", ANN, "vip"))
    export.deliver()

    export.happen(("enter", ANN, "vip"))
    export.deliver()

    assert export.held(ANN) == "Unsubscribed"
    assert [each.code for each in export.refusals().values()] == ["unsubscribed"]


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "500"])
def test_unsubscribing_that_fails_is_done_again(export, fault):
    export.create("vip", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.fault(fault, match=r"POST .*/unsubscribe\.json")
    export.happen(("exit", ANN, "vip"))

    export.deliver_until_rest()

    assert export.held(ANN) == "Unsubscribed"


def test_who_enters_again_before_a_failed_unsubscribing_is_repeated_stays(export):
    export.create("vip", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.fault("429", match=r"POST .*/unsubscribe\.json", times=1)
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    export.happen(("enter", ANN, "vip"))

    export.deliver_until_rest()

    assert export.held(ANN) == ["vip"]


def test_who_came_back_by_themselves_is_not_unsubscribed_again(export):
    export.create("vip", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.fault("drop-after", match=r"POST .*/unsubscribe\.json")
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert export.held(ANN) == "Unsubscribed"
    export.account.clock.advance(120)
    export.act("subscribe", ANN)
    export.tell_status(ANN)

    export.deliver_until_rest()

    assert export.held(ANN) == []


def test_a_stopped_export_unsubscribes_nobody(export):
    made = export.create("vip", on_exit="unsubscribe")
    export.create("lapsed")
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    service.stop(export.context, made.id)
    export.deliver()

    assert export.held(ANN) == []


def test_who_is_in_an_audience_of_another_export_stays(export):
    export.create("vip", on_exit="unsubscribe")
    export.create("lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", ANN, "lapsed"))
    export.deliver()

    export.happen(("exit", ANN, "vip"))
    export.deliver()

    assert export.held(ANN) == ["lapsed"]


def test_nothing_happens_on_exit_where_that_is_wanted(export):
    export.create("vip", "lapsed", on_exit="nothing")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert (export.held(ANN), export.calls()) == (["vip"], 1)

    export.happen(("enter", ANN, "lapsed"))
    export.deliver()
    assert export.held(ANN) == ["lapsed", "vip"]


def test_unsubscribing_from_all_lists_has_to_be_said_too(export):
    export.list.unsubscribe_setting = "AllClientLists"
    with pytest.raises(ValidationError) as refused:
        export.create("vip", on_exit="unsubscribe")
    assert "unsubscribe_from_all_lists" in refused.value.messages["on_exit"][0]
    assert registry.list_all(export.context.store) == []

    other = export.account.add_list(export.client, "Another")
    export.server.simulator.act("subscribe", other.list_id, ANN)
    export.create("vip", on_exit="unsubscribe", unsubscribe_from_all_lists=True)
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert (export.held(ANN), other.find(ANN).state) == ("Unsubscribed", "Unsubscribed")


def test_a_list_that_takes_people_off_all_lists_by_now_stops_the_unsubscribing(export):
    made = export.create("vip", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.list.unsubscribe_setting = "AllClientLists"
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    assert (export.state(made), export.held(ANN)) == (State.FAILED, [])
    assert "takes people off all lists" in registry.get(export.context.store, made.id).reason

    export.list.unsubscribe_setting = "OnlyThisList"
    service.resume(export.context, made.id)
    export.deliver_until_rest()
    assert export.held(ANN) == "Unsubscribed"


# autoresponders


def test_automations_restart_only_for_who_is_resubscribed(export):
    export.create("vip", resubscribe="when_opted_in_later", restart_autoresponders=True)
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.tell_status(ANN)
    export.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(3)}), ("enter", BOB, "vip"))

    export.deliver()

    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])
    assert [(each["email"], each["how"]) for each in export.account.automations] == [(ANN, "restarted")]


def test_automations_are_queued_for_new_people_and_not_again_after_a_cut(export):
    export.create("vip", queue_autoresponders=True)
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.fault("drop-before")
    export.happen(("enter", BOB, "vip"))
    export.deliver_until_rest()

    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])
    assert [each["email"] for each in export.account.automations] == [ANN]


@pytest.mark.parametrize("too", [False, True])
def test_a_backfill_queues_automations_only_when_that_is_said_too(export, too):
    export.happen(("enter", ANN, "vip"))
    export.create("vip", existing_users=True, queue_autoresponders=True, queue_autoresponders_on_backfill=too)

    export.deliver()

    assert export.held(ANN) == ["vip"]
    assert [each["email"] for each in export.account.automations] == ([ANN] if too else [])


# consent and mobile numbers


def test_consent_is_a_profile_field_or_the_constant(export):
    export.create("vip", consent_to_track="No", consent_to_track_field="tracking")
    export.happen(
        ("enter", ANN, "vip", with_fields(tracking="yes")),
        ("enter", BOB, "vip", with_fields(tracking="who knows")),
        ("enter", CID, "vip"),
    )
    export.deliver()
    assert [export.client.consent[each] for each in (ANN, BOB, CID)] == ["Yes", "No", "No"]
    assert export.calls() == 1

    export.happen(("enter", ANN, "vip", with_fields(tracking="no")))
    export.deliver()
    assert (export.client.consent[ANN], export.calls()) == ("No", 2)
    export.deliver()
    assert export.calls() == 2


def test_mobile_numbers_are_sent_as_e164_with_their_consent(export):
    made = export.create(
        "vip",
        mobile_field="mobile",
        mobile_region="SE",
        consent_to_sms="No",
        consent_to_sms_field="sms",
    )
    export.happen(
        ("enter", ANN, "vip", with_fields(mobile="070-123 45 67", sms="yes")),
        ("enter", BOB, "vip", with_fields(mobile="call me")),
        ("enter", CID, "vip", with_fields(mobile="+1 212 555 0123")),
    )

    export.deliver()

    people = [export.list.find(each) for each in (ANN, BOB, CID)]
    assert [each.mobile for each in people] == ["+46701234567", "", "+12125550123"]
    assert [each.sms_consent for each in people] == ["Yes", "", "No"]
    assert export.held(BOB) == ["vip"]
    dropped = dropped_of(export.context.store, export.list.list_id)
    assert [(key, field) for key, ((field, _),) in dropped.items()] == [(BOB, "mobile")]
    assert "1 people's value for mobile" in lines(export, made)

    export.happen(("enter", ANN, "vip", with_fields(mobile="070-765 43 21", sms="yes")))
    export.deliver()
    assert export.list.find(ANN).mobile == "+46707654321"


# custom fields


def typed(field, kind, **more):
    return {"field": field, "type": kind, **more}


def test_missing_fields_are_made_with_their_types_and_options(export):
    export.list.fields.append(CustomField("Tier", "[Tier]", "MultiSelectOne", ["gold"]))
    export.create(
        "vip",
        create_fields=True,
        field_mappings={
            "town": "City",
            "trips": typed("Trips", "Number"),
            "born": typed("Born", "Date"),
            "tier": typed("Tier", "MultiSelectOne", options=["gold", "silver"]),
            "channels": typed("Channels", "MultiSelectMany", options=["email", "web", "shop"]),
            "land": typed("Land", "Country"),
        },
        templates={"Origin": "Listbridge, {town}"},
    )
    export.happen(
        (
            "enter",
            ANN,
            "vip",
            with_fields(
                town="Lund",
                trips=3,
                born="1987-06-05T10:00:00Z",
                tier="silver",
                channels="web",
                land="spain",
            ),
        )
    )

    export.deliver()

    kinds = {each.name: each.data_type for each in export.list.fields if each.name != "Lytics Audiences"}
    assert kinds == {
        "Tier": "MultiSelectOne",
        "City": "Text",
        "Trips": "Number",
        "Born": "Date",
        "Channels": "MultiSelectMany",
        "Land": "Country",
        "Origin": "Text",
    }
    assert values_of(export, ANN) == {
        "[City]": ["Lund"],
        "[Trips]": ["3"],
        "[Born]": ["1987-06-05"],
        "[Tier]": ["silver"],
        "[Channels]": ["web"],
        "[Land]": ["Spain"],
        "[Origin]": ["Listbridge, Lund"],
    }


@pytest.mark.parametrize("reading", ["replace", "append"])
def test_options_that_a_profile_lost_are_cleared_by_either_reading(export, reading):
    export.account.switches.change({"import_multi_select": reading})
    export.list.fields.append(CustomField("Channel", "[Channel]", "MultiSelectMany", ["web", "shop"]))
    export.create("vip", field_mappings={"channel": "Channel"})
    export.happen(("enter", ANN, "vip", with_fields(channel="web")))
    export.deliver()
    export.happen(("enter", ANN, "vip", with_fields(channel="shop")))
    export.deliver()
    assert values_of(export, ANN) == {"[Channel]": ["shop"]}


def test_a_missing_field_is_said_where_none_are_made(export):
    made = export.create("vip", field_mappings={"town": "City"})
    export.deliver()
    assert export.state(made) is State.FAILED
    assert "create_fields" in registry.get(export.context.store, made.id).reason


def test_a_field_of_another_type_is_said(export):
    export.list.fields.append(CustomField("Trips", "[Trips]", "Text", []))
    made = export.create("vip", field_mappings={"trips": typed("Trips", "Number")})
    export.deliver()
    assert export.state(made) is State.FAILED
    assert (
        "'Trips' is Text; the export maps it as Number" in registry.get(export.context.store, made.id).reason
    )


def test_where_a_profile_has_no_value_the_field_stays_or_is_emptied(export):
    for name in ("Kept", "Emptied"):
        export.list.fields.append(CustomField(name, f"[{name}]", "Text", []))
    export.act("subscribe", ANN, values={"[Kept]": ["theirs"], "[Emptied]": ["theirs"]})
    export.create(
        "vip",
        field_mappings={"kept": "Kept", "emptied": {"field": "Emptied", "when_null": "clear"}},
    )
    export.happen(("enter", ANN, "vip"))

    export.deliver()
    assert values_of(export, ANN) == {"[Kept]": ["theirs"]}
    assert export.calls() == 1

    service_rewound(export)
    export.deliver()
    assert export.calls() == 1


def service_rewound(export):
    (only,) = registry.exports_to(export.context.store, export.list.list_id)
    service.pause(export.context, only.id)
    service.resume(export.context, only.id)


SET_ONCE = {"town": {"field": "City", "when_null": "set_if_empty"}}


def test_a_value_is_set_only_where_the_list_has_none(export):
    export.list.fields.append(CustomField("City", "[City]", "Text", []))
    export.act("subscribe", ANN, values={"[City]": ["Paris"]})
    export.act("subscribe", BOB)
    export.create("vip", field_mappings=SET_ONCE)
    export.happen(*(("enter", each, "vip", with_fields(town="Lund")) for each in (ANN, BOB, CID)))
    export.deliver()
    assert [values_of(export, each) for each in (ANN, BOB, CID)] == [
        {"[City]": ["Paris"]},
        {"[City]": ["Lund"]},
        {"[City]": ["Lund"]},
    ]

    export.happen(*(("enter", each, "vip", with_fields(town="Rome")) for each in (ANN, BOB, CID)))
    export.deliver()
    assert values_of(export, BOB) == {"[City]": ["Lund"]}
    assert export.calls() == 1


def test_a_value_to_set_once_survives_a_cut(export):
    export.list.fields.append(CustomField("City", "[City]", "Text", []))
    export.create("vip", field_mappings=SET_ONCE)
    export.happen(("enter", ANN, "vip", with_fields(town="Lund")))
    export.deliver()
    export.fault("drop-before")
    export.happen(("enter", BOB, "vip", with_fields(town="Lund")))

    export.deliver_until_rest()

    assert values_of(export, BOB) == {"[City]": ["Lund"]}


def test_an_export_that_sets_once_reads_the_list_though_another_was_there_before(export):
    export.list.fields.append(CustomField("City", "[City]", "Text", []))
    export.act("subscribe", ANN, values={"[City]": ["Paris"]})
    export.create("vip")
    export.happen(("enter", ANN, "vip", with_fields(town="Lund")))
    export.deliver()

    export.create("lapsed", field_mappings=SET_ONCE)
    export.deliver()
    export.happen(("enter", ANN, "lapsed", with_fields(town="Rome")))
    export.deliver()

    assert values_of(export, ANN) == {"[City]": ["Paris"]}
    assert sorted(export.held(ANN)) == ["lapsed", "vip"]
