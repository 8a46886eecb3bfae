"""The mode `alone`: the application called in one thread, without HTTP, over a store that writes each second.

Nobody else wants the interpreter and no disk is waited for: what is left is the work of a post itself. The
tenth percentile of CPU time is told, which other work on the machine touches least.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flask import Flask, request

from bench.receiver.bodies import audience_events, delivery
from bench.receiver.paths import FLASK
from bench.receiver.world import WORKFLOW, prepared
from listbridge.store.embedded import EmbeddedStore
from webhooks.app import create_app

POSTS: Final = {1: 1500, 5: 1500, 100: 150, 1000: 40}


@dataclass(frozen=True)
class Alone:
    """Microseconds of CPU time for one post."""

    events: int
    flask_us: float
    audience_events_us: float
    webhooks_us: float


def run(*, say: Callable[[str], None]) -> list[Alone]:
    numbers, empty = count(), _empty()
    with (
        TemporaryDirectory(prefix="listbridge-bench-") as directory,
        EmbeddedStore(Path(directory) / "store", appendfsync="everysec") as store,
    ):
        context, token = prepared(Path(directory), store.url)
        ours: Any = create_app(context, ring=lambda: None)
        bearer = f"Bearer {context.settings.api_tokens[0]}"
        doors = (
            (empty, FLASK, audience_events),
            (ours, "/v1/audiences/events", audience_events),
            (ours, f"/webhooks/campaign-monitor/{WORKFLOW}/{token}", delivery),
        )
        found = []
        for events, posts in POSTS.items():
            took = []
            for app, path, make in doors:
                bodies = [make(numbers, events, datetime.now(UTC)) for _ in range(posts)]
                took.append(_tenth(app, [_environ(path, bearer, body) for body in bodies]))
            found.append(Alone(events, *took))
            say(f"alone, {events} events: {took[0]:,.0f}, {took[1]:,.0f}, {took[2]:,.0f} µs")
        context.store.client.close()
    return found


def _empty() -> Flask:
    app = Flask("empty", static_folder=None)

    @app.post(FLASK)
    def read() -> str:
        request.get_data()
        return "{}"

    return app


def _tenth(app: Any, environs: list[dict[str, Any]]) -> float:
    """A tenth of the calls takes less."""
    took: list[float] = []
    answers: set[str] = set()

    def begin(status: str, _headers: Any, _error: Any = None) -> None:
        answers.add(status)

    for environ in environs:
        start = time.process_time()
        b"".join(app(environ, begin))
        took.append(time.process_time() - start)
    if not all(status.startswith("2") for status in answers):
        raise RuntimeError(f"posts were answered {', '.join(sorted(answers))}; it should be 200 or 202")
    return 1e6 * sorted(took)[len(took) // 10]


def _environ(path: str, bearer: str, body: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": bearer,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
