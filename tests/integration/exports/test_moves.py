"""A changed address moves the subscriber, against a simulated list."""

import json

import pytest
from addressed import (
    ANN,
    BOB,
    CAT,
    FIELD,
    LOOK,
    NEW,
    NEWER,
    OLD,
    PUT,
    UPDATE,
    B,
    C,
    changes,
    codes,
    create,
    delivered,
    enters,
    offer_options,
    others_write,
    rested,
    states,
)
from simulated import minutes_from_now

from listbridge.campaign_monitor.events import Account as Feed
from listbridge.campaign_monitor.incoming import receive
from listbridge.campaign_monitor.timezones import zone
from listbridge.exports import sending
from listbridge.streams.log import tail
from listbridge.workflows import service
from simulator.account import Webhook
from simulator.changes import suppress
from simulator.webhooks import payload


@pytest.fixture
def export(export):
    return offer_options(export)


def test_a_changed_address_moves_the_subscriber_and_leaves_no_duplicate(export):
    create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    export.act("update", OLD, name="Ann", values={})
    before = export.calls()

    changes(export, (ANN, NEW))
    result = export.deliver()

    assert states(export) == {NEW: ["vip"], B: ["vip"]}
    assert export.list.find(NEW).name == "Ann"
    assert (result.moved, result.sent, result.refused, result.updated) == (1, 1, 0, 0)
    assert (export.calls(UPDATE), export.calls(LOOK), export.calls() - before) == (1, 1, 0)
    assert export.deliver().calls == 0


def test_others_options_move_along(export):
    create(export)
    delivered(export, (ANN, OLD))
    others_write(export, OLD, "vip", "theirs")

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == {NEW: ["theirs", "vip"]}


def test_where_the_new_address_is_in_the_list_that_row_is_written_and_the_old_one_cleared(export):
    create(export)
    delivered(export, (ANN, OLD))
    others_write(export, OLD, "vip", "theirs")
    export.act("subscribe", NEW, name="Annie", values={FIELD: ["theirs"]})

    changes(export, (ANN, NEW))
    result = export.deliver()

    assert states(export) == {OLD: ["theirs"], NEW: ["theirs", "vip"]}
    assert (result.moved, result.refused) == (1, 0)
    assert export.deliver().calls == 0
    assert export.account.added_after_opt_out == []


