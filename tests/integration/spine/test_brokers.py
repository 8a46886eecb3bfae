"""Brokers of their own: a server that sentinels name, and its failover; RabbitMQ as far as a greeting."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import redis
from broker_helpers import CELERY, PASSWORD, WORKER, free_ports, running, wait_for
from spine_helpers import sample

from listbridge.aggregation.fold import has_lag
from listbridge.context import load_program
from listbridge.standing import queues
from listbridge.store.server import server_binary
from listbridge.streams.log import append
from settings import as_environ


@pytest.fixture
def watched(tmp_path):
    """A server, its replica, and a sentinel over both: the server's process, the replica, the URL."""
    first, second, sentinel = free_ports(3)
    common = ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--save", "", "--dir", str(tmp_path)]
    binary = str(server_binary())
    conf = tmp_path / "sentinel.conf"
    conf.write_text(
        f"port {sentinel}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor bells 127.0.0.1 {first} 1\n"
        f"sentinel auth-pass bells {PASSWORD}\n"
        "sentinel down-after-milliseconds bells 1000\nsentinel failover-timeout bells 3000\n"
    )
    with (
        (tmp_path / "log").open("ab") as log,
        running([binary, "--port", str(first), *common], stdout=log) as master,
        running([binary, "--port", str(second), "--replicaof", f"127.0.0.1 {first}", *common], stdout=log),
        redis.Redis(port=second, password=PASSWORD) as replica,
    ):
        wait_for(lambda: replica.info("replication")["master_link_status"] == "up")
        with (
            running([binary, str(conf), "--sentinel"], stdout=log),
            redis.Redis(port=sentinel) as asked,
        ):
            wait_for(lambda: asked.sentinel_master("bells")["num-slaves"] == 1)
            yield master, replica, f"sentinel://:{PASSWORD}@127.0.0.1:{sentinel}/0?master_name=bells"


def test_workers_go_on_after_the_failover_of_their_broker(context, watched, tmp_path):
    master, replica, url = watched
    settings = replace(context.settings, broker_url=url, sweep_seconds=0.5)
    program, store = load_program(settings), context.store
    environ = {**os.environ, **as_environ(settings), "POLARS_MAX_THREADS": "1"}

    with (
        (tmp_path / "processes").open("ab") as log,
        running(WORKER, env=environ, stdout=log, stderr=log),
        running([*CELERY, "beat"], env=environ, stdout=log, stderr=log),
    ):
        append(store, sample())
        wait_for(lambda: not any(has_lag(store, program)), 60)
        before = queues.waits(store)
        assert before["fold"].tasks >= 1
        assert before["schedule"].tasks >= 1
        master.kill()
        wait_for(lambda: replica.info("replication")["role"] == "master")
        append(store, sample(people=9))
        wait_for(lambda: not any(has_lag(store, program)), 60)
        assert queues.waits(store)["fold"].tasks > before["fold"].tasks


GREET = """
import sys
from contextlib import suppress
from workers.app import app
with app.connection_for_write() as connection, suppress(OSError):
    connection.connect()
"""


def test_rabbitmq_is_greeted(tmp_path):
    """Without a RabbitMQ: our options are none that its client refuses. With one: `make test-rabbitmq`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        environ = {
            **os.environ,
            "LISTBRIDGE_REDIS_URL": "redis+cluster://h:1",
            "LISTBRIDGE_BROKER_URL": f"amqp://u:p@127.0.0.1:{server.getsockname()[1]}//",
        }
        with running([sys.executable, "-c", GREET], env=environ):
            client, _ = server.accept()
            with client:
                client.settimeout(30)
                assert client.recv(8) == b"AMQP\x00\x00\x09\x01"


@pytest.mark.parametrize("code", ["import workers.app", "from cli.main import main; main(['up'])"])
def test_no_process_starts_on_a_cluster_without_a_broker_of_its_own(code, tmp_path):
    environ = {name: value for name, value in os.environ.items() if name != "LISTBRIDGE_BROKER_URL"}
    environ["LISTBRIDGE_REDIS_URL"] = "redis+cluster://127.0.0.1:1"

    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "LISTBRIDGE_REDIS_URL is a cluster, which Celery can't use" in done.stderr
    assert "set LISTBRIDGE_BROKER_URL" in done.stderr
