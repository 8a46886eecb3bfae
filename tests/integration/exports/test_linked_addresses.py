"""Somebody's address changed, as a list told: their row goes out under the newest one, once."""

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import Export

from listbridge.campaign_monitor.events import Account as Feed
from listbridge.campaign_monitor.incoming import receive
from listbridge.campaign_monitor.timezones import zone
from listbridge.jobs.plan import plan_export
from listbridge.jobs.reconcile import reconcile
from listbridge.profiles.links import Link, Node, newest
from listbridge.standing.why import why
from listbridge.store import keys
from listbridge.store.store import Store
from listbridge.workflows import registry, service
from simulator.account import CustomField, Webhook
from simulator.webhooks import payload

OLD, NEW, NEWER = "ann@old.example", "ann@new.example", "ann@newer.example"
FIELD = "[LyticsAudiences]"
UPDATE = "PUT /subscribers/{list}"
LOOK = "GET /subscribers/{list}"
ELSEWHERE = "another list"


@pytest.fixture
def export(export):
    options = ["gold", "theirs", "vip"]
    export.list.fields.append(CustomField("Lytics Audiences", FIELD, "MultiSelectMany", options))
    events = ["Subscribe", "Update", "Deactivate"]
    export.list.webhooks["h"] = Webhook("h", export.list.list_id, events, "http://127.0.0.1:9", "Json")
    return export


def feed(export):
    lists = {export.list.list_id: export.list.title, ELSEWHERE: ELSEWHERE}
    return Feed(export.client.client_id, export.client.name, zone(export.client.time_zone), lists)


def webhooks_arrive(export):
    """What the list's webhook told since it was made."""
    events = [record.event for record in export.account.webhook_events]
    export.account.webhook_events.clear()
    receive(export.context.store, feed(export), payload(export.list.list_id, events))
    export.folder.run()
    return events


def told_elsewhere(export, old, new, *, what="Update", minutes=0):
    """Another list tells a change of address, or that somebody subscribed at `new`."""
    at = datetime.now(UTC).astimezone(zone(export.client.time_zone)) + timedelta(minutes=minutes)
    event = {
        "Type": what,
        "Date": at.strftime("%Y-%m-%d %H:%M:%S"),
        "EmailAddress": new,
        "Name": "Ann",
        "State": "Active",
        "CustomFields": [],
    } | ({"OldEmailAddress": old} if old else {})
    body = json.dumps({"ListID": ELSEWHERE, "Events": [event]}).encode()
    receive(export.context.store, feed(export), body)
    export.folder.run()


def states(export):
    """The options of everybody in the list, or the state of who is not active."""
    return {person.email: export.held(person.email) for person in export.list.subscribers.values()}


def told_keys(export):
    """Of whom the list was told, and who is in doubt or refused."""
    store, list_id = export.context.store, export.list.list_id
    found = set()
    for part in store.parts:
        for name in (part.delivered(list_id), part.refused(list_id)):
            found |= {key.decode() for key in store.client.hkeys(name)}
        found |= {key.decode() for key in store.client.zrange(part.retry(list_id), 0, -1)}
    return found


def delivered(export, *people, audience="vip"):
    export.happen(*(("enter", email, audience) for email in people))
    export.deliver()
    webhooks_arrive(export)


def test_a_change_in_the_list_itself_costs_no_move(export):
    export.create("vip")
    delivered(export, OLD, "bob@x.example")
    export.act("change-email", OLD, new_email=NEW)
    webhooks_arrive(export)

    export.deliver_until_rest()

    assert states(export) == {NEW: ["vip"], "bob@x.example": ["vip"]}
    assert export.calls(UPDATE) == 0
    assert export.calls(LOOK) <= 2
    assert told_keys(export) == {NEW, "bob@x.example"}
    webhooks_arrive(export)
    assert export.deliver().calls == 0


