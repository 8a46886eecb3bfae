"""The side that sends audience events over HTTP at a fixed rate, in a process of its own."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, Final

import requests

from bench.aggregation import jobs
from bench.exports.people import address, as_json, entry

SENDERS: Final = 4
Post = tuple[float, list[int]]


def job(url: str, token: str, rate: float, seconds: float, events_a_post: int, first: int) -> jobs.Prepared:
    """Each event is of another person, from number `first` on. Posts go out when they are due, whatever
    became of those before; what has to wait for a sender counts from when it was due, too."""
    posts: SimpleQueue[Post | None] = SimpleQueue()
    answered: dict[str, tuple[float, float]] = {}
    failures: list[str] = []

    def send() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {token}"
            while (post := posts.get()) is not None:
                due, numbers = post
                now = datetime.now(UTC)
                body: Any = {"events": [as_json(entry(number, now)) for number in numbers]}
                answer = session.post(f"{url}/v1/audiences/events", json=body, timeout=30)
                at = time.monotonic()
                if not answer.ok:
                    failures.append(f"{answer.status_code} {answer.text[:200]}")
                answered.update((address(number), (due, at)) for number in numbers)

    def work() -> jobs.Answer:
        threads = [threading.Thread(target=send, daemon=True) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        for number in range(round(rate * seconds / events_a_post)):
            due = start + number * events_a_post / rate
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            people = first + number * events_a_post
            posts.put((due, list(range(people, people + events_a_post))))
        for _ in threads:
            posts.put(None)
        for thread in threads:
            thread.join(60)
        if failures:
            raise RuntimeError(f"{len(failures)} posts were refused: {failures[0]}")
        return {"answered": answered, "wall_s": time.monotonic() - start}

    return work
