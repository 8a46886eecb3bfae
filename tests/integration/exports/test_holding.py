"""Exports that wait for a person or for the end of a night, against the simulated API."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from simulated import minutes_from_now

from listbridge.campaign_monitor import zones
from listbridge.exports import engine
from listbridge.exports.brakes import CANARY, HOUR_MS, LEAVING
from listbridge.imports.cursors import cursors
from listbridge.jobs import feeds as feeds_module
from listbridge.jobs import preparing
from listbridge.jobs.feeds import is_stale
from listbridge.jobs.plan import plan_export
from listbridge.jobs.pull import pull
from listbridge.jobs.sweep import sweep
from listbridge.store.store import now_ms
from listbridge.workflows import log, registry, service
from listbridge.workflows.holds import PEOPLE, Acknowledgement, NotConfirmed
from listbridge.workflows.models import State

PEOPLE_OF_IT = [f"p{number}@example.com" for number in range(6)]
ANN, BOB = "ann@example.com", "bob@example.com"
SENSITIVE = {"least_people": 1}


def stands(export, workflow):
    found = registry.get(export.context.store, workflow.id)
    return found.state, found.waits_for


def said(**words):
    return Acknowledgement(**words)


@pytest.fixture
def full(export):
    """An export that brakes at half of the list, and six people in it."""
    export.made = export.create("vip", brakes=SENSITIVE | {"leaving": 0.5})
    export.happen(*(("enter", email, "vip") for email in PEOPLE_OF_IT))
    export.deliver()
    return export


def test_an_export_pauses_itself_says_why_and_goes_on_when_that_is_acknowledged(full):
    full.happen(*(("exit", email, "vip") for email in PEOPLE_OF_IT[:4]))

    full.deliver()

    assert stands(full, full.made) == (State.PAUSED, LEAVING)
    assert [full.held(email) for email in PEOPLE_OF_IT] == [["vip"]] * 6
    reason = registry.get(full.context.store, full.made.id).reason
    assert "4 people would have left all audiences" in reason
    assert log.read(full.context.store, full.made.id)[-1]["message"] == f"paused: {reason}"
    for wrong in (said(), said(brake="refused"), said(confirmed=True), said(people=4)):
        with pytest.raises(NotConfirmed, match="--acknowledge leaving"):
            service.resume(full.context, full.made.id, wrong)

    service.resume(full.context, full.made.id, said(brake=LEAVING))
    full.deliver()

    assert [full.held(email) for email in PEOPLE_OF_IT] == [[]] * 4 + [["vip"]] * 2
    assert stands(full, full.made) == (State.RUNNING, "")


def test_a_released_brake_takes_hold_again_after_its_hour(full, monkeypatch):
    full.happen(*(("exit", email, "vip") for email in PEOPLE_OF_IT[:4]))
    full.deliver()
    resumed = service.resume(full.context, full.made.id, said(brake=LEAVING))

    assert LEAVING not in feeds_module.limits_of(resumed, now_ms()).shares
    assert LEAVING in feeds_module.limits_of(resumed, now_ms() + HOUR_MS + 1000).shares


def test_other_exports_into_the_list_go_on(full):
    other = full.create("lapsed")
    full.happen(*(("exit", email, "vip") for email in PEOPLE_OF_IT[:4]), ("enter", ANN, "lapsed"))

    full.deliver()

    assert stands(full, full.made) == (State.PAUSED, LEAVING)
    assert stands(full, other) == (State.RUNNING, "")
    assert full.held(ANN) == ["lapsed"]
    assert full.held(PEOPLE_OF_IT[0]) == ["vip"]


def test_a_canary_is_visible_and_confirmed(export):
    made = service.pause(export.context, export.create("vip", existing_users=True).id)
    export.happen(*(("enter", email, "vip") for email in PEOPLE_OF_IT))
    service.resume(export.context, made.id, said(canary=2))
    assert service.shown(export.context, registry.get(export.context.store, made.id))["canary"] == 2

    export.deliver()

    assert len(export.list.subscribers) == 2
    assert stands(export, made) == (State.PAUSED, CANARY)
    with pytest.raises(NotConfirmed, match="--confirm"):
        service.resume(export.context, made.id)
    service.resume(export.context, made.id, said(canary=3))
    export.deliver()
    assert len(export.list.subscribers) == 5
    service.resume(export.context, made.id, said(confirmed=True))
    export.deliver()
    assert len(export.list.subscribers) == 6
    assert service.shown(export.context, registry.get(export.context.store, made.id))["canary"] is None


@pytest.fixture
def opted_out(export):
    """Two people in the audience who unsubscribed an hour ago, and one who never did."""
    export.account.clock.advance(-3600)
    for email in (ANN, BOB):
        export.act("subscribe", email)
        export.act("unsubscribe", email)
        export.tell_status(email)
    export.account.clock.advance(3600)
    export.happen(*(("enter", email, "vip") for email in (ANN, BOB, PEOPLE_OF_IT[0])))
    return export


def test_who_is_brought_back_by_always_is_counted_and_confirmed(opted_out):
    made = opted_out.create("vip", existing_users=True, resubscribe="always")
    assert stands(opted_out, made) == (State.PAUSED, PEOPLE)
    for wrong in (None, 1, 3):
        with pytest.raises(NotConfirmed, match="bring back 2 people"):
            service.resume(opted_out.context, made.id, said(people=wrong))
    assert opted_out.deliver() is None

    service.resume(opted_out.context, made.id, said(people=2))
    opted_out.deliver()

    assert opted_out.held(ANN) == opted_out.held(BOB) == ["vip"]
    service.pause(opted_out.context, made.id)
    service.resume(opted_out.context, made.id)  # confirmed once
    opted_out.act("unsubscribe", ANN)
    opted_out.tell_status(ANN)
    opted_out.happen(("enter", ANN, "other"), ("enter", BOB, "vip"))
    opted_out.deliver_until_rest()
    assert opted_out.held(ANN) == "Unsubscribed"


def test_confirming_nobody_brings_nobody_back(opted_out):
    made = opted_out.create("vip", existing_users=True, resubscribe="always", heard=False)

    service.resume(opted_out.context, made.id, said(people=0))
    opted_out.deliver()

    assert opted_out.held(ANN) == opted_out.held(BOB) == "Unsubscribed"
    assert "run an import" in opted_out.refusals()[ANN].message


def test_a_feed_that_is_heard_again_lets_the_later_opt_in_count(opted_out):
    opted_out.create("vip", resubscribe="when_opted_in_later", heard=False)
    opted_out.hear(now_ms() - 25 * 3_600_000)
    opted_out.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(-10)}))
    opted_out.deliver()
    assert opted_out.held(ANN) == "Unsubscribed"

    assert sweep(opted_out.context).lists == ()
    opted_out.hear()
    assert sweep(opted_out.context).lists == (opted_out.list.list_id,)
    opted_out.deliver()

    assert (opted_out.held(ANN), opted_out.held(BOB)) == (["vip"], "Unsubscribed")


def test_an_import_that_read_all_states_makes_the_feed_fresh(opted_out):
    made = opted_out.create("vip", resubscribe="when_opted_in_later", heard=False)
    assert is_stale(opted_out.context, made, now_ms())
    settings = {"client_id": opted_out.client.client_id, "webhooks": False}
    reading = service.create_import(opted_out.context, opted_out.authorization.id, settings)

    pull(opted_out.context, reading.id, ring_fold=lambda: None)

    assert not is_stale(opted_out.context, made, now_ms())
    assert is_stale(opted_out.context, made, now_ms() + 25 * 3_600_000)
    found = cursors(opted_out.context.store, opted_out.client.client_id)
    assert found[f"list:{opted_out.list.list_id}:unsubscribed"].complete_from > 0


def test_without_an_address_for_webhooks_nobody_is_brought_back(opted_out):
    here = opted_out.context
    opted_out.context = replace(here, settings=replace(here.settings, public_url=""))
    opted_out.create("vip", resubscribe="when_opted_in_later")
    opted_out.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(-10)}))
    opted_out.deliver()
    assert opted_out.held(ANN) == "Unsubscribed"
    assert "LISTBRIDGE_PUBLIC_URL" in opted_out.refusals()[ANN].message

    opted_out.context = here
    assert sweep(here).lists == (opted_out.list.list_id,)
    opted_out.deliver()
    assert opted_out.held(ANN) == ["vip"]


def test_while_a_time_zone_waits_to_be_confirmed_nobody_is_brought_back(opted_out):
    made = opted_out.create("vip", resubscribe="when_opted_in_later")
    store, client_id = opted_out.context.store, opted_out.client.client_id
    zones.keep(store, client_id, "Europe/Berlin")
    assert not is_stale(opted_out.context, made, now_ms())
    with pytest.raises(zones.ZoneChanged):
        zones.check(store, client_id, "Asia/Tokyo")
    assert is_stale(opted_out.context, made, now_ms())
    zones.check(store, client_id, "Europe/Berlin")
    assert not is_stale(opted_out.context, made, now_ms())


def test_another_field_can_hold_the_opt_in(opted_out):
    opted_out.create("vip", resubscribe="when_opted_in_later", opted_in_field="joined")
    fields = {"joined": minutes_from_now(-10).isoformat()}
    opted_out.happen(("enter", ANN, "vip", {"fields": fields}))
    opted_out.happen(("enter", BOB, "vip", {"fields": {"joined": minutes_from_now(60).isoformat()}}))

    opted_out.deliver()

    assert (opted_out.held(ANN), opted_out.held(BOB)) == (["vip"], "Unsubscribed")


@pytest.fixture
def wall(monkeypatch):
    """Makes it a certain time for the exports' quiet hours."""

    def make_it(text):
        at = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        for module in (feeds_module, preparing):
            monkeypatch.setattr(module, "now_ms", lambda: at)
        return at

    return make_it