@pytest.mark.parametrize(
    ("action", "code"), [("unsubscribe", "unsubscribed"), ("delete", "deleted"), ("bounce", "bounced")]
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_who_opted_out_under_the_new_address_is_not_mailed_through_the_old_one(export, action, code, told):
    create(export)
    delivered(export, (ANN, OLD))
    others_write(export, OLD, "vip", "theirs")
    export.act("subscribe", NEW)
    export.act(action, NEW)
    if told:
        export.tell_status(NEW)

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == {OLD: ["theirs"], NEW: export.list.find(NEW).state}
    assert codes(export) == {ANN: code}
    assert export.deliver().calls == 0
    changes(export, (ANN, NEW))
    export.deliver()
    assert codes(export) == {ANN: code}
    assert export.account.added_after_opt_out == []


def test_a_new_address_on_the_suppression_list_is_refused_and_the_old_one_cleared(export):
    create(export)
    delivered(export, (ANN, OLD))
    suppress(export.account, export.client, NEW, "Unsubscribed", export.account.moment(export.client))

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == {OLD: []}
    assert codes(export) == {ANN: "suppressed"}
    assert export.deliver().calls == 0


@pytest.mark.parametrize(("action", "code"), [("unsubscribe", "unsubscribed"), ("delete", "deleted")])
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("new", [None, "subscribe"], ids=["new", "in the list"])
def test_an_opt_out_under_the_old_address_holds_for_the_new_one(export, action, code, told, new):
    create(export, "vip", "gold")
    if new:
        export.act(new, NEW)
    delivered(export, (ANN, OLD))
    export.act(action, OLD)
    if told:
        export.tell_status(OLD)

    changes(export, (ANN, NEW))
    export.deliver()
    changes(export, (ANN, NEW), audience="gold")
    export.deliver()
    changes(export, (ANN, NEWER), audience="gold")
    export.deliver()

    state = export.list.find(OLD).state
    assert states(export) == ({NEW: [], OLD: state} if new else {OLD: state})
    assert codes(export) == {ANN: code}
    assert export.account.added_after_opt_out == []


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_an_opt_in_after_the_opt_out_brings_the_person_to_the_new_address(export, told):
    create(export, resubscribe="when_opted_in_later")
    delivered(export, (ANN, OLD))
    export.act("unsubscribe", OLD)
    if told:
        export.tell_status(OLD)

    export.happen(enters(ANN, NEW, opted_in_at=minutes_from_now(2)))
    export.deliver_until_rest()

    assert states(export) == {NEW: ["vip"]}
    assert codes(export) == {}


def test_who_subscribed_with_the_new_address_after_the_opt_out_is_written_there(export):
    create(export)
    delivered(export, (ANN, OLD))
    export.act("unsubscribe", OLD)
    export.account.clock.advance(120)
    export.act("subscribe", NEW)

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == {OLD: "Unsubscribed", NEW: ["vip"]}


def test_who_was_refused_before_any_row_was_stored_is_held_under_another_address_too(export):
    create(export)
    export.act("subscribe", OLD)
    export.act("unsubscribe", OLD)
    delivered(export, (ANN, OLD))
    assert codes(export) == {ANN: "unsubscribed"}

    changes(export, (ANN, NEW))
    export.deliver()
    export.deliver()

    assert states(export) == {OLD: "Unsubscribed"}
    assert codes(export) == {ANN: "unsubscribed"}


def test_who_comes_from_an_address_that_only_refused_them_keeps_others_options_at_the_new_one(export):
    create(export, "vip", "gold")
    export.act("subscribe", OLD)
    export.act("unsubscribe", OLD)
    delivered(export, (ANN, OLD))
    export.act("subscribe", OLD)
    export.act("subscribe", NEW, values={FIELD: ["theirs"]})
    changes(export, (ANN, NEW))
    export.deliver()
    assert states(export) == {OLD: [], NEW: ["theirs", "vip"]}

    changes(export, (ANN, NEW), audience="gold")
    export.deliver()

    assert states(export) == {OLD: [], NEW: ["gold", "theirs", "vip"]}


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_corrected_address_is_added_where_mail_to_the_old_one_came_back(export, told):
    create(export)
    delivered(export, (ANN, OLD))
    export.act("bounce", OLD)
    if told:
        export.tell_status(OLD)

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == {OLD: "Bounced", NEW: ["vip"]}
    assert export.list.find(OLD).values.get(FIELD) is None
    assert codes(export) == {}


def test_who_was_taken_out_of_the_list_is_not_added_again(export):
    create(export, "vip", "gold")
    delivered(export, (ANN, OLD))
    del export.list.subscribers[OLD]

    changes(export, (ANN, NEW))
    export.deliver()
    changes(export, (ANN, NEW), audience="gold")
    export.deliver()

    assert states(export) == {}
    assert codes(export) == {ANN: "deleted"}


def test_an_address_that_changes_twice_before_a_delivery_is_one_move(export):
    create(export)
    delivered(export, (ANN, OLD))

    changes(export, (ANN, NEW))
    changes(export, (ANN, NEWER))
    export.deliver()

    assert states(export) == {NEWER: ["vip"]}
    assert export.calls(UPDATE) == 1


def test_an_address_that_changes_back_costs_nothing(export):
    create(export)
    delivered(export, (ANN, OLD))

    changes(export, (ANN, NEW))
    changes(export, (ANN, OLD))
    calls = export.deliver().calls

    assert (states(export), calls) == ({OLD: ["vip"]}, 0)


def test_an_address_moves_there_and_back(export):
    create(export)
    delivered(export, (ANN, OLD))

    for address in (NEW, OLD, NEW):
        changes(export, (ANN, address))
        export.deliver()

    assert states(export) == {NEW: ["vip"]}


@pytest.mark.parametrize("ring", [False, True], ids=["chain", "ring"])
@pytest.mark.parametrize("turned", [False, True])
def test_people_take_each_others_addresses(export, ring, turned):
    create(export, "vip", "gold", field_mappings={"who": "Who"}, create_fields=True)
    people = [(ANN, OLD, NEW), (BOB, NEW, NEWER), (CAT, NEWER, OLD if ring else C)]
    people = people[::-1] if turned else people

    def tell(at):
        export.happen(*(("enter", p[0], "vip", {"fields": {"mail": p[at], "who": p[0]}}) for p in people))

    tell(1)
    export.deliver()
    tell(2)
    export.deliver_until_rest()

    who = {person.email: person.values["[Who]"] for person in export.list.subscribers.values()}
    assert who == {address: [key] for key, _, address in people}
    assert states(export) == {address: ["vip"] for _, _, address in people}
    assert codes(export) == {}


def test_of_two_people_with_one_address_the_one_that_was_told_keeps_it(export):
    create(export)
    delivered(export, (ANN, OLD))
    delivered(export, (BOB, B))

    changes(export, (BOB, OLD))
    export.deliver()

    assert states(export) == {OLD: ["vip"], B: ["vip"]}
    assert codes(export) == {BOB: "duplicate_address"}
    assert export.deliver().calls == 0


def test_two_new_people_with_one_address_are_one_row(export):
    create(export)

    changes(export, (ANN, OLD), (BOB, OLD))
    result = export.deliver()

    assert states(export) == {OLD: ["vip"]}
    assert ([*codes(export).values()], result.sent) == (["duplicate_address"], 1)


@pytest.mark.parametrize("how", ["moves", "leaves"])
def test_who_was_refused_for_a_duplicate_address_gets_it_when_it_is_free(export, how):
    create(export)
    delivered(export, (ANN, OLD))
    delivered(export, (BOB, OLD))
    assert codes(export) == {BOB: "duplicate_address"}

    export.happen(enters(ANN, NEW) if how == "moves" else ("exit", ANN, "vip"))
    export.deliver_until_rest()

    assert codes(export) == {}
    assert export.held(OLD) == ["vip"]
    assert export.held(NEW) == (["vip"] if how == "moves" else None)


def test_an_address_is_free_when_who_has_it_wants_another_and_can_not_have_that(export):
    create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    delivered(export, (CAT, OLD))

    changes(export, (ANN, B))
    export.deliver_until_rest()

    assert codes(export) == {ANN: "duplicate_address"}
    assert states(export) == {OLD: ["vip"], B: ["vip"]}
    assert (
        export.context.store.client.hget(export.context.store.part(OLD).claims(export.list.list_id), OLD)
        == CAT.encode()
    )


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "500", "429"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "in the list"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_move_whose_call_fails_is_made_once(export, kind, there, after):
    create(export)
    if there:
        export.act("subscribe", NEW)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))
    export.fault(kind, match=r"(PUT|POST|GET) .*/subscribers/[0-9a-f]{32}[./?]", after=after)

    export.deliver()
    rested(export, ANN)
    export.deliver_until_rest()

    assert states(export) == ({OLD: [], NEW: ["vip"]} if there else {NEW: ["vip"]})
    assert codes(export) == {}


