"""Whatever people do by hand: a repair puts right what is ours, and never undoes an opt-out."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import Export

from listbridge.campaign_monitor import destination
from listbridge.jobs.reconcile import NothingToCheck, reconcile
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.standing.drift import rows
from simulator.account import Account
from simulator.server import SimulatorServer

FIELD, CITY = "[LyticsAudiences]", "[City]"
PEOPLE = [f"p{number}@example.com" for number in range(3)]

who = st.sampled_from(PEOPLE)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), who, st.sampled_from(["vip", "gold"])),
        st.tuples(st.just("exit"), who, st.sampled_from(["vip", "gold"])),
        st.tuples(st.just("options"), who, st.sets(st.sampled_from(["vip", "gold"]))),
        st.tuples(st.just("leave"), who, st.sampled_from(["unsubscribe", "delete", "bounce"])),
        st.tuples(st.just("erase"), who, st.none()),
        st.tuples(st.just("check"), st.none(), st.booleans()),
        st.tuples(st.just("deliver"), st.none(), st.none()),
    ),
    max_size=12,
)


@pytest.fixture
def fresh_export(context, monkeypatch):
    """Makes an empty simulated list and exports to it, on an emptied store."""
    monkeypatch.setattr(destination, "MARGIN_SECONDS", 0.1)
    patient = replace(context.settings, api_connect_timeout_seconds=5, api_read_timeout_seconds=10)
    servers = []

    def make():
        context.store.client.flushall()
        context.store.prepare()
        establish(context.store, configured(patient))
        account = Account("a" * 32)
        account.add_list(account.add_client("A client"), "A list")
        for server in servers:
            server.stop()
        servers.append(SimulatorServer(account).start())
        return Export(replace(context, settings=patient, programs=ActivePrograms(context.store)), servers[-1])

    yield make
    for server in servers:
        server.stop()


class Story:
    """An export, and what was learned by checks of people who are gone."""

    def __init__(self, export):
        self.export = export
        self.made = export.create("vip", "gold", existing_users=True, brakes={"unsubscribed": None})
        self.gone = set()

    def do(self, what, email, how):
        export = self.export
        person = email and export.list.find(email)
        if what in ("enter", "exit"):
            export.happen((what, email, how))
        elif what == "deliver":
            export.deliver_until_rest()
        elif what == "check":
            self.check(repair=how)
        elif person is None:
            return
        elif what == "erase":
            del export.list.subscribers[email]
            export.list.version += 1
        elif person.state == "Active" and what == "options":
            export.act("update", email, values={FIELD: sorted(how)})
        elif person.state == "Active":
            export.act(how, email)

    def check(self, *, repair):
        try:
            reconcile(self.export.context, self.made.id, repair=repair)
        except NothingToCheck:
            return
        found = rows(self.export.context.store, self.export.list.list_id)
        self.gone |= {row["email"] for row in found if row["kind"] == "missing"}
        self.export.folder.run()


@pytest.mark.parametrize("reading", ["replace", "append"])
@given(story=steps)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_repair_puts_right_what_is_ours_and_undoes_no_opt_out(fresh_export, reading, story):
    export = fresh_export()
    export.account.switches.change({"import_multi_select": reading})
    told = Story(export)
    for step in story:
        told.do(*step)
    told.do("deliver", None, None)
    out = {email: person.state for email, person in export.list.subscribers.items()}

    told.check(repair=True)
    told.do("deliver", None, None)

    assert export.account.added_after_opt_out == []
    assert {email: person.state for email, person in export.list.subscribers.items()} == out
    assert all(out.get(email) != "Active" for email in told.gone)
    told.check(repair=True)
    left = list(rows(export.context.store, export.list.list_id))
    assert all(row["kind"] == "extra" and "set by others" in row["reason"] for row in left), left
