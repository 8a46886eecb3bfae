"""An import that is broken off anywhere goes on, and ends with the same events."""

import time
from dataclasses import replace

import pytest

from listbridge.imports import cursors
from listbridge.imports.protocol import Resource
from listbridge.jobs.pull import LEASE_MS, lease_of
from listbridge.jobs.sweep import sweep
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import now_ms
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from simulator.faults import Fault

KINDS = ["429", "429-headers", "500", "504-html", "drop-before", "drop-after"]


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("500", 0),
        ("drop-after", 1),
        ("500", 2),
        ("drop-after", 9),
        ("500", 20),
        ("drop-after", 35),
    ],
)
def test_a_failed_call_puts_the_import_to_sleep_and_it_goes_on(importer, kind, after):
    importer.server.simulator.faults.add(Fault(kind=kind, match="GET ", after=after))
    workflow = importer.create(webhooks=False)
    assert importer.run(workflow) is None
    held = importer.state(workflow)
    assert (held.state, held.wake_at > now_ms()) == (State.SLEEPING, True)
    assert held.reason
    assert importer.persist(registry.resume(importer.context.store, workflow.id)) == 1
    assert importer.stored() == importer.held()


@pytest.mark.parametrize("kind", KINDS)
def test_failures_of_every_kind_again_and_again_only_delay(importer, kind):
    for after in range(15, 600, 25):
        importer.server.simulator.faults.add(Fault(kind=kind, match="GET ", after=after, seconds=0.1))
    assert importer.persist(importer.create(webhooks=False)) > 2
    assert importer.stored() == importer.held()


@pytest.mark.parametrize("calls", [1, 2, 6, 12, 25, 40])
def test_an_import_that_is_stopped_after_any_call_goes_on_from_there(importer, calls):
    made = importer.server.simulator.calls

    def stopping():
        return made.report()["total"] >= calls

    workflow = importer.create(webhooks=False)
    assert importer.run(workflow, stopping=stopping) is None
    assert importer.state(workflow).state is State.RUNNING
    assert importer.stored() <= importer.held()
    importer.persist(workflow)
    assert importer.stored() == importer.held()


def test_an_import_that_is_stopped_every_few_calls_comes_to_its_end(importer):
    made = importer.server.simulator.calls
    workflow = importer.create(webhooks=False)
    runs = 0
    while importer.state(workflow).state is State.RUNNING:
        runs += 1
        assert runs < 30
        before = made.report()["total"]
        importer.run(workflow, stopping=lambda: made.report()["total"] >= before + 20)  # noqa: B023
    assert runs > 3
    assert importer.stored() == importer.held()


def test_what_was_read_to_its_end_is_not_read_again_by_the_run_that_goes_on(importer):
    importer.server.simulator.faults.add(Fault(kind="500", match="/spam"))
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, api_calls_in_flight=1)
    )
    workflow = importer.create(lists=importer.list_ids[:1], webhooks=False)
    importer.run(workflow)
    before = dict(importer.server.simulator.calls.report()["by_endpoint"])
    importer.persist(registry.resume(importer.context.store, workflow.id))
    after = importer.server.simulator.calls.report()["by_endpoint"]
    again = {name for name in before if after[name] > before[name]}
    assert not [name for name in again if name.endswith("active")]


def test_rows_that_come_while_the_account_is_read_are_not_lost(importer):
    made, simulator = importer.server.simulator.calls, importer.server.simulator
    seeds = iter(range(1, 1000))

    def stopping():
        if made.report()["total"] % 7 == 0:
            simulator.produce(3, next(seeds))
        return False

    workflow = importer.create(keep_updated=True, webhooks=False)
    importer.run(workflow, stopping=stopping)
    # Somebody who clicks again changes no count of the summary: that rests for a while.
    store, client_id = importer.context.store, importer.client_id
    for name, cursor in cursors.cursors(store, client_id).items():
        cursors.save(store, client_id, Resource(name, (name,), None), replace(cursor, basis=""))
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    held, stored = importer.held(), importer.stored()
    # A state that somebody left since is kept in the stream: it is what was so then.
    assert held - stored == type(held)()
    assert {fact[0] for fact in stored - held} <= {"state"}


