"""At rest the list equals the audiences, whatever people, editors, the network and the machine do meanwhile.

Everybody has an outcome that is explained, and no call was made that a batch could have carried."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mortal import Killed
from properties import examples
from simulated import Export

from listbridge.campaign_monitor import destination, incoming
from listbridge.campaign_monitor.events import Account as Feed
from listbridge.campaign_monitor.timezones import zone
from listbridge.exports.ledger import lags
from listbridge.jobs.deliver import bell_of
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.standing.why import why
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.workflows import registry
from simulator.account import Account, Webhook
from simulator.server import SimulatorServer
from simulator.webhooks import payload

PEOPLE = [f"p{number}@example.com" for number in range(5)]
AUDIENCES = ("vip", "lapsed")
LEFT = {"Unsubscribed", "Deleted", "Bounced"}

who = st.sampled_from(PEOPLE)
happening = st.one_of(
    st.tuples(st.just("enter"), who, st.sampled_from(AUDIENCES)),
    st.tuples(st.just("enter"), who, st.sampled_from(AUDIENCES)),
    st.tuples(st.just("exit"), who, st.sampled_from(AUDIENCES)),
    st.tuples(st.just("town"), who, st.sampled_from(["Paris", "Oslo", "Nara"])),
    st.tuples(st.just("act"), who, st.sampled_from(["subscribe", "unsubscribe", "delete", "bounce", "spam"])),
    st.tuples(st.just("edit"), who, st.lists(st.sampled_from([*AUDIENCES, "theirs"]), unique=True)),
    st.tuples(st.just("webhooks")),
)
trouble = st.one_of(
    st.tuples(st.sampled_from(["429", "500", "504-html", "drop-before", "drop-after"]), st.integers(0, 1)),
    st.tuples(st.just("kill"), st.integers(0, 14)),
)
move = st.tuples(st.just("move"), who, st.integers(1, 3))


def rounds_of(happening, longest):
    """Rounds of what happens before a delivery, and what troubles it."""
    round_ = st.tuples(st.lists(happening, max_size=8), st.one_of(st.none(), trouble))
    return st.lists(round_, min_size=1, max_size=longest)


class MortalStore(Store):
    """A store whose caller dies at the `dies_at`-th script of a delivery."""

    dies_at = -1
    steps = 0

    def script(self, source, names, args):
        if threading.current_thread() is threading.main_thread() and self.dies_at >= 0:
            self.steps += 1
            if self.steps > self.dies_at:
                raise Killed
        return super().script(source, names, args)


@dataclass
class World:
    """What should be: who is in which audience, and the newest town of each."""

    export: Export
    members: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    towns: dict[str, str] = field(default_factory=dict)
    troubles: int = 0
    deliveries: int = 0

    def play(self, rounds):
        for happenings, trouble in rounds:
            for what, *details in happenings:
                getattr(self, what)(*details)
            self.deliver(trouble)

    def enter(self, person, audience):
        self.members[person].add(audience)
        self.export.happen(("enter", person, audience))

    def exit(self, person, audience):
        self.members[person].discard(audience)
        self.export.happen(("exit", person, audience))

    def town(self, person, town):
        """A changed field comes with an event that changes no membership."""
        self.towns[person] = town
        what = "enter" if "vip" in self.members[person] else "exit"
        self.export.happen((what, person, "vip", {"fields": {"town": town}}))

    def act(self, person, action):
        held = self.export.list.find(person)
        if action == "subscribe" or (held is not None and held.state == "Active"):
            self.export.act(action, person)

    def edit(self, person, options):
        held = self.export.list.find(person)
        if held is not None and held.state == "Active" and self.field_key:
            known = {option for each in self.export.list.fields for option in each.options}
            self.export.act("update", person, values={self.field_key: [o for o in options if o in known]})

    @property
    def field_key(self):
        found = [each.key for each in self.export.list.fields if each.name == "Lytics Audiences"]
        return found[0] if found else ""

    def webhooks(self):
        """What waits for the list's webhook arrives."""
        client, (hook,) = self.export.client, self.export.list.webhooks.values()
        feed = Feed(
            client.client_id, client.name, zone(client.time_zone), {self.export.list.list_id: "A list"}
        )
        while hook.waiting:
            events = [hook.waiting.popleft().event for _ in range(len(hook.waiting))]
            incoming.receive(self.export.context.store, feed, payload(self.export.list.list_id, events))
            self.export.folder.run()

    def deliver(self, trouble=None):
        self.deliveries += 1
        store = self.export.context.store
        self.wake()
        if trouble is None:
            self.export.deliver()
            return
        self.troubles += 1
        kind, at = trouble
        if kind != "kill":
            self.export.fault(kind, after=at)
            self.export.deliver()
            self.export.server.simulator.faults.faults.clear()
            return
        store.steps, store.dies_at = 0, at
        try:
            self.export.deliver()
        except Killed:
            pass
        finally:
            store.dies_at = -1
            store.client.delete(keys.lease(bell_of(self.export.list.list_id)))  # it ran out since

    def deliver_until_rest(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            self.deliver()
            if not any(lags(self.export.context.store, self.export.list.list_id, now_ms() + 60_000)):
                return
            time.sleep(0.05)
        raise AssertionError("the deliveries never come to rest")

    def wake(self):
        for workflow in registry.exports_to(self.export.context.store, self.export.list.list_id):
            self.export.context.store.client.hset(keys.workflow(workflow.id), "wake_at", 1)
        self.export.context.store.client.delete(keys.pace(self.export.budget))

    def settle(self):
        """No more trouble; all webhooks arrive, and everything is delivered."""
        for _ in range(10):
            self.webhooks()
            before = self.export.calls()
            self.deliver_until_rest()
            self.webhooks()
            if self.export.calls() == before:
                return
        raise AssertionError("our own writes start writes, and it never ends")

    def all_calls(self):
        return sum(self.export.server.simulator.calls.report()["by_endpoint"].values())

    def told(self, workflow, person):
        found = registry.get(self.export.context.store, workflow.id)
        return why(self.export.context, found, person)


@pytest.fixture
def new_world(context, monkeypatch):
    """Makes a world with one running export of both audiences; a second one starts afresh."""
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.05)
    quick = replace(
        context.settings, api_connect_timeout_seconds=0.3, api_read_timeout_seconds=0.3, flush_milliseconds=0
    )
    servers = []

    def make(reading, kind=World, **options):
        context.store.client.flushall()
        store = MortalStore(context.store.client, context.store.partitions)
        store.prepare()
        establish(store, configured(quick))
        account = Account("a" * 32)
        target = account.add_list(account.add_client("A client"), "A list")
        hook = Webhook("w" * 32, target.list_id, ["Subscribe", "Deactivate", "Update"], "", "Json")
        target.webhooks[hook.webhook_id] = hook
        account.switches.change({"import_multi_select": reading, "webhook_flush_seconds": 3600})
        while servers:
            servers.pop().stop()
        server = SimulatorServer(account).start()
        servers.append(server)
        export = Export(replace(context, store=store, settings=quick, programs=ActivePrograms(store)), server)
        workflow = export.create(*AUDIENCES, field_mappings={"town": "Town"}, create_fields=True, **options)
        return kind(export), workflow

    yield make
    for server in servers:
        server.stop()


