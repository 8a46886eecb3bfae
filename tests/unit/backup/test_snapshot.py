"""A server's snapshot, however it comes in pieces; and servers that give none."""

import hashlib
import socket
import threading
from contextlib import contextmanager, suppress
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.backup.snapshot import SnapshotFailed, take

MARK = b"0123456789" * 4


class Connection:
    """A connection whose handshake is over."""

    def __init__(self, stream):
        self._sock = stream

    def connect(self):
        pass

    def disconnect(self):
        self._sock.close()


@contextmanager
def server(*pieces):
    """A client of a server that sends these pieces, one write each, and hangs up."""
    ours, theirs = socket.socketpair()

    def serve():
        with theirs, suppress(OSError):
            for piece in pieces:
                theirs.sendall(piece)
            theirs.shutdown(socket.SHUT_WR)
            while theirs.recv(4096):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield SimpleNamespace(connection_pool=SimpleNamespace(make_connection=lambda: Connection(ours)))
    thread.join()


def split(data, cuts):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 1000), max_size=8), mark=st.booleans())
def test_what_the_server_holds_is_written_whole(tmp_path_factory, data, cuts, mark):
    head = b"+OK\r\n\n\n+FULLRESYNC 8de 0\r\n\n"
    body = b"$EOF:" + MARK + b"\r\n" + data + MARK if mark else b"$%d\r\n" % len(data) + data
    path = tmp_path_factory.mktemp("snapshot") / "store.rdb"

    with server(*split(head + body, cuts)) as client:
        made = take(client, path, silent_seconds=5)

    assert path.read_bytes() == data
    assert (made.size, made.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"+OK\r\n-NOPERM no permissions to run psync\r\n", "NOPERM"),
        (b"-ERR unknown command 'REPLCONF'\r\n", "unknown command"),
        (b"+OK\r\n+FULLRESYNC 8de 0\r\n$100\r\nshort", "before its snapshot was whole"),
        (b"+OK\r\n+FULLRESYNC 8de 0\r\n$EOF:" + MARK + b"\r\ndata without its end", "was whole"),
        (b"+OK\r\n+CONTINUE\r\n", "CONTINUE"),
        (b"x" * 10_000, "something else"),
        (b"", "was whole"),
    ],
)
def test_what_is_no_whole_snapshot_is_said(tmp_path, answer, words):
    with server(answer) as client, pytest.raises(SnapshotFailed, match=words):
        take(client, tmp_path / "store.rdb", silent_seconds=5)


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "store.rdb"
    path.write_bytes(b"before")

    with server(b"") as client, pytest.raises(SnapshotFailed, match="File exists"):
        take(client, path)

    assert path.read_bytes() == b"before"