def test_the_service_says_how_long_to_wait(importer):
    importer.server.simulator.faults.add(Fault(kind="429-headers", match="opens", seconds=30))
    workflow = importer.create(webhooks=False)
    importer.run(workflow)
    assert 28_000 < importer.state(workflow).wake_at - now_ms() <= 30_000


def test_the_back_off_doubles_until_something_was_read(importer):
    importer.server.simulator.faults.add(Fault(kind="500", match="suppressionlist", times=3))
    workflow = importer.create(webhooks=False)
    failures = []
    for _ in range(3):
        importer.run(workflow)
        failures.append(importer.state(workflow).failures)
        importer.context.store.client.hset(keys.workflow(workflow.id), "wake_at", now_ms() - 1)
    assert failures == [1, 2, 3]
    importer.server.simulator.faults.add(Fault(kind="500", match="/spam"))
    importer.run(workflow)
    assert importer.state(workflow).failures == 1


def test_a_paused_import_stops_and_one_that_is_resumed_goes_on(importer):
    workflow = importer.create(webhooks=False)
    paused = []

    def stopping():
        if not paused and importer.server.simulator.calls.report()["total"] > 20:
            paused.append(service.pause(importer.context, workflow.id))
        return False

    assert importer.run(workflow, stopping=stopping) is None
    assert importer.state(workflow).state is State.PAUSED
    assert importer.run(workflow) is None
    service.resume(importer.context, workflow.id)
    importer.run(workflow)
    assert importer.stored() == importer.held()


def test_an_unexpected_error_is_raised_and_not_tried_again_at_once(importer, monkeypatch):
    def broken(*_):
        raise KeyError("surprise")

    monkeypatch.setattr("listbridge.campaign_monitor.source.StateLines.made", broken)
    workflow = importer.create(webhooks=False)
    with pytest.raises(KeyError):
        importer.run(workflow)
    held = importer.state(workflow)
    assert (held.state, held.reason) == (State.SLEEPING, "unexpected KeyError: the worker's log has it")


def test_one_worker_runs_an_import_at_a_time(importer):
    workflow = importer.create(webhooks=False)
    lease = Lease(importer.context.store, lease_of(workflow.id), LEASE_MS)
    assert lease.acquire()
    assert importer.run(workflow) is None
    assert sweep(importer.context).imports == ()
    lease.release()
    assert sweep(importer.context).imports == (workflow.id,)
    importer.run(workflow)
    assert sweep(importer.context).imports == ()


def test_a_lease_is_kept_for_as_long_as_the_run_lasts(store):
    lease = Lease(store, "pull:x", 600)
    lease.acquire()
    with lease.kept() as lost:
        time.sleep(0.8)
        assert not lost.is_set()
        assert not Lease(store, "pull:x", 600).acquire()
        store.client.set(keys.lease("pull:x"), "another")
        assert lost.wait(2)


@pytest.mark.parametrize(
    ("state", "wake_in", "due"),
    [
        ("running", 0, True),
        ("sleeping", -1000, True),
        ("sleeping", 60_000, False),
        ("paused", 0, False),
        ("completed", 0, False),
        ("failed", 0, False),
    ],
)
def test_the_sweep_finds_the_imports_that_are_due(importer, state, wake_in, due):
    workflow = importer.create(webhooks=False)
    fields = {"state": state, "wake_at": now_ms() + wake_in}
    importer.context.store.client.hset(keys.workflow(workflow.id), mapping=fields)
    assert sweep(importer.context).imports == ((workflow.id,) if due else ())


def test_an_import_sleeps_while_the_streams_are_full_and_goes_on(importer):
    store = importer.context.store
    store.stream_limit_events = store.partitions * 3
    workflow = importer.create(webhooks=False)

    assert importer.run(workflow) is None

    held = importer.state(workflow)
    assert (held.state, held.wake_at > now_ms()) == (State.SLEEPING, True)
    assert "LISTBRIDGE_STREAM_LIMIT_EVENTS is 3" in held.reason
    store.stream_limit_events = 0
    importer.persist(registry.resume(store, workflow.id))
    assert importer.stored() == importer.held()
