"""The processes of one machine."""

from __future__ import annotations

import socket

import pytest

from cli.services import held_port, local_url, services
from settings import Settings, SettingsError


def test_a_port_that_something_listens_on_is_refused():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(http_port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PORT"), held_port(settings):
            pass


@pytest.fixture
def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Settings(http_port=probe.getsockname()[1])


def test_a_free_port_is_kept_for_our_server_and_nobody_else(free):
    address = free.http_host, free.http_port
    with held_port(free), socket.socket() as server:
        with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PORT"), held_port(free):
            pass
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(address)
        server.listen()
        with socket.create_connection(address, timeout=5):
            accepted, _ = server.accept()
            accepted.close()


def test_a_port_is_free_again_at_once(free):
    address = free.http_host, free.http_port
    with held_port(free), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(address)
        server.listen()
        client = socket.create_connection(address, timeout=5)
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port for a while
        client.close()
    with held_port(free):
        pass


def test_a_port_that_another_server_has_just_left_is_free(free):
    address = free.http_host, free.http_port
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()
        client = socket.create_connection(address, timeout=5)
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    with held_port(free), socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(address)
        ours.listen()
        with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PORT"), held_port(free):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1"])
def test_this_machine_reaches_itself_over_loopback(host):
    assert local_url(Settings(http_host=host, http_port=8080)) == "http://127.0.0.1:8080"


def test_every_queue_that_tasks_are_sent_to_has_a_worker():
    made = services(Settings(redis_url="redis://h/0", broker_url="redis://h/1"))
    served = [child.argv[child.argv.index("-Q") + 1].split(",") for child in made if "-Q" in child.argv]
    assert sorted(name for names in served for name in names) == [
        "archive",
        "deliver",
        "fold",
        "pull",
        "schedule",
    ]
