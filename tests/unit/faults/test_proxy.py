"""The proxy between the processes and the store cuts, holds back and swallows."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from faults.proxy import Proxy


@pytest.fixture
def echo():
    """A server that answers what it is sent; -> its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(65_536):
                connection.sendall(data)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo):
    made = Proxy(echo)
    yield made
    made.close()


@pytest.fixture
def client(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        assert asked(connection, b"first") == b"first"
        yield connection


def asked(connection, data):
    connection.sendall(data)
    found = b""
    while len(found) < len(data):
        more = connection.recv(65_536)
        if not more:
            return found
        found += more
    return found


def test_it_passes_what_it_is_sent(client):
    assert asked(client, b"x" * 300_000) == b"x" * 300_000


def test_a_cut_ends_the_connection_and_a_new_one_works(proxy, client):
    assert proxy.cut() == 1
    assert client.recv(10) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as other:
        assert asked(other, b"again") == b"again"


def test_a_lost_reply_ends_its_connection_once(proxy, client):
    proxy.lose_replies(1)
    assert asked(client, b"second") == b""
    assert proxy.replies_to_lose == 0
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as other:
        assert asked(other, b"again") == b"again"


def test_a_silent_connection_stays_open_and_says_nothing(proxy, client):
    proxy.silence()
    client.sendall(b"second")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(10)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as other:
        assert asked(other, b"again") == b"again"


@pytest.mark.parametrize("mode", ["delay", "trickle"])
def test_a_slow_line_loses_nothing(proxy, client, mode):
    proxy.mode, proxy.seconds = mode, 0.02
    began = time.monotonic()
    assert asked(client, b"y" * 2000) == b"y" * 2000
    assert time.monotonic() - began >= 0.04
