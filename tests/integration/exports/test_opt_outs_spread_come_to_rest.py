"""Whatever people do, whatever fails or dies: at rest no list keeps somebody who left another one later."""

import pytest
from family import Family
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mortal import Killed

from listbridge.campaign_monitor import destination
from listbridge.exports.spread import Spreader
from listbridge.jobs.deliver import deliver
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.store import keys
from listbridge.systems import account_of
from simulator.account import Account
from simulator.faults import Fault
from simulator.server import SimulatorServer

ANN = "ann@example.com"
KILLED_IN = ("_begin", "_carry_to", "_keep", "_settle", "_due")


people = st.tuples(st.sampled_from(["subscribe", "unsubscribe", "unsubscribe", "update"]), st.integers(0, 2))
works = st.tuples(st.just("deliver"), st.integers(1, 2))
kills = st.tuples(st.just("kill"), st.integers(1, 2), st.sampled_from(KILLED_IN), st.booleans())
faults = st.tuples(
    st.just("fault"),
    st.sampled_from(["500", "drop-before", "drop-after", "429"]),
    st.sampled_from([r"POST .*/unsubscribe", r"GET /api/v3.3/subscribers", r"POST .*/import"]),
)
others = st.sampled_from([("tell",), ("enter",), ("exit",), ("wait", 20), ("wait", 90), ("wait", 3600)])
plans = st.lists(st.one_of(people, people, works, kills, faults, others), min_size=3, max_size=14)


class Story:
    """A family in which Ann acts; `left` has when she left a list by herself, as the list tells it."""

    def __init__(self, family):
        self.family, self.left, self.opt_outs = family, {}, 0
        self.lists = [family.a, family.b, family.c]
        self.exports = [family.feed(each) for each in self.lists[1:]]

    def play(self, step, monkeypatch):
        match step:
            case ("tell",):
                self.family.tell()
            case ("enter",) | ("exit",):
                self.family.enter(ANN, what=step[0])
            case ("wait", seconds):
                self.family.later(seconds)
            case ("fault", kind, match):
                self.family.server.simulator.faults.add(Fault(kind=kind, match=match))
            case ("deliver", number):
                self.deliver(number)
            case ("kill", number, name, before):
                self.kill(number, name, before, monkeypatch)
            case (action, number):
                self.act(action, self.lists[number])

    def act(self, action, target):
        person = target.find(ANN)
        if action != "subscribe" and (person is None or person.state != "Active"):
            return
        self.family.act(action, target, ANN, name="Ann")
        if action == "unsubscribe":
            self.left[target.list_id] = target.find(ANN).date
            self.opt_outs += 1
        if action == "subscribe":
            self.left.pop(target.list_id, None)

    def deliver(self, number):
        self.family.tell()
        for each in self.exports:
            self.family.context.store.client.hset(keys.workflow(each.id), "wake_at", 1)
        budget = account_of(self.family.context, self.family.authorization)
        self.family.context.store.client.delete(keys.pace(budget))
        deliver(self.family.context, self.lists[number].list_id)

    def kill(self, number, name, before, monkeypatch):
        real = getattr(Spreader, name)

        def dying(spreader, *args):
            if not before:
                real(spreader, *args)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Spreader, name, dying)
            try:
                self.deliver(number)
            except Killed:
                return

    def end(self):
        self.family.server.simulator.faults.clear()
        for _ in range(3):
            for number in (1, 2):
                self.deliver(number)
        self.family.deliver()


@pytest.fixture(scope="module")
def server():
    with SimulatorServer(Account("a" * 32)) as running:
        yield running


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans)
def test_nobody_stays_in_a_list_who_left_another_one_later(context, server, monkeypatch, plan):
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    context.store.client.flushall()
    establish(context.store, configured(context.settings))
    server.account.clients.clear()
    server.account.webhook_events.clear()
    server.account.added_after_opt_out.clear()
    client = server.account.add_client("A client")
    for title in ("A", "B", "C"):
        server.account.add_list(client, title)
    before = server.simulator.calls.report()["by_endpoint"].get("POST /subscribers/{list}/unsubscribe", 0)
    story = Story(Family(context, server))
    for step in plan:
        story.play(step, monkeypatch)
    story.end()
    for target in story.lists[1:]:
        person = target.find(ANN)
        if person is not None and person.state == "Active":
            assert all(person.date > at for list_id, at in story.left.items() if list_id != target.list_id)
    assert server.account.added_after_opt_out == []
    calls = server.simulator.calls.report()["by_endpoint"].get("POST /subscribers/{list}/unsubscribe", 0)
    faulty = sum(step[0] in ("fault", "kill") for step in plan)
    assert calls - before <= 2 * story.opt_outs + faulty