def test_an_address_that_changes_again_while_a_move_is_in_doubt_is_still_one_row(export):
    create(export)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))
    export.fault("drop-after", match=PUT)
    export.deliver()

    changes(export, (ANN, NEWER))
    export.deliver_until_rest()

    assert states(export) == {NEWER: ["vip"]}


@pytest.mark.parametrize("action", ["unsubscribe", "delete"])
def test_an_opt_out_after_a_move_whose_answer_was_lost_stands(export, action):
    create(export)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))
    export.fault("drop-after", match=PUT)
    export.deliver()
    export.act(action, NEW)

    export.deliver_until_rest()
    changes(export, (ANN, NEWER))
    export.deliver_until_rest()

    assert states(export) == {NEW: export.list.find(NEW).state}
    assert export.account.added_after_opt_out == []


def test_an_opt_out_between_the_look_and_the_move_goes_along(export, monkeypatch):
    create(export)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))
    decided = sending.route

    def route(*given):
        found = decided(*given)
        export.act("unsubscribe", OLD)
        return found

    monkeypatch.setattr(sending, "route", route)
    export.deliver()
    changes(export, (ANN, NEW), audience="vip")
    export.deliver()

    assert states(export) == {NEW: "Unsubscribed"}
    assert export.account.added_after_opt_out == []


def test_who_leaves_while_their_address_changes_is_cleared_where_they_are(export):
    create(export)
    delivered(export, (ANN, OLD))

    export.happen(enters(ANN, NEW), ("exit", ANN, "vip"))
    export.deliver()

    assert states(export) == {OLD: []}
    changes(export, (ANN, NEW))
    export.deliver()
    assert states(export) == {NEW: ["vip"]}