def test_a_change_in_another_list_moves_the_row(export):
    export.create("vip")
    delivered(export, OLD)
    export.act("update", OLD, name="Ann", values={FIELD: ["theirs", "vip"]})
    webhooks_arrive(export)
    told_elsewhere(export, OLD, NEW)

    export.deliver_until_rest()

    assert states(export) == {NEW: ["theirs", "vip"]}
    assert export.list.find(NEW).name == "Ann"
    assert export.calls(UPDATE) == 1
    assert told_keys(export) == {NEW}
    webhooks_arrive(export)
    export.deliver_until_rest()
    assert states(export) == {NEW: ["theirs", "vip"]}


def test_what_happens_at_the_old_address_is_told_under_the_new_one(export):
    export.create("vip", "gold")
    delivered(export, OLD)
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()

    export.happen(("enter", OLD, "gold"))
    export.deliver_until_rest()
    assert states(export) == {NEW: ["gold", "vip"]}

    export.happen(("exit", NEW, "vip"))
    export.deliver_until_rest()
    assert states(export) == {NEW: ["gold"]}

    export.happen(("exit", OLD, "gold"))
    export.deliver_until_rest()
    assert states(export) == {NEW: []}


def test_who_moved_twice_is_at_the_last_address(export):
    export.create("vip")
    delivered(export, OLD)
    told_elsewhere(export, NEW, NEWER)
    told_elsewhere(export, OLD, NEW)

    export.deliver_until_rest()

    assert states(export) == {NEWER: ["vip"]}
    assert told_keys(export) == {NEWER}


def test_who_goes_back_is_at_the_first_address(export):
    export.create("vip")
    delivered(export, OLD)
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()
    webhooks_arrive(export)
    told_elsewhere(export, NEW, OLD, minutes=2)

    export.deliver_until_rest()

    assert states(export) == {OLD: ["vip"]}
    assert told_keys(export) == {OLD}


def test_two_rows_of_one_person_become_one_with_the_audiences_of_both(export):
    export.create("vip", "gold")
    delivered(export, OLD)
    delivered(export, NEW, audience="gold")
    told_elsewhere(export, OLD, NEW)

    export.deliver_until_rest()

    assert states(export) == {OLD: [], NEW: ["gold", "vip"]}
    assert told_keys(export) == {NEW}


@pytest.mark.parametrize("heard", [True, False], ids=["told", "found in the list"])
def test_an_opt_out_under_the_old_address_holds_under_the_new_one(export, heard):
    export.create("vip")
    delivered(export, OLD)
    export.act("unsubscribe", OLD)
    if heard:
        webhooks_arrive(export)
    told_elsewhere(export, OLD, NEW)

    export.happen(("enter", NEW, "vip"))
    export.deliver_until_rest()

    assert states(export) == {OLD: "Unsubscribed"}
    assert export.account.added_after_opt_out == []


def test_an_opt_out_before_the_first_delivery_holds_under_the_new_address(export):
    export.act("subscribe", OLD)
    export.act("unsubscribe", OLD)
    webhooks_arrive(export)
    told_elsewhere(export, OLD, NEW)
    export.create("vip")

    export.happen(("enter", NEW, "vip"))
    export.deliver_until_rest()

    assert states(export) == {OLD: "Unsubscribed"}


def test_who_was_refused_under_the_old_address_is_not_added_under_the_new_one(export):
    export.act("subscribe", OLD)
    export.act("unsubscribe", OLD)
    export.account.webhook_events.clear()
    export.create("vip")
    export.happen(("enter", OLD, "vip"))
    export.deliver_until_rest()
    assert export.refusals().keys() == {OLD}

    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()

    assert states(export) == {OLD: "Unsubscribed"}
    assert export.refusals().keys() == {NEW}


def test_whoever_takes_the_old_address_later_is_another_person(export):
    export.create("vip", "gold")
    delivered(export, OLD)
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()
    webhooks_arrive(export)

    told_elsewhere(export, None, OLD, what="Subscribe", minutes=5)
    export.happen(("enter", OLD, "gold"), ("enter", NEW, "vip"))
    export.deliver_until_rest()

    assert states(export) == {NEW: ["vip"], OLD: ["gold", "vip"]}
    assert told_keys(export) == {NEW, OLD}


