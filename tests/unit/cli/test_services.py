"""The processes of one machine."""

from __future__ import annotations

import socket

import pytest

from cli.services import local_url, require_port, services
from settings import Settings, SettingsError


def test_a_port_that_something_listens_on_is_refused():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PORT"):
            require_port(Settings(http_port=taken.getsockname()[1]))


def test_a_free_port_is_taken():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    require_port(Settings(http_port=port))


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