def comes_to_rest(world, workflow, played, check):
    """After the rounds and all that follows, everybody is as they should be, and it stays so by itself."""
    world.play(played)
    world.settle()

    assert world.export.account.added_after_opt_out == []
    for person in PEOPLE:
        check(world, person, world.told(workflow, person))
    before = world.all_calls()
    world.deliver()
    assert world.all_calls() == before, "nothing changed, so nothing is asked"


@pytest.mark.parametrize("reading", ["replace", "append"])
@examples(10)
@given(played=rounds_of(happening, 5))
def test_whatever_happens_the_list_ends_up_equal_and_explained(new_world, reading, played):
    world, workflow = new_world(reading)

    comes_to_rest(world, workflow, played, check)

    assert world.export.calls() <= world.deliveries + world.troubles


def check(world, person, told):
    """The list has this person as the model says, and the outcome says so too."""
    held, wanted = world.export.list.find(person), sorted(world.members[person])
    outcome = told["outcome"]
    if held is not None and held.state in LEFT:
        assert outcome in ("opted out", "refused") if wanted else outcome != "delivered", told
    elif wanted:
        assert outcome == "delivered", told
        assert sorted(world.export.held(person)) == wanted == told["last_row"]["options"]
        if person in world.towns:
            assert world.export.held(person, "Town") == [world.towns[person]]
    else:
        assert outcome in ("not in the audience", "delivered"), told
        if told["last_row"] is not None:
            assert held is None or not world.export.held(person)


