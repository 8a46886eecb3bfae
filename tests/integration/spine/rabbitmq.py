"""RabbitMQ as the broker, where it is installed: `make test-rabbitmq`."""

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from broker_helpers import CELERY, PASSWORD, WORKER, free_ports, running, wait_for
from spine_helpers import sample

from listbridge.aggregation.fold import has_lag
from listbridge.context import load_program
from listbridge.standing import queues
from listbridge.store.server import port_is_free
from listbridge.streams.log import append
from settings import as_environ

RABBITMQ = next(iter(Path("/usr/lib/rabbitmq").glob("**/bin/rabbitmq-server")), None)


@pytest.fixture
def rabbitmq(tmp_path):
    """A server that can be started again over what it had: how to start it, and its URL."""
    assert RABBITMQ is not None, "no RabbitMQ is installed here: Debian's package is rabbitmq-server"
    port, mapper, inner = free_ports(3)
    (tmp_path / "rabbitmq.conf").write_text(
        f"listeners.tcp.local = 127.0.0.1:{port}\ndefault_user = bells\ndefault_pass = {PASSWORD}\n"
    )
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "bells@localhost",
        "RABBITMQ_DIST_PORT": str(inner),
        "RABBITMQ_CONFIG_FILE": str(tmp_path / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "plugins"),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "mnesia"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
    }

    @contextmanager
    def server():
        with (
            (tmp_path / "rabbitmq.log").open("ab") as log,
            running([str(RABBITMQ)], env=environ, stdout=log, stderr=log, start_new_session=True) as begun,
        ):
            try:
                wait_for(lambda: not port_is_free(port), 90)
                yield
            finally:
                os.killpg(begun.pid, signal.SIGKILL)

    with running(["epmd", "-port", str(mapper), "-address", "127.0.0.1"]):
        yield server, f"amqp://bells:{PASSWORD}@127.0.0.1:{port}//"


def test_workers_go_on_after_rabbitmq_was_killed(context, rabbitmq, tmp_path):
    server, url = rabbitmq
    settings = replace(context.settings, broker_url=url, sweep_seconds=0.5)
    program, store = load_program(settings), context.store
    environ = {**os.environ, **as_environ(settings), "POLARS_MAX_THREADS": "1"}

    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "processes").open("ab"))
        with server():
            stack.enter_context(running(WORKER, env=environ, stdout=log, stderr=log))
            stack.enter_context(running([*CELERY, "beat"], env=environ, stdout=log, stderr=log))
            append(store, sample())
            wait_for(lambda: not any(has_lag(store, program)), 60)
            before = queues.waits(store)
        append(store, sample(people=9))
        time.sleep(2)
        assert any(has_lag(store, program))
        with server():
            wait_for(lambda: not any(has_lag(store, program)), 60)
            assert queues.waits(store)["fold"].tasks > before["fold"].tasks