def test_whose_old_address_is_taken_is_looked_at_too(export):
    export.create("vip")
    export.happen(("enter", NEW, "vip"), ("exit", NEW, "vip"), ("enter", OLD, "vip"))
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()
    assert states(export) == {NEW: ["vip"]}

    told_elsewhere(export, None, OLD, what="Subscribe", minutes=5)
    export.deliver_until_rest()

    assert states(export) == {NEW: [], OLD: ["vip"]}


def test_who_is_in_no_audience_is_added_nowhere(export):
    export.create("vip")
    told_elsewhere(export, OLD, NEW)

    export.deliver_until_rest()

    assert states(export) == {}
    assert told_keys(export) == set()


def test_a_person_of_two_addresses_who_is_new_is_added_once(export):
    export.create("vip")
    told_elsewhere(export, OLD, NEW)
    export.happen(("enter", OLD, "vip"))

    export.deliver_until_rest()

    assert states(export) == {NEW: ["vip"]}


@pytest.mark.parametrize("by", ["this list", "another list", "both rows"])
def test_a_plan_says_what_a_start_does(export, by):
    workflow = export.create("vip", "gold")
    delivered(export, OLD)
    service.pause(export.context, workflow.id)
    if by == "both rows":
        export.act("subscribe", NEW)
        webhooks_arrive(export)
    if by == "this list":
        export.act("change-email", OLD, new_email=NEW)
        webhooks_arrive(export)
    else:
        told_elsewhere(export, OLD, NEW)
    export.happen(("enter", OLD, "gold"))
    made = []

    plan_export(export.context, workflow.id, on_plan=made.append)
    service.resume(export.context, workflow.id)
    export.deliver_until_rest()

    [found] = made
    assert (found.key, found.address, found.effect.value) == (NEW, NEW, "moved")
    assert states(export) == {NEW: ["gold", "vip"]} | ({OLD: []} if by == "both rows" else {})
    assert sorted(found.after[1][FIELD]) == ["gold", "vip"]


def test_an_old_address_is_asked_for_and_the_newest_one_s_outcome_is_told(export):
    workflow = export.create("vip")
    delivered(export, OLD)
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()

    told = why(export.context, registry.get(export.context.store, workflow.id), OLD)

    assert (told["email"], told["last_row"]["address"]) == (NEW, NEW)


def test_a_check_finds_nothing_wrong_with_who_moved(export):
    workflow = export.create("vip", "gold")
    delivered(export, OLD)
    delivered(export, NEW, audience="gold")
    told_elsewhere(export, OLD, NEW)
    export.deliver_until_rest()
    webhooks_arrive(export)

    result = reconcile(export.context, workflow.id)

    assert (result.problem, result.drift) == ("", {})
    assert states(export) == {OLD: [], NEW: ["gold", "vip"]}


class Killed(BaseException):
    """The process was killed."""


class MortalStore(Store):
    """A store whose process is killed just before its `life`th script, one partition at a time."""

    def __init__(self, store, life):
        super().__init__(store.client, store.partitions)
        self.life = life

    def script(self, source, keys, args):
        self.life -= 1
        if self.life < 0:
            raise Killed
        return super().script(source, keys, args)

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]


@pytest.mark.parametrize(("there", "first"), [(False, 1), (True, 2)], ids=["one row", "two rows"])
def test_a_delivery_that_is_killed_anywhere_loses_nobody(export, there, first):
    export.create("vip", "gold")
    export.deliver()
    context = export.context
    for life in itertools.count(first, step=3):
        old, new = f"p{life}@old.example", f"p{life}@new.example"
        delivered(export, old)
        if there:
            delivered(export, new, audience="gold")
        told_elsewhere(export, old, new)
        export.context = replace(context, store=MortalStore(context.store, life))
        try:
            export.deliver()
            killed = False
        except Killed:
            killed = True
        export.context = context
        context.store.client.delete(keys.lease(f"deliver:{export.list.list_id}"))
        _let_rests_end(export)
        export.deliver_until_rest()

        expected = {old: [], new: ["gold", "vip"]} if there else {new: ["vip"]}
        assert {email: held for email, held in states(export).items() if email in (old, new)} == expected
        assert old not in told_keys(export)
        webhooks_arrive(export)
        export.deliver_until_rest()
        if not killed:
            break
    assert life > 8


