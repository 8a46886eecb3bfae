"""One budget, several processes and several credentials of one account."""

import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest

from listbridge import authorizations
from listbridge.campaign_monitor import AuthenticationError, RateLimited
from listbridge.pacing import Budget, Limits, Paced, describe
from listbridge.systems import account_of, campaign_monitor_client, limits_of
from listbridge.workflows import service
from simulator.account import Account
from simulator.server import SimulatorServer

CALLER = """
    import sys, time
    from listbridge.pacing import Budget, Limits, Outcome, Pacer
    from listbridge.store.store import connect

    store = connect(sys.argv[1], 16)
    pacer = Pacer(Budget(store, "a", Limits(most=40, in_flight=3)))
    end, calls = time.monotonic() + 2, 0
    print("ready", flush=True)
    while time.monotonic() < end:
        pacer.before()
        calls += 1
        pacer.after(Outcome.ANSWERED)
    print(calls)
"""
HOLDER = """
    import sys, time
    from listbridge.pacing import Budget, Limits
    from listbridge.store.store import connect

    store = connect(sys.argv[1], 16)
    budget = Budget(store, "a", Limits(in_flight=1, call_seconds=2))
    print(budget.reserve("held", longest_seconds=1).granted, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def processes(store, store_server):
    """Starts processes that share the store; ends them after the test."""
    started = []

    def start(source):
        command = [sys.executable, "-c", textwrap.dedent(source), store_server]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def server():
    account = Account("a" * 32)
    account.add_list(account.add_client("A client"), "A list")
    with SimulatorServer(account) as running:
        yield running


@pytest.fixture
def authorize(context, server):
    def make(key=None):
        return authorizations.create(
            context.store,
            context.secrets,
            secret=key or server.api_key,
            description="simulated",
            base_url=server.api_url,
        )

    return make


def wrong_key():
    return pytest.raises(AuthenticationError)


@pytest.mark.also_on_a_cluster
def test_two_processes_share_one_budget(processes):
    began = time.monotonic()
    callers = [processes(CALLER) for _ in range(2)]

    made = [int(caller.communicate(timeout=30)[0].split()[-1]) for caller in callers]

    assert min(made) > 10
    assert sum(made) <= 40 * (time.monotonic() - began + 0.1) + 2


def test_the_slot_of_a_killed_process_is_freed(processes, store):
    holder = processes(HOLDER)
    assert holder.stdout.readline() == "True\n"
    budget = Budget(store, "a", Limits(in_flight=1, call_seconds=2))
    assert budget.reserve("next", longest_seconds=1).why == "full"
    holder.kill()

    deadline = time.monotonic() + 10
    while not budget.reserve("next", longest_seconds=1).granted:
        assert time.monotonic() < deadline, "the slot never came back"
        time.sleep(0.1)


@pytest.mark.parametrize("headers", [True, False])
def test_a_client_keeps_to_the_limit_that_the_service_tells(context, server, authorize, headers):
    server.account.switches.change({"rate_limit": 10, "rate_window_seconds": 0.5, "rate_headers": headers})
    api, refused = campaign_monitor_client(context, authorize()), 0

    for _ in range(40):
        try:
            api.clients()
        except RateLimited:
            refused += 1
        except Paced as problem:
            time.sleep(min(problem.retry_after_seconds, 3))

    by_status = server.simulator.calls.report()["by_status"]
    assert refused == by_status.get("429", 0) <= (0 if headers else 4)
    assert by_status["200"] >= 25


def test_two_authorizations_with_one_key_share_a_budget(context, authorize):
    one, other = authorize(), authorize()

    campaign_monitor_client(context, one).clients()
    campaign_monitor_client(context, other).clients()

    account = account_of(context, one)
    assert account == account_of(context, other)
    assert describe(context.store, account, limits_of(context.settings)).calls == 2


@pytest.mark.also_on_a_cluster
def test_the_keys_of_an_account_and_of_its_client_share_a_budget_once_both_have_worked(
    context, server, authorize
):
    (client,) = server.account.clients.values()
    (target,) = client.lists.values()
    one, other, stranger = authorize(), authorize(client.api_key), authorize("f" * 32)
    assert account_of(context, one) != account_of(context, other)

    for held, works in ((one, nullcontext()), (other, nullcontext()), (stranger, wrong_key())):
        made = service.create_import(
            context, held.id, {"client_id": client.client_id, "lists": [], "webhooks": False}
        )
        api = campaign_monitor_client(context, held, workflow=made)
        with works:
            api.list_stats(target.list_id)

    assert account_of(context, one) == account_of(context, other)
    assert account_of(context, stranger) != account_of(context, one)


def test_no_key_stands_in_the_store_in_clear(context, server, authorize):
    held = authorize()
    campaign_monitor_client(context, held).clients()

    names = [name.decode() for name in context.store.client.scan_iter()]
    assert any("pace" in name for name in names)
    assert not [name for name in names if server.api_key in name]


def test_a_wait_ends_when_the_worker_is_asked_to_stop(context, authorize):
    slow = replace(context, settings=replace(context.settings, api_calls_per_second=0.6))
    held = authorize()
    campaign_monitor_client(slow, held).clients()
    began = time.monotonic()

    with pytest.raises(Paced, match="stopped"):
        campaign_monitor_client(slow, held, stopping=lambda: True).clients()
    assert time.monotonic() - began < 1
