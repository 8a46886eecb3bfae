"""The world of one measurement: the simulator, a store of its own, an import."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cryptography.fernet import Fernet

from bench.aggregation import jobs
from bench.imports.accounts import Plan
from bench.imports.service import Simulated
from bench.service import API_KEY
from listbridge import authorizations
from listbridge.campaign_monitor.revisits import DAY_MS
from listbridge.context import Context, build
from listbridge.imports import cursors
from listbridge.imports.protocol import Resource
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.store import now_ms
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from settings import Settings, as_environ

MODULE: Final = "bench.imports.jobs"
PARTITIONS: Final = 16


@dataclass
class World:
    """What a measurement acts on."""

    context: Context
    simulated: Simulated
    authorization: str

    def create(self, client_id: str = "") -> str:
        """An import of everything of a client; -> its id."""
        config = {
            "client_id": client_id or self.simulated.client_id,
            "ip_and_coordinates": True,
            "webhooks": False,
        }
        return service.create_import(self.context, self.authorization, config).id

    def run(self, workflow_id: str) -> dict[str, Any]:
        """One run of an import by the job that a worker runs, in a process of its own; -> its cost.

        Raises when it doesn't come to its end.
        """
        if registry.get(self.context.store, workflow_id).state is State.COMPLETED:
            service.resume(self.context, workflow_id)
        before = self.simulated.calls()["total"]
        answer = self.job("import", {"workflow_id": workflow_id})
        held = registry.get(self.context.store, workflow_id)
        if held.state is not State.COMPLETED:
            raise RuntimeError(f"the import is {held.state}: {held.reason}")
        return {**answer, "calls": self.simulated.calls()["total"] - before}

    def job(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return jobs.run(name, arguments, as_environ(self.context.settings), module=MODULE)

    def grow_old(self) -> None:
        """Let every reading be from long ago, so that the next run reads every report from its beginning."""
        store, client_id = self.context.store, self.simulated.client_id
        long_ago = now_ms() - 400 * DAY_MS
        for name, held in cursors.cursors(store, client_id).items():
            aged = replace(held, complete_from=long_ago, whole_from=long_ago)
            cursors.save(store, client_id, Resource(name, (name,), None), aged)


@contextmanager
def world(plan: Plan, **settings: Any) -> Iterator[World]:
    """Start simulator and store; gone at the end."""
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory) / "store") as store,
        Simulated(plan) as simulated,
    ):
        asked = Settings(
            data_dir=Path(directory) / "data",
            redis_url=store.url,
            partitions=PARTITIONS,
            api_tokens=(secrets.token_urlsafe(32),),
            encryption_keys=(Fernet.generate_key().decode(),),
            api_base_url=simulated.api_url,
            log_level="WARNING",
        )
        context = build(Settings(**{**vars(asked), **settings}), store.url)
        made = authorizations.create(
            context.store, context.secrets, secret=API_KEY, description="bench", base_url=simulated.api_url
        )
        yield World(context, simulated, made.id)
        context.store.client.close()