class MovingWorld(World):
    """A world in which the address comes from a field, and changes; people are known by their first one."""

    def __init__(self, export):
        super().__init__(export)
        self.address = {person: person for person in PEOPLE}
        self.held_at = {person: {person} for person in PEOPLE}
        self.out = set()

    def enter(self, person, audience):
        self.members[person].add(audience)
        self.happen("enter", person, audience)

    def exit(self, person, audience):
        self.members[person].discard(audience)
        self.happen("exit", person, audience)

    def town(self, person, town):
        self.towns[person] = town
        self.happen("enter" if "vip" in self.members[person] else "exit", person, "vip", town=town)

    def move(self, person, number):
        """They have another address from now on, perhaps one of their earlier ones."""
        self.address[person] = person.replace("@", f".{number}@")
        self.held_at[person].add(self.address[person])
        self.happen("enter" if "vip" in self.members[person] else "exit", person, "vip")

    def happen(self, what, person, audience, **more):
        fields = {"contact": self.address[person]} | more
        self.export.happen((what, person, audience, {"fields": fields}))

    def active_at(self, person):
        rows = {address: self.export.list.find(address) for address in sorted(self.held_at[person])}
        return [address for address, held in rows.items() if held is not None and held.state == "Active"]

    def act(self, person, action):
        """They act at the address that the list has, the present one first."""
        found = self.active_at(person)
        here = self.address[person] if self.address[person] in found or not found else found[0]
        if action == "subscribe" or found:
            super().act(here, action)
        if found and action in ("unsubscribe", "delete", "spam"):
            self.out.add(person)

    def edit(self, person, options):
        for address in self.active_at(person)[:1]:
            super().edit(address, options)


@pytest.mark.parametrize("reading", ["replace", "append"])
@examples(10)
@given(played=rounds_of(st.one_of(happening, move, move), 4))
def test_who_changes_address_is_in_the_list_once(new_world, reading, played):
    world, workflow = new_world(reading, kind=MovingWorld, email_field="contact")

    comes_to_rest(world, workflow, played, check_moved)


def check_moved(world, person, told):
    """One row has the person's options, at the present address; who opted out is brought back at none."""
    wanted, outcome, here = sorted(world.members[person]), told["outcome"], world.address[person]
    assert outcome not in ("unknown", "pending", "in doubt"), told
    marked = [address for address in world.active_at(person) if world.export.held(address)]
    if told["last_row"] is not None or outcome == "delivered":
        assert set(marked) <= {here}, (told, marked)
    if outcome == "delivered" and wanted:
        assert world.export.held(here) == wanted == told["last_row"]["options"]
        if person in world.towns:
            assert world.export.held(here, "Town") == [world.towns[person]]
    elif wanted:
        assert outcome in ("refused", "opted out"), told
        rows = [world.export.list.find(address) for address in world.held_at[person]]
        assert person in world.out or any(row is not None and row.state in LEFT for row in rows), told