def test_who_leaves_is_unsubscribed_under_the_address_that_they_have_in_the_list(export):
    create(export, on_exit="unsubscribe", brakes={"leaving": None, "unsubscribed": None})
    delivered(export, (ANN, OLD))

    export.happen(enters(ANN, NEW), ("exit", ANN, "vip"))
    export.deliver()

    assert states(export) == {OLD: "Unsubscribed"}


@pytest.mark.parametrize(("mode", "held"), [("update_only", {NEW: ["vip"]}), ("add_only", {OLD: ["vip"]})])
def test_modes_that_leave_people_alone_move_nobody(export, mode, held):
    create(export, mode=mode, **({"on_exit": "nothing"} if mode == "add_only" else {}))
    if mode == "update_only":
        export.act("subscribe", OLD)
    delivered(export, (ANN, OLD))

    changes(export, (ANN, NEW))
    export.deliver()

    assert states(export) == held


def test_only_those_who_move_cost_single_calls(export):
    create(export, "vip", "gold")
    people = [(f"p{number}@example.com", f"m{number}@work.example") for number in range(40)]
    delivered(export, *people)
    before = export.calls(), export.calls(UPDATE), export.calls(LOOK)

    moved = [(key, f"new-{mail}") for key, mail in people[:5]]
    changes(export, *moved, *people[5:], audience="gold")
    export.deliver()

    now = export.calls(), export.calls(UPDATE), export.calls(LOOK)
    assert [a - b for a, b in zip(now, before, strict=True)] == [1, 5, 5]
    assert all(held == ["gold", "vip"] for held in states(export).values())
    assert {*states(export)} == {mail for _, mail in moved + people[5:]}


def webhooks_arrive(export):
    """What the list's webhook told since it was made."""
    feed = Feed(
        export.client.client_id,
        export.client.name,
        zone(export.client.time_zone),
        {export.list.list_id: export.list.title},
    )
    events = [record.event for record in export.account.webhook_events]
    export.account.webhook_events.clear()
    counts = receive(export.context.store, feed, payload(export.list.list_id, events))
    export.folder.run()
    return events, counts


def origins(export, email):
    found = [json.loads(line) for _, line in tail(export.context.store, "stream", "cm_activity", 100)]
    return [each.get("origin") for each in found if each["email"] == email and each["event"] == "update"]


@pytest.mark.parametrize("there", [False, True], ids=["new", "in the list"])
def test_the_echo_of_a_move_is_recognised_and_starts_nothing(export, there):
    create(export)
    delivered(export, (ANN, OLD))
    if there:
        export.act("subscribe", NEW)
    events = ["Subscribe", "Update", "Deactivate"]
    export.list.webhooks["h"] = Webhook("h", export.list.list_id, events, "http://127.0.0.1:9", "Json")
    changes(export, (ANN, NEW))
    export.deliver()

    told, _ = webhooks_arrive(export)

    assert {each["Type"] for each in told} == {"Update"}
    assert told[-1]["OldEmailAddress"] == OLD
    assert origins(export, NEW) == ["self"]
    assert origins(export, OLD) == (["self"] if there else [])
    assert export.deliver().calls == 0
    assert webhooks_arrive(export)[0] == []


def test_what_somebody_else_changes_at_the_new_address_is_written_again(export):
    create(export)
    delivered(export, (ANN, OLD))
    events = ["Subscribe", "Update", "Deactivate"]
    export.list.webhooks["h"] = Webhook("h", export.list.list_id, events, "http://127.0.0.1:9", "Json")
    changes(export, (ANN, NEW))
    export.deliver()
    others_write(export, NEW, "theirs")

    webhooks_arrive(export)
    export.deliver()

    assert states(export) == {NEW: ["theirs", "vip"]}


def test_an_address_delivered_by_key_before_belongs_to_that_person(export):
    before = export.create("vip", existing_users=True)
    export.happen(("enter", ANN, "vip", {"fields": {"mail": ANN}}))
    export.deliver()
    service.stop(export.context, before.id)

    create(export, "vip", existing_users=True)
    export.happen(enters(BOB, ANN))
    export.deliver()

    assert codes(export) == {BOB: "duplicate_address"}
    assert states(export) == {ANN: ["vip"]}
