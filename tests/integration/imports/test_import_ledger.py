"""Whatever happens while an account is read, the streams end with exactly what it holds, each row once."""

from dataclasses import replace
from random import Random

import pytest

from listbridge.campaign_monitor.revisits import DAY_MS
from listbridge.imports import cursors as cursors_module
from listbridge.imports.protocol import Resource
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import service
from listbridge.workflows.models import State
from simulator.faults import Fault

KINDS = ("429", "500", "504-html", "drop-before", "drop-after")


def grow_old(importer):
    """Let every reading be from long ago, so that all is looked at again, from the beginning."""
    store, client_id = importer.context.store, importer.client_id
    for name, cursor in cursors_module.cursors(store, client_id).items():
        long_ago = now_ms() - 400 * DAY_MS
        aged = replace(cursor, complete_from=min(cursor.complete_from, long_ago), whole_from=long_ago)
        cursors_module.save(store, client_id, Resource(name, (name,), None), aged)


def run_on(importer, workflow, **options):
    """One attempt, woken from whatever it ended in before."""
    if importer.state(workflow).state is not State.RUNNING:
        importer.context.store.client.delete(keys.pace(importer.budget))
        service.resume(importer.context, workflow.id)
    importer.run(workflow, **options)


def late_row(importer, chance):
    """A click with the date of one that was read long ago, which no summary tells of."""
    campaigns = list(importer.server.account.clients[importer.client_id].campaigns.values())
    clicks = chance.choice(campaigns).reports["clicks"]
    if len(clicks):
        clicks.add(chance.choice(clicks.rows()))


@pytest.mark.parametrize("seed", range(5))
def test_an_account_that_changes_while_it_is_read_with_faults_and_breaks(importer_of, seed):
    chance = Random(seed)
    importer = importer_of(seed=seed + 1, campaigns=3, people=50, activity_rows=500, journeys=2)
    simulator = importer.server.simulator
    simulator.account.switches.change({"date_filter": chance.choice(["inclusive", "exclusive"])})
    workflow = importer.create(keep_updated=True, webhooks=False)
    for _ in range(8):
        if chance.random() < 0.5:
            kind, after = chance.choice(KINDS), chance.randrange(40)
            simulator.faults.add(Fault(kind=kind, match="GET ", after=after, seconds=0.1))
        before, most = simulator.calls.report()["total"], chance.choice([5, 20, 1000])
        seeds = iter(range(1000))

        def stopping(before=before, most=most, seeds=seeds):
            if chance.random() < 0.2:
                simulator.produce(2, chance.randrange(10**6) + next(seeds))
            if chance.random() < 0.1:
                simulator.produce_automated(2, chance.randrange(10**6))
            return simulator.calls.report()["total"] > before + most

        run_on(importer, workflow, stopping=stopping)
        if chance.random() < 0.5:
            with simulator.account.lock:
                late_row(importer, chance)
    simulator.faults.clear()
    for _ in range(2):  # the first ends what was begun
        run_on(importer, workflow)
        assert importer.state(workflow).state is State.SLEEPING
        grow_old(importer)
    run_on(importer, workflow)
    stored, held = importer.stored(), importer.held()
    # A state that somebody left since is kept in the stream: it is what was so then.
    assert {fact[0] for fact in stored - held} <= {"state"}
    assert held - stored == type(held)()
