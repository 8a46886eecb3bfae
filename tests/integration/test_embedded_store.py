import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from listbridge.store import data_directory, embedded
from listbridge.store.embedded import EmbeddedStore, discover, opened
from listbridge.store.server import DirectoryInUse, EmbeddedError, ServerFailed, server_info
from settings import Settings

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


def test_the_server_wants_its_password(tmp_path):
    with EmbeddedStore(tmp_path) as store:
        without = store.url.replace(redis.Redis.from_url(store.url).get_connection_kwargs()["password"], "no")
        with client(store.url) as right, client(without) as wrong:
            assert right.ping()
            with pytest.raises(redis.AuthenticationError):
                wrong.ping()


def test_only_the_owner_can_read_the_files_that_hold_the_password(tmp_path):
    with EmbeddedStore(tmp_path / "data"):
        for name in ("store.json", "store.conf", "store.log"):
            assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_the_server_runs_with_the_configuration_it_was_given(tmp_path):
    directory = tmp_path / 'a "quoted" name'
    with EmbeddedStore(directory, appendfsync="everysec") as store, client(store.url) as server:
        asked = ("dir", "appendonly", "appendfsync", "save", "maxmemory-policy", "databases", "bind")
        found = server.config_get(*asked)

    assert found == {
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "databases": "16",
        "bind": "127.0.0.1",
    }


def test_an_acknowledged_write_survives_a_killed_server(tmp_path):
    with EmbeddedStore(tmp_path) as store, client(store.url) as server:
        url = store.url
        for number in range(50):
            server.set(f"k{number}", number)
        kill(server_pid(store))

        wait_for(lambda: store.poll() is not None)
        assert store.poll() == -signal.SIGKILL
        wait_for(store.ensure_running)

        assert store.url == url
        assert server.dbsize() == 50


def test_a_killed_server_comes_back_without_being_asked_for(tmp_path):
    until = threading.Event()
    with EmbeddedStore(tmp_path) as store, client(store.url) as server:
        keeper = threading.Thread(target=store.keep_running, args=(until,))
        keeper.start()
        for _ in range(2):
            before = server_pid(store)
            server.incr("n")
            kill(before)
            wait_for(lambda before=before: discover(tmp_path) and server_pid(store) != before)
        until.set()
        keeper.join()

        assert server.get("n") == b"2"


def test_a_server_whose_number_could_not_be_written_down_is_started_anew(tmp_path, monkeypatch):
    """On a full disk; nobody else would find it."""
    write, failed = embedded.write_record, []

    def full_once(directory, record):
        if record.pid and not failed:
            failed.append(record.pid)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(directory, record)

    with EmbeddedStore(tmp_path) as store:
        monkeypatch.setattr(embedded, "write_record", full_once)
        kill(server_pid(store))
        wait_for(lambda: store.poll() is not None)
        wait_for(lambda: store.ensure_running() and discover(tmp_path))

        assert failed
        assert discover(tmp_path) == store.url


def test_a_server_killed_while_it_rewrites_its_file_comes_back(tmp_path):
    with EmbeddedStore(tmp_path) as store, client(store.url) as server:
        server.config_set("rdb-key-save-delay", 100_000)
        for number in range(200):
            server.set(f"k{number}", number)
        server.bgrewriteaof()
        wait_for(lambda: server.info("persistence")["aof_rewrite_in_progress"])
        kill(server_pid(store))
        wait_for(lambda: store.poll() is not None)
        wait_for(store.ensure_running)

        with client(store.url) as again:
            assert again.dbsize() == 200


@pytest.mark.parametrize("torn", [b"", b"*3\r\n$3\r\nSET\r\n$1\r\nb"])
def test_a_server_starts_on_what_a_power_cut_left(tmp_path, torn, caplog):
    with EmbeddedStore(tmp_path) as store, client(store.url) as server:
        server.set("a", "1")
        kill(server_pid(store))
    [file] = (tmp_path / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as end:
        end.write(torn + bytes(300))

    with EmbeddedStore(tmp_path) as again, client(again.url) as server:
        assert server.keys() == [b"a"]

    assert "300 zeros" in caplog.text


def test_data_url_and_password_stay_from_one_start_to_the_next(tmp_path):
    store = EmbeddedStore(tmp_path)
    first = store.start()
    with client(first) as server:
        server.set("a", "1")
    store.stop()
    with EmbeddedStore(tmp_path) as again, client(again.url) as server:
        assert again.url == first
        assert server.get("a") == b"1"


def test_another_port_is_taken_when_the_last_one_is_no_longer_free(tmp_path):
    with EmbeddedStore(tmp_path) as store:
        first = store.url
    with occupied(port_of(first)), EmbeddedStore(tmp_path) as store, client(store.url) as server:
        assert store.url != first
        assert server.ping()


def test_a_given_port_that_is_taken_is_an_error_that_says_so(tmp_path):
    with occupied(0) as port, pytest.raises(ServerFailed, match="Address already in use"):
        EmbeddedStore(tmp_path, port=port).start()


def test_a_given_port_is_used(tmp_path):
    with occupied(0) as port:
        pass
    with EmbeddedStore(tmp_path, port=port) as store:
        assert port_of(store.url) == port


def test_a_second_start_on_the_same_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data_directory, "LOCK_SECONDS", 0.1)
    with EmbeddedStore(tmp_path) as store:
        with pytest.raises(DirectoryInUse, match="stop it first"):
            EmbeddedStore(tmp_path).start()
        assert store.poll() is None


