"""Who leaves one list of a client is unsubscribed from others that say so; nothing loops, nothing is lost."""

import msgspec
import pytest
from family import family_of
from marshmallow import ValidationError
from mortal import Killed

from listbridge.campaign_monitor import destination, zones
from listbridge.campaign_monitor.client import CampaignMonitor
from listbridge.campaign_monitor.errors import RowRefused
from listbridge.exports import spread
from listbridge.exports.spread import Spreader, Verdict, opt_out_of, pack
from listbridge.jobs.deliver import deliver
from listbridge.jobs.sweep import sweep
from listbridge.store import keys
from listbridge.systems import account_of
from listbridge.workflows import log, registry, service
from listbridge.workflows.holds import Acknowledgement
from listbridge.workflows.models import State
from simulator.faults import Fault

ANN = "ann@example.com"
HOUR_MS = 3_600_000


@pytest.fixture
def family(context, monkeypatch):
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    with family_of(context) as made:
        yield made


@pytest.fixture
def fed(family):
    """Ann is in all three lists, by exports into each."""
    family.exports = [family.feed(each) for each in (family.a, family.b, family.c)]
    family.enter(ANN)
    family.deliver()
    assert family.states(ANN) == ["Active"] * 3
    family.later()
    return family


def test_who_leaves_one_list_is_unsubscribed_from_the_others_once(fed):
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3
    assert fed.calls() == 2
    fed.later()
    fed.enter(ANN, "new@example.com")
    fed.deliver()
    assert fed.calls() == 2
    assert fed.account.added_after_opt_out == []
    counted = [log.progress(fed.context.store, each.id).get("opt_outs_spread", 0) for each in fed.exports]
    assert counted == [0, 1, 1]
    lines = [line["message"] for line in log.read(fed.context.store, fed.exports[1].id)]
    assert "1 people unsubscribed, because they left another list of the client" in lines


def test_an_export_whose_scope_is_the_list_keeps_its_people(family):
    family.feed(family.a)
    family.feed(family.b, opt_out_scope="list")
    family.enter(ANN)
    family.deliver()
    family.later()
    family.act("unsubscribe", family.a, ANN)
    family.deliver()
    assert family.states(ANN)[:2] == ["Unsubscribed", "Active"]


def test_an_export_that_was_made_to_wait_holds_nobody_back_from_another(family):
    family.feed(family.b, opt_out_scope="list")
    config = {
        "client_id": family.client.client_id,
        "list_id": family.b.list_id,
        "audiences": ["gold"],
        "consent_to_track": "Unchanged",
        "opt_out_scope": "client",
    }
    waits = service.create_export(family.context, family.authorization.id, config, paused=True)
    family.act("subscribe", family.a, ANN)
    family.act("unsubscribe", family.a, ANN)
    family.later()
    family.enter(ANN)
    family.deliver()
    assert family.states(ANN)[:2] == ["Unsubscribed", "Active"]
    service.resume(family.context, waits.id)
    family.deliver()
    family.later()
    family.enter("new@example.com")
    family.act("subscribe", family.a, "new@example.com")
    family.act("unsubscribe", family.a, "new@example.com")
    family.deliver()
    assert family.states("new@example.com")[:2] == ["Unsubscribed", None]


def test_people_who_are_in_a_list_by_themselves_leave_it_too(family):
    family.feed(family.b)
    for target in (family.a, family.b):
        family.act("subscribe", target, ANN)
    family.deliver()
    family.later()
    family.act("unsubscribe", family.a, ANN)
    family.deliver()
    assert family.states(ANN) == ["Unsubscribed", "Unsubscribed", None]


def test_our_own_unsubscription_of_who_left_an_audience_spreads_nowhere(family):
    family.feed(family.a, on_exit="unsubscribe")
    family.feed(family.b, on_exit="nothing")
    family.enter(ANN)
    family.deliver()
    family.enter(ANN, what="exit")
    family.deliver()
    assert family.states(ANN)[:2] == ["Unsubscribed", "Active"]


