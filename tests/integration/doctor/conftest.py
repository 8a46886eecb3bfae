"""A simulated account with an export and an import, and the command on the test's store."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

import cli.runtime
from cli.main import main
from listbridge import authorizations
from listbridge.context import Context
from listbridge.doctor import findings, learning
from listbridge.doctor.trials import Patience
from listbridge.jobs.deliver import deliver
from listbridge.jobs.pull import pull
from listbridge.workflows import service
from simulator.account import Account, Client, SubscriberList
from simulator.server import SimulatorServer
from webhooks.app import create_app

SHORT = Patience(shows=0.3, counted=0.3, rests=0.3, poll=0.01)


@dataclass
class Clinic:
    """One authorization of a simulated account, and what the doctor says of it."""

    context: Context
    server: SimulatorServer
    client: Client
    list: SubscriberList
    authorization_id: str
    runner: CliRunner = field(default_factory=CliRunner)

    @property
    def store(self) -> Any:
        return self.context.store

    def switch(self, **changes: Any) -> None:
        self.server.account.switches.change(changes)

    def run(self, *arguments: str, **options: Any) -> Any:
        return self.runner.invoke(main, arguments, **options)

    def report(self, *arguments: str, exit_code: int | None = None) -> dict[str, Any]:
        """`doctor --json`, each finding by (check, subject)."""
        done = self.run("doctor", "--json", *arguments)
        told = json.loads(done.stdout)
        assert done.exit_code == (0 if told["healthy"] else 1), done.output
        if exit_code is not None:
            assert done.exit_code == exit_code, told["findings"]
        return told | {"by": {(each["check"], each["subject"]): each for each in told["findings"]}}

    def outcomes(self, *arguments: str) -> dict[tuple[str, str], str]:
        return {name: each["outcome"] for name, each in self.report(*arguments)["by"].items()}

    def answers(self, *arguments: str) -> dict[str, str | None]:
        """What a run in a scratch list answers."""
        told = self.report("--scratch-list", "--yes", *arguments)
        return {name: each["answer"] for name, each in told["learned"].items()}

    def create_export(self, **config: Any) -> Any:
        config = {
            "client_id": self.client.client_id,
            "list_id": self.list.list_id,
            "audiences": ["vip"],
            "consent_to_track": "No",
        } | config
        return service.create_export(self.context, self.authorization_id, config)

    def create_import(self, **config: Any) -> Any:
        made = service.create_import(
            self.context,
            self.authorization_id,
            {"client_id": self.client.client_id, "keep_updated": True, **config},
        )
        pull(self.context, made.id, ring_fold=lambda: None)
        return made

    def deliver(self) -> None:
        deliver(self.context, self.list.list_id)

    def learned(self) -> Any:
        return authorizations.get(self.store, self.authorization_id).learned

    def calls(self) -> dict[str, int]:
        return self.server.simulator.calls.report()["by_endpoint"]


@pytest.fixture
def clinic(context, monkeypatch):
    monkeypatch.setattr(learning, "PATIENCE", SHORT)
    monkeypatch.setattr(findings, "PATIENCE_SECONDS", 1.0)
    account = Account("a" * 32)
    client = account.add_client("A client")
    held = account.add_list(client, "A list")
    with SimulatorServer(account) as server:
        made = authorizations.create(
            context.store,
            context.secrets,
            secret=server.api_key,
            description="simulated",
            base_url=server.api_url,
        )
        clinic = Clinic(context, server, client, held, made.id)
        monkeypatch.setattr(cli.runtime, "settings", lambda: clinic.context.settings)
        yield clinic


@pytest.fixture
def web(clinic):
    """Our HTTP side, at an address that the simulator reaches; it is the public URL."""
    app = create_app(clinic.context, lambda: None)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    clinic.context = replace(clinic.context, settings=replace(clinic.context.settings, public_url=url))
    yield url
    server.shutdown()
    thread.join()
    server.server_close()