def test_quiet_hours_hold_deliveries_and_not_what_comes_in(export, wall):
    hours = {"zone": "UTC", "start": "21:00", "end": "08:00"}
    made = export.create("vip", quiet_hours=hours)
    until = wall("2099-01-02T08:00")
    wall("2099-01-01T22:00")
    export.happen(("enter", ANN, "vip"))
    before = export.server.simulator.calls.report()["total"]

    assert export.deliver() is None

    assert export.server.simulator.calls.report()["total"] == before
    found = registry.get(export.context.store, made.id)
    assert (found.state, found.wake_at) == (State.SLEEPING, until)
    assert found.reason == "quiet hours until 2099-01-02T08:00:00.000Z"
    wall("2099-01-02T08:00")
    export.deliver()
    assert export.held(ANN) == ["vip"]


def test_one_exports_quiet_hours_leave_the_others_awake(export, wall):
    export.create("vip", quiet_hours={"zone": "UTC", "start": "21:00", "end": "08:00"})
    export.create("lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    wall("2099-01-01T12:00")
    export.deliver()

    wall("2099-01-01T22:00")
    export.happen(("exit", ANN, "vip"), ("enter", BOB, "lapsed"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["lapsed", "vip"])

    wall("2099-01-02T09:00")
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ([], ["lapsed", "vip"])


def test_changes_that_no_row_showed_are_in_the_log_and_the_counters(export):
    made = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.happen(("exit", ANN, "vip"))

    export.deliver()

    assert export.held(ANN) is None
    assert log.progress(export.context.store, made.id)["swallowed"] == 2
    lines = [line["message"] for line in log.read(export.context.store, made.id)]
    assert "2 changes of membership were undone before a row showed them" in lines


def test_the_plan_says_that_too_many_would_be_added(export):
    made = service.pause(export.context, export.create("vip", existing_users=True, max_new_subscribers=4).id)
    export.happen(*(("enter", email, "vip") for email in PEOPLE_OF_IT))

    warnings = plan_export(export.context, made.id).warnings

    assert any("the export pauses before max_new_subscribers (4) is passed" in each for each in warnings)


def test_what_was_counted_is_dropped_when_no_limit_looks_at_it_any_more(full, monkeypatch):
    full.happen(("exit", PEOPLE_OF_IT[0], "vip"))
    full.deliver()
    counted = full.context.store.client.keys("*tracked:leaving*")
    assert len(counted) == 1

    later = now_ms() + 2 * HOUR_MS
    monkeypatch.setattr(engine, "now_ms", lambda: later)
    full.happen(("enter", ANN, "vip"))
    full.deliver()

    assert full.context.store.client.keys("*tracked:leaving*") == []