def test_starting_twice_and_stopping_twice_is_harmless(tmp_path):
    store = EmbeddedStore(tmp_path)
    assert store.start() == store.start()
    store.stop()
    store.stop()
    assert not store.ensure_running()


def test_another_process_discovers_the_server_while_it_is_supervised(tmp_path):
    assert discover(tmp_path) is None
    with EmbeddedStore(tmp_path) as store:
        found = run_python(
            "import sys, pathlib; from listbridge.store.embedded import discover;"
            "print(discover(pathlib.Path(sys.argv[1])))",
            tmp_path,
        )
        assert found.strip() == store.url
    assert discover(tmp_path) is None


def test_the_server_outlives_the_thread_that_started_it(tmp_path):
    store = EmbeddedStore(tmp_path)
    starter = threading.Thread(target=store.start)
    starter.start()
    starter.join()

    time.sleep(0.1)

    assert store.poll() is None
    store.stop()


@only_linux
def test_the_server_ends_in_good_order_when_its_supervisor_is_killed(tmp_path):
    supervisor = spawn_supervisor(tmp_path)
    pid = recorded_pid(tmp_path)

    kill(supervisor.pid)
    supervisor.wait()
    wait_for(lambda: not is_alive(pid))

    assert "ready to exit" in (tmp_path / "store.log").read_text()


def test_a_server_that_outlived_its_supervisor_is_stopped_before_another_starts(tmp_path):
    supervisor = spawn_supervisor(tmp_path, prelude="children.tied = list\n")
    orphan = recorded_pid(tmp_path)
    url = discover(tmp_path)
    with client(url) as server:
        server.set("a", "1")
    kill(supervisor.pid)
    supervisor.wait()
    assert is_alive(orphan)
    assert discover(tmp_path) is None

    with EmbeddedStore(tmp_path) as store, client(store.url) as server:
        assert not is_alive(orphan)
        assert server_pid(store) != orphan
        assert store.url == url
        assert server.get("a") == b"1"


def test_an_orphan_whose_number_was_never_recorded_is_found_too(tmp_path):
    supervisor = spawn_supervisor(tmp_path, prelude="children.tied = list\n")
    orphan = recorded_pid(tmp_path)
    kill(supervisor.pid)
    supervisor.wait()
    record = json.loads((tmp_path / "store.json").read_bytes())
    (tmp_path / "store.json").write_text(json.dumps({**record, "pid": 0}))

    with EmbeddedStore(tmp_path):
        assert not is_alive(orphan)


def test_an_orphan_that_does_not_end_is_named_and_no_second_server_starts(tmp_path, monkeypatch):
    supervisor = spawn_supervisor(tmp_path, prelude="children.tied = list\n")
    orphan = recorded_pid(tmp_path)
    kill(supervisor.pid)
    supervisor.wait()
    os.kill(orphan, signal.SIGSTOP)
    monkeypatch.setattr(data_directory, "ORPHAN_SECONDS", 0.1)
    try:
        with pytest.raises(DirectoryInUse, match=rf"doesn't end.*{orphan}"):
            EmbeddedStore(tmp_path).start()
    finally:
        kill(orphan)


@pytest.fixture(scope="module")
def large_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("large")
    with EmbeddedStore(directory, appendfsync="everysec") as store, client(store.url) as server:
        fill = "for i = 1, 100000 do redis.call('SET', ARGV[1] .. i, i) end"
        for part in range(3):
            server.eval(fill, 0, f"{part}:")
    return directory


def test_a_server_that_loads_its_data_is_found_and_waited_for(large_directory):
    store = EmbeddedStore(large_directory)
    started = threading.Thread(target=store.start)
    started.start()

    wait_for(lambda: discover(large_directory))
    found = server_info(discover(large_directory))
    loading_while_starting = found.loading and started.is_alive()
    with opened(Settings(data_dir=large_directory)) as url, client(url) as server:
        keys = server.dbsize()
    started.join()
    store.stop()

    assert loading_while_starting
    assert keys == 300_000


def test_a_server_that_loads_its_data_can_be_stopped(large_directory):
    store = EmbeddedStore(large_directory)
    failures = []
    started = threading.Thread(target=lambda: failures.append(outcome(store.start)))
    started.start()
    wait_for(lambda: discover(large_directory))

    before = time.monotonic()
    store.stop()
    started.join()

    assert time.monotonic() - before < 1
    assert str(failures[0]) == "the embedded store was stopped while it started"
    assert store.poll() is None
    with EmbeddedStore(large_directory) as again, client(again.url) as server:
        assert server.dbsize() == 300_000


