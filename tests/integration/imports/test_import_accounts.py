"""Imports of several accounts at once: one that fails does not slow the others."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from listbridge import authorizations
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from simulator.faults import Fault


def connect(importer, server):
    return authorizations.create(
        importer.context.store,
        importer.context.secrets,
        secret=server.api_key,
        description="another",
        base_url=server.api_url,
    ).id


def import_of(importer, server):
    client_id = next(iter(server.account.clients))
    config = {"client_id": client_id, "webhooks": False, "ip_and_coordinates": True}
    return service.create_import(importer.context, connect(importer, server), config)


@pytest.mark.parametrize("kind", ["500", "429", "401-permission", "drop-before", "slow"])
def test_an_account_that_fails_does_not_slow_another(importer, account_of, kind):
    other = account_of(seed=2)
    other.simulator.faults.add(Fault(kind=kind, match="GET ", after=3, times=-1, seconds=0.3))
    failing, fine = import_of(importer, other), importer.create(webhooks=False)
    ends = {}

    def run(workflow):
        importer.run(workflow)
        ends[workflow.id] = time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (failing, fine)))
    states = [registry.get(importer.context.store, each.id).state for each in (failing, fine)]
    assert states[1] is State.COMPLETED
    assert states[0] is {"401-permission": State.FAILED, "slow": State.COMPLETED}.get(kind, State.SLEEPING)
    assert ends[fine.id] - began < 15
    if kind == "slow":
        assert ends[fine.id] < ends[failing.id]
    held = importer.stored()
    assert importer.held() <= held
    progress = service.shown(importer.context, importer.state(fine))["progress"]
    assert progress.get("rate_limited", 0) == 0
    assert progress["events"] == importer.held().total()


def test_one_account_that_fails_again_and_again_is_asked_ever_more_rarely(importer, account_of):
    other = account_of(seed=2)
    other.simulator.faults.add(Fault(kind="500", match="GET ", times=-1))
    failing = import_of(importer, other)
    waits = []
    for _ in range(3):
        importer.run(failing)
        waits.append(importer.state(failing).failures)
        importer.context.store.client.hset(f"lb:workflow:{failing.id}", "wake_at", 1)
    assert waits == [1, 2, 3]
    importer.import_all(webhooks=False)
