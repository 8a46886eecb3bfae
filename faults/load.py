"""The load: audience events, what people do themselves, activity and reads of it, all from a seed."""

from __future__ import annotations

import random
import threading
from typing import Any

import requests

from faults.ledger import AUDIENCES, Event
from faults.world import World


class Load:
    """Runs in threads of its own from entering to leaving the block; leaving waits for what is under way."""

    def __init__(self, world: World, chance: random.Random, *, batch: int = 40) -> None:
        self._world, self._ledger, self._batch = world, world.ledger, batch
        self._seeds = [chance.randrange(1 << 30) for _ in range(2)]
        self._over = threading.Event()
        self._problems: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(step, seed, pause), name=step.__name__)
            for step, seed, pause in ((self._post, self._seeds[0], 0.08), (self._live, self._seeds[1], 0.3))
        ]

    def __enter__(self) -> Load:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def check(self) -> None:
        """Raises what ended a thread of the load."""
        for problem in self._problems:
            raise problem

    def _guarded(self, step: Any, seed: int, pause: float) -> None:
        chance = random.Random(seed)
        try:
            while True:
                step(chance)
                if self._over.wait(pause):
                    return
        except BaseException as problem:
            self._problems.append(problem)

    def _post(self, chance: random.Random) -> None:
        """People enter and leave; every fifth post is sent twice."""
        ledger = self._ledger
        chosen = chance.sample(ledger.people, min(self._batch, len(ledger.people)))
        words = [chance.choice(("enter", "enter", "exit")) for _ in chosen]
        batch = [
            ledger.event(email, chance.choice(AUDIENCES), word)
            for email, word in zip(chosen, words, strict=True)
        ]
        for _ in range(2 if chance.random() < 0.2 else 1):
            self._acknowledged(batch)
        ledger.events += batch

    def _acknowledged(self, batch: list[Event]) -> None:
        self._world.until_answered("POST", "/audiences/events", {"events": batch})

    def _live(self, chance: random.Random) -> None:
        """Somebody opts out, another changes their name; some read and click; the import looks."""
        world, ledger = self._world, self._ledger
        for action in chance.sample(("unsubscribe", "update", "spam", "update"), 2):
            if ledger.active:
                body = {"list_id": ledger.list_id, "email": ledger.active.pop()}
                if action == "update":
                    body["name"] = f"Renamed {chance.randrange(1000)}"
                world.until_answered("POST", f"/people/{action}", body, control=True)
        ledger.seeds += 1
        if chance.random() < 0.5:
            body_of = {"rows": 30, "seed": 1000 + ledger.seeds}
            world.until_answered("POST", "/activity", body_of, control=True)
        if chance.random() < 0.4:
            self._try("POST", f"/workflows/{world.import_id}/resume")

    def _try(self, method: str, path: str) -> None:
        """An import that is at work can't be resumed, and what is killed doesn't answer: no matter."""
        try:
            self._world.stage.v1(method, path)
        except (requests.RequestException, OSError):
            return
