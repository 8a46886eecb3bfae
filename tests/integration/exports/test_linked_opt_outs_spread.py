"""Opt-outs spread for the person, whichever of their linked addresses they were made under."""

import pytest
from family import family_of

from listbridge import audiences
from listbridge.campaign_monitor import destination
from listbridge.campaign_monitor.client import CampaignMonitor
from listbridge.campaign_monitor.errors import RowRefused
from listbridge.exports.spread import opt_out_of, unpack
from listbridge.jobs.deliver import deliver
from listbridge.store import keys
from listbridge.systems import account_of
from listbridge.workflows import log, registry, service
from simulator.faults import Fault

OLD, NEW = "ann@old.example", "ann@new.example"


@pytest.fixture
def family(context, monkeypatch):
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    with family_of(context) as made:
        made.feed(made.b)
        for target in (made.a, made.c):
            made.act("subscribe", target, OLD)
        made.enter(OLD)
        made.deliver()
        assert made.b.find(OLD).state == "Active"
        made.later()
        yield made


def in_b(family):
    return {each.email: each.state for each in family.b.subscribers.values()}


def test_who_changed_their_address_in_the_list_that_they_left(family):
    family.act("change-email", family.a, OLD, new_email=NEW)
    family.later(120)
    family.act("unsubscribe", family.a, NEW)
    family.deliver()
    assert "Active" not in in_b(family).values()


def test_who_left_under_an_address_from_which_their_row_has_moved(family):
    family.act("change-email", family.c, OLD, new_email=NEW)
    family.deliver()
    assert in_b(family) == {NEW: "Active"}
    family.later(120)
    family.act("unsubscribe", family.a, OLD)
    family.deliver()
    assert in_b(family) == {NEW: "Unsubscribed"}


def test_our_own_unsubscription_stays_known_for_ours_when_the_address_changes(family):
    family.act("unsubscribe", family.a, OLD)
    family.deliver()
    assert in_b(family) == {OLD: "Unsubscribed"}
    family.later()
    family.act("change-email", family.c, OLD, new_email=NEW)
    family.deliver()
    store = family.context.store
    held = {
        each: unpack(store.client.hget(store.part(each).spread(family.b.list_id), each)).what
        for each in (OLD, NEW)
    }
    assert held == {OLD: "unsubscribed", NEW: "unsubscribed"}


def test_a_row_whose_move_is_in_doubt_is_unsubscribed_where_it_is(family):
    family.feed(family.b, email_field="mail")
    key, context = "bob@key.example", family.context

    def enters(mail):
        made = audiences.AudienceEvent(
            email=key, audience="vip", event="enter", timestamp=audiences.now(), fields={"mail": mail}
        )
        audiences.receive(context.store, [made])
        family.folder.run()

    family.b.subscribers.clear()
    for each in registry.exports_to(context.store, family.b.list_id)[:1]:
        registry.pause(context.store, each.id)
        service.delete(context, each.id)
    family.act("subscribe", family.a, key)
    enters("w1@work.example")
    family.deliver()
    assert in_b(family)["w1@work.example"] == "Active"
    family.server.simulator.faults.add(Fault(kind="drop-before", match=r"PUT .*/subscribers/"))
    enters("w2@work.example")
    deliver(context, family.b.list_id)
    family.later()
    family.act("unsubscribe", family.a, key)
    family.tell()
    for each in registry.exports_to(context.store, family.b.list_id):
        context.store.client.hset(keys.workflow(each.id), "wake_at", 1)
    context.store.client.delete(keys.pace(account_of(context, family.authorization)))
    deliver(context, family.b.list_id)
    assert "Active" not in in_b(family).values()


@pytest.fixture
def at_both(family):
    """The person is in B under both of their addresses."""
    family.act("subscribe", family.b, NEW)
    family.later()
    family.act("change-email", family.c, OLD, new_email=NEW)
    family.deliver()
    assert in_b(family) == {OLD: "Active", NEW: "Active"}
    family.later(120)
    return family


def refuse(monkeypatch, *addresses):
    real = CampaignMonitor.unsubscribe

    def unsubscribe(self, list_id, email):
        if email in addresses:
            raise RowRefused("no", status=400, code=1)
        return real(self, list_id, email)

    monkeypatch.setattr(CampaignMonitor, "unsubscribe", unsubscribe)


def test_who_is_refused_under_both_addresses_is_one_person(at_both, monkeypatch):
    refuse(monkeypatch, OLD, NEW)
    at_both.act("unsubscribe", at_both.a, OLD)
    at_both.deliver()
    (export,) = registry.exports_to(at_both.context.store, at_both.b.list_id)
    lines = [line["message"] for line in log.read(at_both.context.store, export.id)]
    told = [line for line in lines if "could not be unsubscribed" in line]
    assert told
    assert all(line.startswith("1 people") for line in told)


def test_our_own_unsubscription_stays_known_for_ours_when_another_address_was_refused_first(
    at_both, monkeypatch
):
    refuse(monkeypatch, OLD)
    at_both.act("unsubscribe", at_both.a, OLD)
    at_both.deliver()
    assert in_b(at_both) == {OLD: "Active", NEW: "Unsubscribed"}
    store, list_id = at_both.context.store, at_both.b.list_id
    at = unpack(store.client.hget(store.part(NEW).spread(list_id), NEW)).at
    at_both.act("delete", at_both.b, OLD)
    store.client.zadd(store.part(NEW).spread_again(list_id), {NEW: 1})
    at_both.deliver()
    assert not store.client.exists(store.part(NEW).spread_again(list_id))
    assert opt_out_of(store, NEW, {list_id: ("unsubscribed", at)}, {list_id}, (OLD,)) is None
    later = {list_id: ("unsubscribed", at + 3_600_000)}
    assert opt_out_of(store, NEW, later, {list_id}, (OLD,)) is not None
