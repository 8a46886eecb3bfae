"""The story: what happens in the demonstration, step by step, and the wait until all is quiet."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.demo.change import command, write_mappings
from cli.demo.comparison import Feed
from cli.demo.stage import API_KEY, Stage
from listbridge.jobs.sweep import sweep
from listbridge.streams.log import totals
from listbridge.streams.schemas import SCHEMAS
from listbridge.workflows import registry
from listbridge.workflows.models import State

FIELD = "Lytics Audiences"
AUDIENCES = ("beach-lovers", "city-breakers", "frequent-flyers", "win-back")
PEOPLE_A_POST = 500
QUIET_SECONDS = 120

Event = dict[str, Any]


@dataclass
class Story:
    """What was done, for the reckoning."""

    stage: Stage
    say: Callable[[str], None]
    events: list[Event] = field(default_factory=list)
    feeds: list[Feed] = field(default_factory=list)
    import_id: str = ""
    opted_out_in_the_middle: int = 0
    worker_killed: bool = False
    archived_events: int = 0
    """Those that were in the archive only when the rebuild began."""
    rebuilt: dict[str, Any] = field(default_factory=dict)
    """What `profiles rebuild --json` told."""
    _random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - one that repeats
    _clock: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))

    def play(self) -> None:
        """The whole story."""
        records = self.stage.control("GET", "/records")
        lists = [each["list_id"] for each in records["lists"]]
        people = [p["email"] for each in records["lists"] for p in each["subscribers"]]
        people += [f"new.reader.{n}@example.org" for n in range(max(len(people) // 20, 20))]
        self._random.shuffle(people)
        self.say("authorization, and people who are in audiences already")
        authorization = self.stage.v1(
            "POST", "/authorizations", {"description": "Meridian Travel", "api_key": API_KEY}
        )["id"]
        client_id = records["clients"][0]["client_id"]
        self._enter(people[: len(people) // 3])
        self.say("import of lists and campaigns, with webhooks")
        self.import_id = self._create("import", authorization, {"client_id": client_id, "keep_updated": True})
        self._wait_for_webhooks(lists)
        self.say("exports: two into one list, one into another; somebody opts out in the middle")
        self._trouble()
        base = {
            "client_id": client_id,
            "field_name": FIELD,
            "existing_users": True,
            "consent_to_track": "Unchanged",
        }
        for list_id, audiences in (
            (lists[0], AUDIENCES[:2]),
            (lists[0], AUDIENCES[2:3]),
            (lists[1], AUDIENCES[1:]),
        ):
            self._create("export", authorization, base | {"list_id": list_id, "audiences": list(audiences)})
            self.feeds.append(Feed(list_id, tuple(audiences)))
        self.say("the worker is killed in the middle of a delivery")
        self._kill_worker_in_a_call()
        self.say("the mappings are changed while people enter and leave audiences")
        self._change_mappings(people[len(people) // 3 :])
        self._leave(0.25)
        self.say("everybody's profile is made anew while people open, click, sign up, leave and come back")
        self._rebuild(records, lists)
        self.say("waiting until all is quiet, and reading once more what is new")
        self.wait_until_quiet()
        self.stage.v1("POST", f"/workflows/{self.import_id}/resume")
        self.wait_until_quiet()

    def _create(self, kind: str, authorization: str, config: dict[str, Any]) -> str:
        body = {"kind": kind, "authorization_id": authorization, "config": config}
        return str(self.stage.v1("POST", "/workflows", body)["id"])

    def _enter(self, people: list[str]) -> None:
        """Each enters one to three audiences; every fifth post is sent twice."""
        events = []
        for email in people:
            for audience in self._random.sample(AUDIENCES, self._random.randint(1, 3)):
                event = self._event(email, audience, "enter")
                if self._random.random() < 0.1:
                    event["fields"] = {"tier": self._random.choice(("gold", "silver"))}
                events.append(event)
        self._post(events)

    def _change_mappings(self, people: list[str]) -> None:
        """A user's mappings become active while these people enter audiences."""
        settings = self.stage.context.settings
        directory = settings.data_dir / "changed-mappings"
        write_mappings(directory)
        with command(settings, "mapping", "apply", str(directory), "--yes") as apply:
            self._enter(people)
            apply.result()

    def _rebuild(self, records: dict[str, Any], lists: list[str]) -> None:
        """Rebuild once the streams have been trimmed; activity, webhooks and audiences go on meanwhile."""
        self._wait(lambda: self._trimmed() > 0, QUIET_SECONDS, "the archive to take what the streams hold")
        self.archived_events = self._trimmed()
        with command(self.stage.context.settings, "profiles", "rebuild") as rebuild:
            self.stage.control(
                "POST",
                "/faults",
                {"match": "webhooks/campaign-monitor", "kind": "webhook-double", "times": 5},
            )
            self.stage.control("POST", "/activity", {"rows": 2000, "seed": 3})
            self._humans(records, lists)
            inside = sorted({event["email"] for event in self.events})
            while rebuild.is_running:
                self._enter(self._random.sample(inside, 10))
                self._leave(0.001)
                time.sleep(0.1)
            self.rebuilt = rebuild.result()

    def _trimmed(self) -> int:
        store = self.stage.context.store
        return sum(each.trimmed for stream in SCHEMAS for each in totals(store, stream))

    def _leave(self, share: float) -> None:
        inside = {(e["email"], e["audience"]) for e in self.events}
        chosen = self._random.sample(sorted(inside), int(len(inside) * share))
        self._post([self._event(email, audience, "exit") for email, audience in chosen])

    def _event(self, email: str, audience: str, what: str) -> Event:
        self._clock += timedelta(milliseconds=7)
        at = self._clock.isoformat(timespec="milliseconds")
        return {"email": email, "audience": audience, "event": what, "timestamp": at}

    def _post(self, events: list[Event]) -> None:
        for number, batch in enumerate(_chunks(events, PEOPLE_A_POST)):
            for _ in range(2 if number % 5 == 0 else 1):
                self.stage.v1("POST", "/audiences/events", {"events": batch})
        self.events += events

    def _trouble(self) -> None:
        """Five people opt out just as a call that holds them is applied; later a call is answered late."""
        order = {"match": "import", "after": 1, "times": 1, "action": "unsubscribe", "people": 5}
        self.stage.control("POST", "/interject", order)
        self.opted_out_in_the_middle = 5
        self.stage.control(
            "POST",
            "/faults",
            {"match": "import", "after": 3, "kind": "slow-after", "times": 2, "seconds": 1.5},
        )

    def _kill_worker_in_a_call(self) -> None:
        """SIGKILL the worker while it waits for the answer to a call that has been applied."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            standing = self.stage.control("GET", "/faults")["faults"]
            if any(fault["kind"] == "slow-after" and fault["times"] < 2 for fault in standing):
                break
            time.sleep(0.02)
        pid = self.stage.supervisor.pid("worker")
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.worker_killed = True

    def _humans(self, records: dict[str, Any], lists: list[str]) -> None:
        """What people do themselves: unsubscribe, come back, sign up, change their name, complain."""
        active = [p["email"] for p in records["lists"][0]["subscribers"] if p["state"] == "Active"]
        gone = [p["email"] for p in records["lists"][0]["subscribers"] if p["state"] == "Unsubscribed"]
        acts: list[tuple[str, dict[str, Any]]] = []
        acts += [("unsubscribe", {"email": each}) for each in active[:20]]
        acts += [("spam", {"email": each}) for each in active[20:23]]
        acts += [("subscribe", {"email": each}) for each in gone[:5]]
        acts += [
            ("subscribe", {"email": f"walk.in.{n}@example.com", "name": f"Walk In {n}"}) for n in range(10)
        ]
        acts += [("update", {"email": each, "name": "Renamed Reader"}) for each in active[30:40]]
        acts += [
            ("update", {"email": each, "values": {f"[{FIELD.replace(' ', '')}]": []}})
            for each in active[40:50]
        ]
        for action, body in acts:
            self.stage.control("POST", f"/people/{action}", {"list_id": lists[0], **body})

    def _wait_for_webhooks(self, lists: list[str]) -> None:
        """Until the import has registered its webhooks, so that the reckoning knows what they tell."""

        def registered() -> bool:
            calls = self.stage.control("GET", "/calls")["by_endpoint"]
            return sum(
                n for name, n in calls.items() if name.startswith("POST") and "webhooks" in name
            ) >= len(lists)

        self._wait(registered, 60, "the webhooks to be registered")

    def wait_until_quiet(self) -> None:
        """Until no stream, list or import has anything to do, twice in a row."""
        seen = 0

        def quiet() -> bool:
            nonlocal seen
            seen = seen + 1 if self._is_quiet() else 0
            return seen >= 3

        self._wait(quiet, QUIET_SECONDS, "everything to come to rest")

    def _is_quiet(self) -> bool:
        store = self.stage.context.store
        workflows = registry.list_all(store)
        if failed := [w for w in workflows if w.state is State.FAILED]:
            raise RuntimeError(f"{failed[0].kind} {failed[0].id} failed: {failed[0].reason}")
        resting = all(
            w.state is State.SLEEPING and w.reason == "up to date" for w in workflows if w.kind == "import"
        )
        running = all(w.state is State.RUNNING for w in workflows if w.kind == "export")
        due = sweep(self.stage.context)
        doubts = sum(
            store.client.zcard(part.retry(feed.list_id)) for feed in self.feeds for part in store.parts
        )
        pending = self.stage.control("GET", "/calls")["webhook_pending"]
        return resting and running and not (due.fold or due.lists or due.imports or doubts or pending)

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.2)


def _chunks(events: list[Event], size: int) -> Iterator[list[Event]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]