def test_a_binary_that_exits_at_once_is_reported_with_its_last_words(tmp_path, monkeypatch):
    binary = script(tmp_path / "valkey-server", "echo wrong kind of machine; exit 3")
    monkeypatch.setattr(embedded, "server_binary", lambda: binary)

    with pytest.raises(ServerFailed, match=r"ended with 3 before .*\n.*wrong kind of machine"):
        EmbeddedStore(tmp_path / "data").start()

    monkeypatch.undo()
    with EmbeddedStore(tmp_path / "data") as store:
        assert store.poll() is None


def test_a_file_that_is_no_program_is_reported(tmp_path, monkeypatch):
    binary = tmp_path / "valkey-server"
    binary.write_bytes(b"\x7fELF of another machine")
    binary.chmod(0o700)
    monkeypatch.setattr(embedded, "server_binary", lambda: binary)

    with pytest.raises(ServerFailed, match=r"valkey-server can't be run: Exec format error"):
        EmbeddedStore(tmp_path / "data").start()


def test_a_damaged_append_only_file_stops_the_start_and_each_restart_with_its_reason(tmp_path, caplog):
    with EmbeddedStore(tmp_path) as store:
        with client(store.url) as server:
            server.set("a", "1")
        for file in (tmp_path / "appendonlydir").glob("*.incr.aof"):
            file.write_bytes(b"*3\r\nnonsense\r\n")
        kill(server_pid(store))
        wait_for(lambda: "didn't start" in caplog.text or store.ensure_running())
        assert "Bad file format" in caplog.text
        assert not store.ensure_running()

    with pytest.raises(ServerFailed, match="Bad file format"):
        EmbeddedStore(tmp_path).start()


def test_a_command_uses_the_server_that_the_settings_name(tmp_path):
    with opened(Settings(data_dir=tmp_path / "none", redis_url="redis://db:6379/0")) as url:
        assert url == "redis://db:6379/0"
    assert not (tmp_path / "none").exists()


def test_a_command_joins_the_running_server_and_leaves_it_running(tmp_path):
    with EmbeddedStore(tmp_path) as store:
        with opened(Settings(data_dir=tmp_path)) as url:
            assert url == store.url
        assert store.poll() is None


def test_a_command_starts_a_server_where_none_runs_and_stops_it(tmp_path):
    with opened(Settings(data_dir=tmp_path / "new")) as url, client(url) as server:
        server.set("a", "1")
        pid = recorded_pid(tmp_path / "new")
    assert not is_alive(pid)
    with opened(Settings(data_dir=tmp_path / "new")) as url, client(url) as server:
        assert server.get("a") == b"1"


def test_a_command_that_failed_stops_its_server(tmp_path):
    with pytest.raises(ValueError, match="mine"), opened(Settings(data_dir=tmp_path)):
        raise ValueError("mine")
    assert discover(tmp_path) is None


def test_a_command_waits_with_stopping_its_server_until_other_commands_have_ended(tmp_path):
    settings = Settings(data_dir=tmp_path)
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with opened(settings):
            entered.set()
            leave.wait()

    owner = threading.Thread(target=first)
    owner.start()
    entered.wait()
    with opened(settings) as url, client(url) as server:
        leave.set()
        owner.join(0.2)
        assert owner.is_alive()
        assert server.ping()
    owner.join()
    assert discover(tmp_path) is None


def test_commands_that_start_at_the_same_time_share_one_server(tmp_path, monkeypatch):
    monkeypatch.setattr(data_directory, "LOCK_SECONDS", 0.1)
    settings = Settings(data_dir=tmp_path)
    meet = threading.Barrier(3)
    urls, pids = set(), set()

    def command() -> None:
        meet.wait()
        with opened(settings) as url:
            meet.wait()
            urls.add(url)
            pids.add(recorded_pid(tmp_path))

    commands = [threading.Thread(target=command) for _ in range(3)]
    for each in commands:
        each.start()
    for each in commands:
        each.join()

    assert len(urls) == len(pids) == 1


@contextmanager
def client(url: str):
    with redis.Redis.from_url(url) as connection:
        yield connection


@contextmanager
def occupied(port: int):
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        yield server.getsockname()[1]


def spawn_supervisor(data_dir: Path, prelude: str = "") -> subprocess.Popen[bytes]:
    """A process that starts the store on the directory and then only sleeps."""
    code = (
        "import sys, time, pathlib\n"
        "from listbridge.store import children, embedded\n"
        f"{prelude}"
        "store = embedded.EmbeddedStore(pathlib.Path(sys.argv[1]))\n"
        "store.start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(data_dir)], stdout=subprocess.PIPE)
    with process.stdout as output:
        assert output.readline() == b"started\n"
    return process


def run_python(code: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except EmbeddedError as error:
        return error


def server_pid(store: EmbeddedStore) -> int:
    return recorded_pid(store.data_dir)


def recorded_pid(data_dir: Path) -> int:
    return json.loads((data_dir / "store.json").read_bytes())["pid"]


def port_of(url: str) -> int:
    return redis.Redis.from_url(url).get_connection_kwargs()["port"]


def kill(pid: int) -> None:
    """Kill a process and wait until it is a zombie or gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.01)
