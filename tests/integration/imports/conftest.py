"""An import of a simulated account, over HTTP, into a real store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from listbridge import authorizations, systems
from listbridge.campaign_monitor import CampaignMonitor
from listbridge.context import Context
from listbridge.imports.engine import PullResult
from listbridge.jobs.pull import pull
from listbridge.store import keys
from listbridge.streams.log import tail
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import State, Workflow
from simulator.server import SimulatorServer

PAGE_SIZE = 40
STREAMS = ("cm_user", "cm_activity")

Facts = Counter[tuple[Any, ...]]
"""How often something happened; the first item of each fact is its kind."""


class SmallPages(CampaignMonitor):
    """The client with pages small enough that every resource has several."""

    def campaigns(self, *args: Any, **kwargs: Any) -> Any:
        return super().campaigns(*args, page_size=PAGE_SIZE, **kwargs)

    def subscribers(self, *args: Any, **kwargs: Any) -> Any:
        return super().subscribers(*args, page_size=PAGE_SIZE, **kwargs)

    def journey_report(self, *args: Any, **kwargs: Any) -> Any:
        return super().journey_report(*args, page_size=PAGE_SIZE, **kwargs)

    def report(self, *args: Any, **kwargs: Any) -> Any:
        return super().report(*args, page_size=PAGE_SIZE, **kwargs)


@dataclass
class Importer:
    """Creates and runs imports of one simulated account."""

    context: Context
    server: SimulatorServer
    authorization_id: str
    folds: list[str] = field(default_factory=list)

    @property
    def client_id(self) -> str:
        return next(iter(self.server.account.clients))

    @property
    def list_ids(self) -> list[str]:
        return list(self.server.account.clients[self.client_id].lists)

    def create(self, **config: Any) -> Workflow:
        return service.create_import(
            self.context,
            self.authorization_id,
            {"client_id": self.client_id, "ip_and_coordinates": True, **config},
        )

    def run(self, workflow: Workflow, **options: Any) -> PullResult | None:
        return pull(self.context, workflow.id, ring_fold=lambda: self.folds.append(workflow.id), **options)

    def state(self, workflow: Workflow) -> Workflow:
        return registry.get(self.context.store, workflow.id)

    def hurry(self, in_flight: int, timeout_seconds: float = 60.0) -> None:
        """Ask for so many pages at a time, and give up on an answer that takes longer."""
        changed = {"api_calls_in_flight": in_flight, "api_read_timeout_seconds": timeout_seconds}
        self.context = replace(self.context, settings=replace(self.context.settings, **changed))

    @property
    def budget(self) -> str:
        """The account's name as the pacing knows it."""
        held = authorizations.get(self.context.store, self.authorization_id)
        return systems.account_of(self.context, held)

    def persist(self, workflow: Workflow, **options: Any) -> int:
        """Run as often as it takes, waking it from each sleep; -> how many runs that were."""
        for runs in range(1, 100):
            self.run(workflow, **options)
            state = self.state(workflow).state
            if state is State.COMPLETED:
                return runs
            assert state in (State.SLEEPING, State.RUNNING), self.state(workflow).reason
            self.context.store.client.delete(keys.pace(self.budget))
            if state is State.SLEEPING:
                registry.resume(self.context.store, workflow.id)
        raise AssertionError("never completed")

    def import_all(self, **config: Any) -> Workflow:
        workflow = self.create(**config)
        self.run(workflow)
        assert self.state(workflow).state is State.COMPLETED, self.state(workflow).reason
        return workflow

    def log(self, workflow: Workflow) -> list[str]:
        return [str(line["message"]) for line in log.read(self.context.store, workflow.id)]

    def stored(self) -> Facts:
        """Every event in the streams, as facts."""
        return Counter(
            _told(stream, msgspec.json.decode(line))
            for stream in STREAMS
            for _, line in tail(self.context.store, "stream", stream, 1_000_000)
        )

    def events(self, stream: str) -> list[dict[str, Any]]:
        """Every event of a stream as it is kept."""
        return [
            msgspec.json.decode(line) for _, line in tail(self.context.store, "stream", stream, 1_000_000)
        ]

    def event_count(self) -> int:
        """How many events are in both streams, whatever they tell."""
        return sum(len(tail(self.context.store, "stream", name, 1_000_000)) for name in STREAMS)

    def held(self, lists: list[str] | None = None) -> Facts:
        """What the account holds by its own records, as facts; of some lists only, if given."""
        records = self.server.simulator.records()
        return facts(records, set(self.list_ids if lists is None else lists))