def test_a_later_opt_in_at_one_list_does_not_undo_the_others(fed):
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    fed.later()
    fed.act("subscribe", fed.a, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Active", "Unsubscribed", "Unsubscribed"]
    fed.later()
    fed.act("subscribe", fed.b, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Active", "Active", "Unsubscribed"]
    fed.later()
    fed.act("unsubscribe", fed.b, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3


def test_who_subscribed_later_stays_though_an_edit_of_theirs_does_not_count_as_that(fed):
    fed.act("unsubscribe", fed.a, ANN)
    fed.later()
    fed.act("unsubscribe", fed.b, ANN)
    fed.later()
    fed.act("subscribe", fed.b, ANN)
    fed.act("update", fed.c, ANN, name="Another")
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed", "Active", "Unsubscribed"]


def test_in_the_same_minute_the_opt_out_wins(family):
    family.feed(family.b)
    family.act("subscribe", family.a, ANN)
    family.account.clock.set(family.account.clock.now().replace(second=5))
    family.act("subscribe", family.b, ANN)
    family.act("unsubscribe", family.a, ANN)
    family.deliver()
    assert family.states(ANN)[:2] == ["Unsubscribed", "Unsubscribed"]


def test_nobody_who_left_elsewhere_is_added_until_they_subscribe_again(family):
    family.feed(family.b)
    family.act("subscribe", family.a, ANN)
    family.later(60)
    family.act("unsubscribe", family.a, ANN)
    family.tell()
    family.enter(ANN)
    family.deliver()
    assert family.states(ANN)[1] is None
    assert family.refusal(family.b, ANN).code == "unsubscribed_elsewhere"
    family.later()
    family.act("subscribe", family.a, ANN)
    family.deliver()
    assert family.states(ANN)[1] == "Active"


def test_an_opt_out_from_before_the_export_unsubscribes_nobody(family):
    family.account.clock.advance(-30 * 86_400)
    for target in (family.a, family.b):
        family.act("subscribe", target, ANN)
    family.later()
    family.act("unsubscribe", family.a, ANN)
    family.tell()
    family.account.clock.advance(30 * 86_400)
    family.feed(family.b)
    family.enter("bob@example.com")
    family.deliver()
    assert family.states(ANN)[1] == "Active"
    assert family.calls() == 0


@pytest.mark.parametrize("kind", ["500", "drop-before", "drop-after", "429", "504-html"])
@pytest.mark.parametrize("match", [r"POST .*/unsubscribe", r"GET /api/v3.3/subscribers"])
def test_a_call_that_fails_is_made_again(fed, kind, match):
    fed.server.simulator.faults.add(Fault(kind=kind, match=match))
    fed.act("unsubscribe", fed.a, ANN)
    fed.tell()
    for _ in range(4):
        for each in fed.exports:
            fed.context.store.client.hset(keys.workflow(each.id), "wake_at", 1)
        fed.context.store.client.delete(keys.pace(account_of(fed.context, fed.authorization)))
        for list_id in sweep(fed.context).lists:
            deliver(fed.context, list_id)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3
    counted = [log.progress(fed.context.store, each.id).get("opt_outs_spread", 0) for each in fed.exports]
    assert counted == [0, 1, 1]


def refuse(monkeypatch, code):
    """-> a list of orders: while it holds any, unsubscriptions are refused with this code."""
    orders, real = [True], CampaignMonitor.unsubscribe

    def unsubscribe(self, list_id, email):
        if orders:
            raise RowRefused("no", status=400, code=code)
        return real(self, list_id, email)

    monkeypatch.setattr(CampaignMonitor, "unsubscribe", unsubscribe)
    return orders


def test_an_unsubscription_that_is_refused_is_said_and_tried_again_ever_more_rarely(fed, monkeypatch):
    store, now = fed.context.store, spread.now_ms()
    orders = refuse(monkeypatch, 1)
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed", "Active", "Active"]
    waits = []
    for _ in range(6):
        again = store.client.zscore(store.part(ANN).spread_again(fed.b.list_id), ANN)
        waits.append(round((again - now) / HOUR_MS))
        now = again + 1
        monkeypatch.setattr(spread, "now_ms", lambda now=now: int(now))
        fed.deliver()
    assert waits == [1, 1, 2, 4, 8, 16]
    assert log.progress(store, fed.exports[1].id)["opt_outs_refused"] == 7
    lines = [line["message"] for line in log.read(store, fed.exports[1].id)]
    assert any(line.startswith("1 people could not be unsubscribed (invalid)") for line in lines)

    orders.clear()
    monkeypatch.setattr(spread, "now_ms", lambda: int(now) + 25 * HOUR_MS)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3
    assert not store.client.exists(store.part(ANN).spread_again(fed.b.list_id))


def test_a_program_that_knows_no_refused_unsubscriptions_reads_that_one_has_begun(fed, monkeypatch):
    refuse(monkeypatch, 1)
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    store = fed.context.store
    held = msgspec.msgpack.decode(store.client.hget(store.part(ANN).spread(fed.b.list_id), ANN))
    assert (held[2], held[5:]) == ("begun", [True])


def test_a_refused_unsubscription_is_tried_again_when_the_person_changes(fed, monkeypatch):
    orders = refuse(monkeypatch, 1)
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    orders.clear()
    fed.enter(ANN, what="exit")
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3


def test_of_many_who_are_tried_again_few_profiles_are_read_at_once(fed, monkeypatch):
    store, looks, look = fed.context.store, [], Spreader._due
    monkeypatch.setattr(spread, "LOOKED_AT_ONCE", 2)
    monkeypatch.setattr(Spreader, "_due", lambda *given: looks.append(len(given[2])) or look(*given))
    again = store.part(ANN).spread_again(fed.b.list_id)
    store.client.zadd(again, {f"person{number}@example.com": 1 for number in range(5)})
    fed.deliver()
    assert not store.client.exists(again)
    assert max(looks) == 2


@pytest.mark.parametrize("code", [203, 204, 205, 206, 207])
def test_a_refusal_that_says_that_they_are_gone_is_not_repeated(fed, monkeypatch, code):
    refuse(monkeypatch, code)
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    assert not fed.context.store.client.exists(fed.context.store.part(ANN).spread_again(fed.b.list_id))


@pytest.mark.parametrize("step", range(4))
def test_a_kill_between_loses_no_opt_out_and_doubles_none(fed, monkeypatch, step):
    """Before anything is kept, after the beginning is, after the call, before the cursor moves."""
    names = ("_begin", "_carry", "_keep", "_settle")
    real, state = getattr(Spreader, names[step]), {"left": 1}

    def dying(self, *args):
        made = real(self, *args) if step != 0 else None
        if state["left"] and (step != 2 or args[-1] != "begun"):
            state["left"] -= 1
            raise Killed
        return made if step != 0 else real(self, *args)

    monkeypatch.setattr(Spreader, names[step], dying)
    fed.act("unsubscribe", fed.a, ANN)
    fed.tell()
    with pytest.raises(Killed):
        deliver(fed.context, fed.b.list_id)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3
    assert fed.calls() == 2


def test_a_brake_holds_a_mass_of_opt_outs_until_somebody_says_that_it_is_right(family):
    people = [f"p{number}@example.com" for number in range(10)]
    made = family.feed(family.b, brakes={"unsubscribed": 0.2, "least_people": 3})
    for email in people:
        family.act("subscribe", family.a, email)
    family.enter(*people)
    family.deliver()
    family.later()
    for email in people[:5]:
        family.act("unsubscribe", family.a, email)
    family.deliver()
    held = registry.get(family.context.store, made.id)
    assert (held.state, held.waits_for) == (State.PAUSED, "unsubscribed")
    service.resume(family.context, made.id, Acknowledgement(brake="unsubscribed"))
    family.deliver()
    assert [family.states(email)[1] for email in people] == ["Unsubscribed"] * 5 + ["Active"] * 5


def test_a_list_that_takes_people_off_all_lists_needs_consent_to_that(family):
    family.b.unsubscribe_setting = "AllClientLists"
    with pytest.raises(ValidationError, match="opt_out_scope"):
        family.feed(family.b)
    family.feed(family.b, unsubscribe_from_all_lists=True)
    for target in (family.a, family.b):
        family.act("subscribe", target, ANN)
    family.deliver()
    family.later()
    family.act("unsubscribe", family.a, ANN)
    family.deliver()
    assert family.states(ANN)[:2] == ["Unsubscribed", "Unsubscribed"]


def test_where_campaign_monitor_takes_people_off_all_lists_by_itself_no_call_is_made(fed):
    fed.a.unsubscribe_setting = "AllClientLists"
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3
    assert fed.calls() == 0


def test_while_a_time_zone_waits_to_be_confirmed_nothing_is_carried_and_then_it_is(fed):
    store, client_id = fed.context.store, fed.client.client_id
    zones.keep(store, client_id, "Australia/Sydney")
    with pytest.raises(zones.ZoneChanged):
        zones.check(store, client_id, "Asia/Tokyo")
    fed.act("unsubscribe", fed.a, ANN)
    fed.deliver()
    assert fed.states(ANN)[1:] == ["Active", "Active"]
    zones.confirm(store, client_id, "Asia/Tokyo")
    fed.deliver()
    assert fed.states(ANN) == ["Unsubscribed"] * 3


def test_add_only_changes_nobody_who_is_in_the_list(family):
    with pytest.raises(ValidationError, match="add_only"):
        family.feed(family.b, mode="add_only")


def test_opt_outs_that_we_made_are_told_from_those_of_people_by_their_time(store):
    minute, day = 60_000, 86_400_000
    begun = 20_000 * day
    store.client.hset(
        store.part(ANN).spread("b"), ANN, pack(Verdict(begun - day, "a", "unsubscribed", begun + 30_000))
    )
    family = {"a", "b"}

    def newest(at):
        found = opt_out_of(store, ANN, {"b": ("unsubscribed", at)}, family)
        return found and found.since

    assert newest(begun) is None
    assert newest(begun + 5 * minute) is None
    assert newest(begun + day) == begun + day
    assert newest(begun - day) == begun - day
    assert opt_out_of(store, ANN, {"x": ("unsubscribed", begun)}, family) is None
    assert opt_out_of(store, ANN, {"a": ("bounced", begun), "b": ("deleted", begun + day)}, family) is None


def test_a_subscribe_webhook_makes_a_refused_change_due_again(family):
    family.feed(family.a, opt_out_scope="list")
    family.act("subscribe", family.a, ANN)
    family.later(60)
    family.act("unsubscribe", family.a, ANN)
    family.enter(ANN)
    family.deliver()
    assert family.refusal(family.a, ANN).code == "unsubscribed"
    family.later(60)
    family.act("subscribe", family.a, ANN)
    family.tell()
    assert family.a.list_id in sweep(family.context).lists
    family.deliver()
    field = family.a.fields[0].key
    assert (family.states(ANN)[0], family.a.find(ANN).values[field]) == ("Active", ["vip"])
    assert family.refusal(family.a, ANN) is None


def test_a_subscribe_webhook_makes_a_change_due_that_the_list_itself_refused(family):
    family.feed(family.a, opt_out_scope="list")
    family.act("subscribe", family.a, ANN)
    family.act("unsubscribe", family.a, ANN)
    family.heard = len(family.account.webhook_events)  # nobody told us
    family.enter(ANN)
    family.deliver()
    assert family.refusal(family.a, ANN).code == "unsubscribed"
    family.later(60)
    family.act("subscribe", family.a, ANN)
    family.deliver()
    assert family.a.find(ANN).values[family.a.fields[0].key] == ["vip"]
