"""At rest the streams hold exactly what the account holds, each row once, whatever happens meanwhile."""

from dataclasses import replace

import pytest
from changing_account import ChangingAccount, MortalRedis, MortalStore, SmallestPages
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from listbridge import authorizations, systems
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from simulator.server import SimulatorServer

seed = st.integers(0, 999)
report = st.sampled_from(["opens", "clicks", "bounces", "unsubscribes", "spam"])
happening = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 12), seed),
    st.tuples(st.just("read_automated"), st.integers(1, 6), seed),
    st.tuples(st.just("again"), st.sampled_from(["opens", "clicks"]), seed, st.sampled_from([1, 2, 15])),
    st.tuples(st.just("late"), report, seed),
    st.tuples(st.just("late"), report, seed),
    st.tuples(
        st.just("act"), st.sampled_from(["subscribe", "unsubscribe", "delete", "bounce", "spam"]), seed
    ),
    st.tuples(
        st.just("act"), st.sampled_from(["subscribe", "unsubscribe", "delete", "bounce", "spam"]), seed
    ),
    st.tuples(st.just("join"), st.sampled_from([1, 3, 25]), seed),
    st.tuples(st.just("suppress")),
    st.tuples(st.just("unsuppress"), seed),
    st.tuples(st.just("new_list"), st.sampled_from([0, 3, 12])),
    st.tuples(st.just("drop_list"), seed),
    st.tuples(st.just("new_campaign"), seed),
    st.tuples(st.just("send_on"), seed, st.integers(1, 12)),
    st.tuples(st.just("drop_campaign"), seed),
    st.tuples(st.just("new_journey"), seed),
    st.tuples(st.just("drop_journey"), seed),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 300, 3000])),
)
in_time = st.lists(st.builds(lambda after, what: (after, *what), st.integers(0, 60), happening), max_size=8)
trouble = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(
            ["429", "429-headers", "500", "504-html", "200-html", "cut", "drip", "drop-before", "drop-after"]
        ),
        st.integers(0, 60),
        st.sampled_from(["", "", "active", "recipients", "opens", "clicks", "journeys", "campaigns"]),
    ),
    st.tuples(st.sampled_from(["401-permission", "401-hidden"]), st.integers(0, 5), st.just("list")),
    st.tuples(st.just("kill"), st.integers(0, 250), st.booleans()),
    st.tuples(st.just("kill"), st.integers(0, 60), st.booleans()),
)
rounds = st.lists(st.tuples(in_time, trouble, st.sampled_from([1, 4, 12])), min_size=1, max_size=5)

pytestmark = pytest.mark.on_one_server


@pytest.fixture
def changing(context, importer_class, monkeypatch):
    """Makes an account that changes, and an import of it that has not run yet; the next one starts afresh."""
    monkeypatch.setattr(systems, "CampaignMonitor", SmallestPages)
    store = MortalStore(MortalRedis.from_url(context.redis_url), context.store.partitions)
    servers = []

    def make(date_filter, start):
        while servers:
            servers.pop().stop()
        store.client.flushall()
        store.prepare()
        establish(store, configured(context.settings))
        plan = {"lists": 2, "people": 40, "campaigns": 2, "activity_rows": 160, "journeys": 1}
        server = SimulatorServer(**plan, seed=start).start()
        servers.append(server)
        server.account.switches.change({"date_filter": date_filter})
        mortal = replace(context, store=store, programs=ActivePrograms(store))
        key, url = server.api_key, server.api_url
        made = authorizations.create(store, mortal.secrets, secret=key, description="changing", base_url=url)
        importer = importer_class(mortal, server, made.id)
        return ChangingAccount(importer, importer.create(keep_updated=True, webhooks=False))

    yield make
    for server in servers:
        server.stop()
    store.client.close()


@examples(15)
@given(
    date_filter=st.sampled_from(["inclusive", "exclusive", "day"]),
    start=st.integers(1, 5),
    played=rounds,
)
def test_whatever_happens_the_streams_end_up_equal(changing, date_filter, start, played):
    account = changing(date_filter, start)

    for happenings, trouble, in_flight in played:
        account.run(happenings, trouble, in_flight)

    account.finish()
    account.finish()
    account.check_states()
    account.grow_old()
    account.finish()
    account.check()
    stored = account.importer.stored()
    account.grow_old()
    account.finish()
    assert account.importer.stored() == stored
