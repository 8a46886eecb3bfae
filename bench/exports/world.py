"""The world of one measurement: the simulator, a store of its own, an authorization, exports."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cryptography.fernet import Fernet

from bench.aggregation import jobs
from bench.exports.people import AUDIENCES, CONSENT, FIELD, MAPPED, NOW
from bench.exports.service import Simulated
from bench.service import API_KEY
from listbridge import authorizations
from listbridge.context import Context, build
from listbridge.exports.ledger import lags
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.location import broker_url
from listbridge.store.store import now_ms
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import State
from settings import Settings, as_environ

MODULE: Final = "bench.exports.jobs"
PARTITIONS: Final = 16
OFF: Final = {"leaving": None, "unsubscribed": None, "refused": None}


@dataclass
class World:
    """What a measurement acts on."""

    context: Context
    simulated: Simulated
    authorization: str

    @property
    def settings(self) -> Settings:
        return self.context.settings

    def config(self, number: int = 0, **more: Any) -> dict[str, Any]:
        """An export of all audiences into a list, with a name and two mapped fields, and without brakes."""
        return {
            "client_id": self.simulated.client_id,
            "list_id": self.simulated.lists[number],
            "audiences": list(AUDIENCES),
            "field_name": FIELD,
            "consent_to_track": CONSENT,
            "existing_users": True,
            "name_field": "name",
            "field_mappings": MAPPED,
            "create_fields": True,
            "brakes": OFF,
            **more,
        }

    def export(self, number: int = 0, **more: Any) -> str:
        """Start an export; -> its id."""
        return service.create_export(self.context, self.authorization, self.config(number, **more)).id

    def enter(self, people: range, *changes: int, ago: timedelta = NOW) -> None:
        """These people enter an audience, each their own, once for each change, and are folded."""
        arguments = {
            "first": people.start,
            "last": people.stop,
            "changes": changes or (0,),
            "ago_seconds": ago.total_seconds(),
        }
        self.job("enter", arguments)

    def deliver(self, number: int = 0) -> dict[str, Any]:
        """One delivery by the job that a worker runs, in a process of its own; -> its cost and result."""
        answer = self.job("deliver", {"list_id": self.simulated.lists[number]})
        if any(lags(self.context.store, self.simulated.lists[number], now_ms())):
            raise RuntimeError(f"the delivery left people behind: {self.states()}")
        return answer

    def job(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return jobs.run(name, arguments, as_environ(self.settings), module=MODULE)

    def states(self) -> list[str]:
        """How the exports stand; what a failed measurement has to say."""
        return [f"{each.state}: {each.reason}" for each in registry.list_all(self.context.store)]

    def delivered(self, workflow_id: str) -> int:
        """How many rows an export has counted as stored. Raises when it doesn't run."""
        held = registry.get(self.context.store, workflow_id)
        if held.state is not State.RUNNING:
            raise RuntimeError(f"the export is {held.state}: {held.reason}")
        return log.progress(self.context.store, workflow_id).get("delivered", 0)


@contextmanager
def world(**settings: Any) -> Iterator[World]:
    """Start simulator and store, both empty; gone at the end."""
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory) / "store") as store,
        Simulated() as simulated,
    ):
        port = free_port()
        asked = Settings(
            data_dir=Path(directory) / "data",
            redis_url=store.url,
            partitions=PARTITIONS,
            http_port=port,
            public_url=f"http://127.0.0.1:{port}",
            api_tokens=(secrets.token_urlsafe(32),),
            encryption_keys=(Fernet.generate_key().decode(),),
            api_base_url=simulated.api_url,
            log_level="WARNING",
        )
        filled = Settings(**{**vars(asked), "broker_url": broker_url(asked), **settings})
        context = build(filled, store.url)
        made = authorizations.create(
            context.store,
            context.secrets,
            secret=API_KEY,
            description="bench",
            base_url=simulated.api_url,
        )
        yield World(context, simulated, made.id)
        context.store.client.close()


def free_port() -> int:
    """A port that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def imports_of(calls: dict[str, int]) -> int:
    """The imports among calls by endpoint."""
    return sum(count for name, count in calls.items() if name.endswith("/import"))


def since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """The calls between two counts, by endpoint."""
    found = {name: after[name] - before.get(name, 0) for name in after}
    return {name: count for name, count in found.items() if count}


def share(values: Iterable[float], part: float) -> float:
    """The value below which this part of all lies."""
    ordered = sorted(values) or [float("nan")]
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
