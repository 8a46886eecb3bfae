"""A scripted HTTP service on loopback, and the recorded answers of the real one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from listbridge.campaign_monitor import ApiKey, CampaignMonitor

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "createsend_fixtures"


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """Answers requests with what `reply` was given, in order; the last one is repeated."""

    requests: list[Request] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    script: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)

    def reply(self, status: int = 200, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def send(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            given = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(content))}
            for name, value in (given | (headers or {})).items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)

        self.script.append(send)

    def reply_page(self, rows: list[Any], number: int = 1, pages: int = 1, total: int | None = None) -> None:
        self.reply(200, envelope(rows, number, pages, total))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append(Request(handler.command, path, query, dict(handler.headers.items()), body))
        self.connections.add(handler.client_address)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        step(handler)

    @property
    def last(self) -> Request:
        return self.requests[-1]


def envelope(rows: list[Any], number: int = 1, pages: int = 1, total: int | None = None) -> dict[str, Any]:
    return {
        "Results": rows,
        "ResultsOrderedBy": "date",
        "OrderDirection": "asc",
        "PageNumber": number,
        "PageSize": 1000,
        "RecordsOnThisPage": len(rows),
        "TotalNumberOfRecords": len(rows) if total is None else total,
        "NumberOfPages": pages,
    }


@pytest.fixture
def service() -> Iterator[Service]:
    scripted = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            """Say nothing on stderr."""

        def answer(self) -> None:
            scripted.answer(self)

        do_GET = do_POST = do_PUT = do_DELETE = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}/api/v3.3"
    try:
        yield scripted
    finally:
        scripted.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def api(service: Service) -> Iterator[CampaignMonitor]:
    with CampaignMonitor(ApiKey("secret-key"), base_url=service.url, read_timeout=5) as client:
        yield client


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


@pytest.fixture
def recorded() -> Callable[[str, Any], Any]:
    """The recorded answer of a name, or the literal when the recordings are not there."""

    def read(name: str, otherwise: Any) -> Any:
        path = RECORDED / f"{name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else otherwise

    return read


@pytest.fixture
def page_of() -> Callable[..., dict[str, Any]]:
    return envelope
