"""What is posted to: the web process of `listbridge up`, a store that writes before it acknowledges."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from cryptography.fernet import Fernet

from bench.exports.world import PARTITIONS, free_port
from bench.receiver import processes
from bench.receiver.bodies import LIST
from cli.processes import Child, Supervisor
from cli.services import local_url, services
from listbridge.campaign_monitor.webhooks import Receiver, digest
from listbridge.context import Context, build
from listbridge.store import keys
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.location import broker_url
from listbridge.streams.log import events_in
from listbridge.streams.schemas import SCHEMAS
from settings import Settings

WORKFLOW: Final = "bench"


@dataclass
class World:
    """A web service that takes deliveries of one import and audience events."""

    context: Context
    token: str
    web: int
    """The process id of the web service, which leads a group."""

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the web service and of the store."""
        server = self.context.store.client.info("cpu")
        return processes.cpu_seconds(self.web), server["used_cpu_sys"] + server["used_cpu_user"]

    @property
    def url(self) -> str:
        return local_url(self.context.settings)

    @property
    def doors(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Address and headers of each door."""
        bearer = {"Authorization": f"Bearer {self.context.settings.api_tokens[0]}"}
        return {
            "webhooks": (f"{self.url}/webhooks/campaign-monitor/{WORKFLOW}/{self.token}", {}),
            "audience events": (f"{self.url}/v1/audiences/events", bearer),
        }

    def stored(self) -> int:
        """Events in the streams."""
        return sum(events_in(self.context.store, stream) for stream in SCHEMAS)

    def clear(self) -> None:
        """Forget what the streams hold."""
        store = self.context.store
        for part in store.parts:
            names = list(store.client.scan_iter(match=part.pattern, count=1000))
            if names:
                store.client.unlink(*names)


@contextmanager
def world(workers: int) -> Iterator[World]:
    """Start the store and so many web workers; gone at the end."""
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory) / "store") as store,
    ):
        context, token = prepared(Path(directory), store.url)
        log = io.StringIO()
        with Supervisor([_web(context.settings, workers)], log) as supervisor:
            web = supervisor.pid("web")
            if web is None:
                raise RuntimeError(log.getvalue())
            yield World(context, token, web)
        context.store.client.close()
        if said := log.getvalue():
            raise RuntimeError(f"the web service had something to say: {said[-2000:]}")


def prepared(directory: Path, store_url: str) -> tuple[Context, str]:
    """A context on an empty store in which an import has a receiver; -> and the receiver's token."""
    token = secrets.token_urlsafe(32)
    asked = Settings(
        data_dir=directory / "data",
        redis_url=store_url,
        partitions=PARTITIONS,
        http_port=free_port(),
        api_tokens=(secrets.token_urlsafe(32),),
        encryption_keys=(Fernet.generate_key().decode(),),
        log_level="WARNING",
    )
    context = build(replace(asked, broker_url=broker_url(asked)), store_url)
    receiver = Receiver(
        client_id="c" * 32,
        client_name="Bench",
        zone="UTC",
        lists={LIST: "Newsletter"},
        token=token,
        tokens=[digest(token)],
    )
    context.store.client.set(keys.receiver(WORKFLOW), msgspec.json.encode(receiver))
    return context, token


def _web(settings: Settings, workers: int) -> Child:
    """The web process of `listbridge up`, with the views to compare with."""
    web = next(child for child in services(settings) if child.name == "web")
    return replace(web, argv=(*web.argv, "--workers", str(workers), "bench.receiver.app:app"))