def _let_rests_end(export):
    store, list_id = export.context.store, export.list.list_id
    for part in store.parts:
        for key in store.client.zrange(part.retry(list_id), 0, -1):
            store.client.zadd(part.retry(list_id), {key: 1}, xx=True)


ADDRESSES = range(4)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["enter", "exit"]), st.sampled_from(ADDRESSES), st.sampled_from("vg")),
        st.tuples(st.just("moves"), st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("renames"), st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("delivers"), st.none() | st.integers(1, 70), st.booleans()),
    ),
    min_size=2,
    max_size=10,
)


@dataclass
class Played:
    """Some addresses, the audiences that were told of each, and the changes between them."""

    export: Export
    number: int
    told: dict[tuple[int, str], tuple[int, bool]] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    clock: int = 0

    def address(self, each):
        return f"p{each}@{self.number}.example"

    def play(self, played):
        for what, *details in played:
            self.clock += 1
            getattr(self, what)(*details)

    def enter(self, each, audience, *, event="enter"):
        self.told[each, audience] = self.clock, event == "enter"
        self.export.happen((event, self.address(each), AUDIENCES[audience]))

    def exit(self, each, audience):
        self.enter(each, audience, event="exit")

    def moves(self, old, new):
        """Another list tells a change of address."""
        if old != new:
            self._link(old, new)
            told_elsewhere(self.export, self.address(old), self.address(new), minutes=self.clock)

    def renames(self, old, new):
        """The list's own row gets another address, and the webhook comes."""
        there = self.export.list.find(self.address(old))
        if there is not None and there.state == "Active" and self.export.list.find(self.address(new)) is None:
            self._link(old, new)
            before = len(self.export.account.webhook_events)
            self.export.act("change-email", self.address(old), new_email=self.address(new))
            del self.export.account.webhook_events[before:]
            told_elsewhere(self.export, self.address(old), self.address(new), minutes=self.clock)

    def _link(self, old, new):
        self.links.append(Link(self.clock * 60_000, 0, self.address(old), self.address(new)))

    def delivers(self, life, arrive):
        context = self.export.context
        if life is not None:
            self.export.context = replace(context, store=MortalStore(context.store, life))
        try:
            self.export.deliver()
        except Killed:
            context.store.client.delete(keys.lease(f"deliver:{self.export.list.list_id}"))
        self.export.context = context
        if arrive:
            webhooks_arrive(self.export)

    def settle(self):
        for _ in range(2):
            _let_rests_end(self.export)
            self.export.deliver_until_rest()
            webhooks_arrive(self.export)

    def homes(self):
        every = [self.address(each) for each in ADDRESSES]
        return newest(
            {each: Node(tuple(link for link in self.links if each in (link.old, link.new))) for each in every}
        )

    def latest(self):
        """(newest address, audience) -> when the person was told of it last, and whether they are in it."""
        homes, latest = self.homes(), {}
        for (each, audience), told in self.told.items():
            place = homes[self.address(each)], AUDIENCES[audience]
            latest[place] = max(latest.get(place, told), told)
        return latest

    def expected(self):
        return sorted(place for place, (_, inside) in self.latest().items() if inside)

    def held(self):
        """(address, audience) of all rows; without what nobody told of the person who has an address.

        Whoever moved on took their history away where somebody else got their old address: then no event
        names the audience for them any more, and what their row holds is left alone.
        """
        homes, latest, domain = self.homes(), self.latest(), f"@{self.number}.example"
        return sorted(
            (email, audience)
            for email, held in states(self.export).items()
            for audience in (held if email.endswith(domain) else ())
            if homes[email] != email or (email, audience) in latest
        )


AUDIENCES = {"v": "vip", "g": "gold"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=steps)
def test_whatever_happens_each_person_has_one_row_with_their_audiences(export, played):
    if not registry.exports_to(export.context.store, export.list.list_id):
        export.create("vip", "gold")
    world = Played(export, next(NUMBERS))

    world.play(played)
    world.settle()

    assert world.held() == world.expected()


NUMBERS = itertools.count()
