"""The simulator over HTTP/1.1 with keep-alive, in a thread of this process."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from io import BytesIO
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from simulator.account import Account
from simulator.app import CUT, DRIP, DROP, make_app
from simulator.simulation import Simulator

DROPS = 20
"""In how many parts an answer comes that takes its time."""


class _Handler(WSGIRequestHandler):
    """One connection: many requests, each answered with one write.

    Werkzeug's own closes the connection after every answer, which no client of the API expects.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        self.server.connections.discard(self.connection)  # type: ignore[attr-defined]
        super().finish()

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.environ = environ = self.make_environ()
        environ["wsgi.input"] = BytesIO(self._body(environ))
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ARG001
            started.append((status, headers))
            return started.append

        answer = self.server.app(environ, start_response)
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        if environ.get(DROP):
            self.close_connection = True
            return
        self._answer(*started[-1], body, cut=CUT in environ, seconds=environ.get(DRIP, 0.0))

    def _body(self, environ: dict[str, Any]) -> bytes:
        if environ.get("wsgi.input_terminated"):
            chunks: bytes = environ["wsgi.input"].read()
            return chunks
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(
        self, status: str, headers: list[tuple[str, str]], body: bytes, *, cut: bool, seconds: float
    ) -> None:
        code, reason = status.split(None, 1)
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        self.close_connection = self.close_connection or cut
        sent = b"" if self.command == "HEAD" else body[: len(body) // 2] if cut else body
        self._headers_buffer.append(b"\r\n" + (b"" if seconds else sent))
        self.flush_headers()
        if seconds:
            self._drip(sent, seconds)

    def _drip(self, body: bytes, seconds: float) -> None:
        step = max(len(body) // DROPS, 1)
        try:
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                time.sleep(seconds / DROPS)
        except OSError:
            self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by the simulated clock."""
        account: Account = self.server.account  # type: ignore[attr-defined]
        return super().date_time_string(int(timestamp or account.clock.now().timestamp()))

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class SimulatorServer:
    """A running simulator: `with SimulatorServer(people=100) as server: ... server.api_url`.

    `account` is served as it is; otherwise `generate` makes one of the keyword arguments. Port 0
    takes any free one. With an `ssl_context` it speaks TLS.
    """

    def __init__(
        self,
        account: Account | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        **plan: Any,
    ) -> None:
        self.simulator = Simulator(account, **plan)
        self._host, self._port, self._tls = host, port, ssl_context
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def account(self) -> Account:
        """The account that is served."""
        return self.simulator.account

    @property
    def api_key(self) -> str:
        """The account's key, valid for every client."""
        return self.account.api_key

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, once started."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def api_url(self) -> str:
        """The base of the API, v3.3."""
        return f"{self.url}/api/v3.3"

    def start(self) -> SimulatorServer:
        """Serve; again after `stop`, on the same port and with the same state."""
        app = make_app(self.simulator)
        self._server = make_server(
            self._host, self._port, app, threaded=True, request_handler=_Handler, ssl_context=self._tls
        )
        self._server.connections = set()
        self._server.account = self.account
        self._port = self._server.port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="simulator", daemon=True
        )
        self._thread.start()
        self.simulator.sender.start()
        return self

    def stop(self) -> None:
        """Stop serving: no webhook is sent any more, and open connections are cut."""
        if self._thread is None:
            return
        self.simulator.sender.stop()
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._server.connections):
            _cut(connection)
        self._thread = None

    def __enter__(self) -> SimulatorServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
