"""An installation and a simulator, shared by the tests of a module."""

from __future__ import annotations

import pytest

from simulator.server import SimulatorServer
from tests.acceptance.installation import Installation


@pytest.fixture(scope="module")
def simulator():
    with SimulatorServer(people=150, campaigns=3, activity_rows=1500, lists=2, seed=5) as server:
        yield server


@pytest.fixture(scope="module")
def installation(simulator, tmp_path_factory):
    """Initialised, not running."""
    made = Installation(tmp_path_factory.mktemp("installation"), simulator.api_url)
    lists = [each.title for client in simulator.account.clients.values() for each in client.lists.values()]
    options = ["--api-key", simulator.api_key, "--list", lists[0], "--public-url", made.url]
    made.run("init", *options)
    yield made
    if made.process is not None:
        made.down()
