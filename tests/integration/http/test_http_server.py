"""The application as it is served: what a server does to paths, bodies and logs."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis
import requests

from cli.services import WEB
from listbridge.store import keys

TOKEN = "a-token-for-the-tests"
LIMIT = 4096


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    def call(self, method, path, **options) -> requests.Response:
        options.setdefault("headers", {}).setdefault("Authorization", f"Bearer {TOKEN}")
        return requests.request(method, f"{self.url}{path}", timeout=10, **options)


def _empty(directory):
    """A settings file that holds nothing."""
    path = directory / "empty.env"
    path.write_text("")
    return path


pytestmark = pytest.mark.on_one_server


@pytest.fixture(scope="module")
def served(store_server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served")
    port, log = free_port(), directory / "log"
    environment = {n: v for n, v in os.environ.items() if not n.startswith("LISTBRIDGE_")} | {
        "LISTBRIDGE_ENV_FILE": str(_empty(directory)),
        "LISTBRIDGE_REDIS_URL": store_server.removesuffix("/0") + "/9",
        "LISTBRIDGE_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
        "LISTBRIDGE_API_TOKENS": TOKEN,
        "LISTBRIDGE_MAX_BODY_BYTES": str(LIMIT),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*WEB, "--header-seconds", "1", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        made = Served(f"http://127.0.0.1:{port}", log)
        wait_until_it_answers(made, process)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def wait_until_it_answers(served: Served, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert served.call("GET", "/healthz").json()["status"] == "ok"
            return
        except requests.ConnectionError:
            assert process.poll() is None, served.log.read_text()
            assert time.monotonic() < deadline, served.log.read_text()
            time.sleep(0.05)


def event(email):
    return {"email": email, "audience": "vip", "event": "enter", "timestamp": "2026-01-02T03:04:05Z"}


def test_events_are_stored_at_once_although_the_broker_is_down(served):
    started = time.monotonic()
    answer = served.call("POST", "/v1/audiences/events", json={"events": [event("ada@example.com")]})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("path", ["gr%C3%BC%C3%9Fe", "a%2Fb", "a%2Bb", "a+b", "50%25"])
def test_paths_arrive_percent_decoded_once(served, path):
    answer = served.call("GET", f"/v1/audiences/{path}").json()
    assert answer == {"audience": requests.utils.unquote(path), "size": 0}


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 400), (LIMIT + 1, 413), (100 * LIMIT, 413)])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "sized"])
def test_a_body_is_read_up_to_the_limit(served, size, status, chunked):
    body = b" " * size
    data = (body[at : at + 1000] for at in range(0, size, 1000)) if chunked else body
    answer = served.call(
        "POST",
        "/v1/audiences/events",
        data=data,
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, status)


def test_headers_are_read_up_to_a_limit(served):
    assert served.call("GET", "/healthz", headers={"X-Much": "x" * 30_000}).status_code == 200
    assert served.call("GET", "/healthz", headers={"X-Much": "x" * 200_000}).status_code == 431


def test_who_sends_headers_slowly_is_cut_off_and_others_are_served(served):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        assert served.call("GET", "/healthz").status_code == 200
        started = time.monotonic()
        assert b"200 OK" not in slow.recv(1000)
        assert time.monotonic() - started < 8


def test_a_stranger_is_refused_and_the_next_caller_is_served(served):
    with requests.Session() as session:
        refused = session.post(
            f"{served.url}/webhooks/campaign-monitor/w1/token", data=b" " * LIMIT, timeout=10
        )
        assert refused.status_code == 401
        assert session.get(f"{served.url}/healthz", timeout=10).status_code == 200


def test_the_service_says_that_it_takes_deliveries(served, store_server):
    with redis.Redis.from_url(store_server.removesuffix("/0") + "/9") as client:
        assert abs(int(client.get(keys.RECEIVING)) - time.time() * 1000) < 60_000


def test_the_log_holds_no_path(served):
    served.call("GET", "/v1/profiles/grace@example.com")
    served.call("GET", "/webhooks/campaign-monitor/w1/secret-token")
    written = served.log.read_text()
    assert "grace@example.com" not in written
    assert "secret-token" not in written
    assert "Traceback" not in written