def _told(stream: str, event: dict[str, Any]) -> tuple[Any, ...]:
    minute = event["_time"] - event["_time"] % 60_000
    who = (event["list_id"], event["email"].lower(), minute)
    if stream == "cm_user":
        return ("state", *who, event["state"], event.get("name", ""))
    word = event["event"]
    if word == "deactivate":
        return (word, *who, event["status"])
    more = {"open": ("ip",), "click": ("ip", "url"), "bounce": ("status",), "sent": ()}[word]
    return (word, event["campaign_id"], *who, *(event[name] for name in more))


def facts(records: dict[str, Any], lists: set[str]) -> Facts:
    """The facts that an import of these lists should store, from the simulator's records alone."""
    zone = ZoneInfo(records["clients"][0]["time_zone"])
    found: Facts = Counter()
    for each in records["lists"]:
        for person in each["subscribers"] if each["list_id"] in lists else ():
            who = (each["list_id"], person["email"].lower(), _ms(person["date"], zone))
            found["state", *who, person["state"], person["name"]] += 1
    sent = {campaign["campaign_id"]: campaign["sent_date"] for campaign in records["campaigns"]}
    of_list = {email["email_id"]: each["list_id"] for each in records["journeys"] for email in each["emails"]}
    automated = {
        email["email_id"]: email["reports"] for each in records["journeys"] for email in each["emails"]
    }
    once: set[tuple[Any, ...]] = set()
    for campaign_id, reports in (records["reports"] | automated).items():
        for report, rows in reports.items():
            for row in (msgspec.to_builtins(row) for row in rows):
                row.setdefault("ListID", of_list.get(campaign_id))
                if row["ListID"] not in lists:
                    continue
                at = _ms(row.get("Date") or row.get("SentDate") or sent[campaign_id], zone)
                who = (row["ListID"], row["EmailAddress"].lower(), at)
                if report in ("opens", "clicks"):
                    more = (row["IPAddress"], row["URL"]) if report == "clicks" else (row["IPAddress"],)
                    found[report.removesuffix("s"), campaign_id, *who, *more] += 1
                elif report == "bounces":
                    once.add(("bounce", campaign_id, *who, row["BounceType"].lower()))
                elif report == "recipients":
                    once.add(("sent", campaign_id, *who))
                else:
                    once.add(("deactivate", *who, {"unsubscribes": "unsubscribe"}.get(report, report)))
    return found + Counter(once)


def _ms(text: str, zone: ZoneInfo) -> int:
    local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
    return int(local.astimezone(UTC).timestamp()) * 1000


@pytest.fixture
def account_of() -> Iterator[Callable[..., SimulatorServer]]:
    """Starts simulators of a plan, and stops them."""
    servers: list[SimulatorServer] = []

    def start(**plan: Any) -> SimulatorServer:
        small = {"lists": 3, "people": 75, "campaigns": 3, "activity_rows": 700}
        server = SimulatorServer(**{**small, **plan})
        servers.append(server.start())
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def importer_class() -> type[Importer]:
    return Importer


@pytest.fixture
def importer_of(
    context: Context, account_of: Callable[..., SimulatorServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Importer]:
    """Makes the importer of a simulated account; small pages unless told otherwise."""

    def make(*, small_pages: bool = True, **plan: Any) -> Importer:
        server = account_of(**plan)
        if small_pages:
            monkeypatch.setattr(systems, "CampaignMonitor", SmallPages)
        made = authorizations.create(
            context.store,
            context.secrets,
            secret=server.api_key,
            description="simulated",
            base_url=server.api_url,
        )
        return Importer(context, server, made.id)

    return make


@pytest.fixture
def importer(importer_of: Callable[..., Importer]) -> Importer:
    return importer_of()
