import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import pytest

from cli import processes
from cli.processes import Child, MergedLog, NotReady, Supervisor

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


@pytest.fixture(autouse=True)
def usual_signals():
    """The handlers of a process in the foreground: a runner in the background ignores SIGINT."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_lines_of_all_children_are_merged_behind_their_aligned_names():
    out = io.StringIO()
    web = shell("web", "echo one; echo two >&2; exec sleep 60")
    worker = shell("worker", "echo three; exec sleep 60")

    with Supervisor([web, worker], out):
        wait_for(lambda: out.getvalue().count("\n") == 3)

    assert sorted(out.getvalue().splitlines()) == ["web    | one", "web    | two", "worker | three"]


def test_a_last_line_without_its_end_is_shown_too():
    out = io.StringIO()
    with Supervisor([shell("web", "printf unfinished; exec 1>&- 2>&-; exec sleep 60")], out):
        wait_for(lambda: "web | unfinished\n" in out.getvalue())


def test_bytes_that_are_no_text_are_replaced():
    out = io.StringIO()
    with Supervisor([shell("web", r"printf '\377\n'; exec sleep 60")], out):
        wait_for(lambda: out.getvalue())

    assert out.getvalue().splitlines() == ["web | �"]


@pytest.mark.parametrize(
    ("terminal", "environ", "shown"),
    [
        (True, {}, "\x1b[36mweb  |\x1b[0m hello\n"),
        (True, {"NO_COLOR": "1"}, "web  | hello\n"),
        (False, {}, "web  | hello\n"),
    ],
)
def test_names_are_coloured_on_a_terminal_only(monkeypatch, terminal, environ, shown):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)

    MergedLog(out, 4).write("web", "cyan", "hello")

    assert out.getvalue() == shown


def test_a_reader_of_the_log_that_went_away_stops_nobody():
    out = io.StringIO()
    log = MergedLog(out, 3)
    out.close()

    log.write("web", "cyan", "hello")


def test_settings_are_added_to_the_environment_of_a_child(monkeypatch):
    monkeypatch.setenv("OUTER", "kept")
    out = io.StringIO()
    child = Child("web", ["sh", "-c", "echo $OUTER $INNER; exec sleep 60"], {"INNER": "added"})
    with Supervisor([child], out):
        wait_for(lambda: out.getvalue())

    assert out.getvalue() == "web | kept added\n"


def test_a_killed_child_is_started_again(tmp_path):
    out = io.StringIO()
    with Supervisor([shell("worker", "exec sleep 60"), shell("web", "exec sleep 60")], out) as supervisor:
        worker, web = supervisor.pid("worker"), supervisor.pid("web")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: supervisor.pid("worker") not in (worker, None))

        assert supervisor.pid("web") == web

    assert out.getvalue() == "worker | ended with -9; starting it again in 0.2 s\n"


def test_a_child_that_keeps_failing_waits_longer_each_time():
    out = io.StringIO()
    with Supervisor([shell("worker", "exit 3")], out):
        wait_for(lambda: out.getvalue().count("\n") == 2)

    assert [line.split("again in ")[1] for line in out.getvalue().splitlines()] == ["0.2 s", "0.4 s"]


def test_the_delay_begins_anew_after_a_time_of_health():
    out = io.StringIO()
    with Supervisor([shell("worker", "exit 3")], out, healthy_seconds=0.0):
        wait_for(lambda: out.getvalue().count("\n") == 2)

    assert out.getvalue().count("again in 0.2 s") == 2


def test_a_program_that_does_not_exist_is_named():
    out = io.StringIO()
    with Supervisor([Child("web", ["no-such-program"])], out):
        wait_for(lambda: "no-such-program can't be run: No such file" in out.getvalue())


def test_all_children_are_stopped():
    out = io.StringIO()
    children = [python("first", BIDDABLE), python("second", BIDDABLE), python("third", BIDDABLE)]
    with Supervisor(children, out) as supervisor:
        wait_for(lambda: out.getvalue().count("ready") == 3)
        pids = [supervisor.pid(child.name) for child in children]

    stopped = [line.split()[0] for line in out.getvalue().splitlines() if "SIGTERM" in line]
    assert sorted(stopped) == ["first", "second", "third"]
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_is_asked_with_the_signal_it_wants():
    out = io.StringIO()
    child = Child("web", [sys.executable, "-c", BIDDABLE], stop_signal=signal.SIGINT)
    with Supervisor([child], out):
        wait_for(lambda: "ready" in out.getvalue())

    assert "SIGINT" in out.getvalue()


def test_a_child_that_does_not_end_is_killed_with_its_helpers():
    out = io.StringIO()
    stubborn = "trap '' TERM; sleep 60 & echo $!; wait; wait"
    with Supervisor([Child("web", ["sh", "-c", stubborn], stop_seconds=0.2)], out) as supervisor:
        wait_for(lambda: "\n" in out.getvalue())
        leader, helper = supervisor.pid("web"), int(out.getvalue().split()[-1])

    assert out.getvalue().endswith("web | did not end within 0.2 s; killing it\n")
    assert not is_alive(leader)
    wait_for(lambda: not is_alive(helper))


def test_helpers_of_a_killed_child_are_gone_before_it_starts_again():
    out = io.StringIO()
    with Supervisor([shell("web", "sleep 60 & echo $!; wait")], out) as supervisor:
        wait_for(lambda: "\n" in out.getvalue())
        leader, helper = supervisor.pid("web"), int(out.getvalue().split()[-1])
        os.kill(leader, signal.SIGKILL)
        wait_for(lambda: supervisor.pid("web") not in (leader, None))

        assert not is_alive(helper)


def test_the_next_child_starts_when_the_one_before_is_ready(tmp_path):
    mark = tmp_path / "ready"
    first = Child("first", ["sh", "-c", f"sleep 0.3; touch '{mark}'; exec sleep 60"], ready=mark.exists)
    out = io.StringIO()
    with Supervisor([first, shell("second", f"test -e '{mark}' && echo yes; exec sleep 60")], out):
        wait_for(lambda: out.getvalue())

    assert out.getvalue() == "second | yes\n"


def test_a_child_that_died_before_it_was_ready_gets_another_try(tmp_path):
    tried, mark = tmp_path / "tried", tmp_path / "ready"
    body = f"test -e '{tried}' || {{ touch '{tried}'; exit 1; }}; touch '{mark}'; exec sleep 60"
    with Supervisor([Child("web", ["sh", "-c", body], ready=mark.exists)], io.StringIO()) as supervisor:
        assert mark.exists()
        assert supervisor.pid("web")


def test_a_child_that_never_becomes_ready_stops_the_start(tmp_path):
    out = io.StringIO()
    first = shell("first", "echo $$; exec sleep 60")
    never = Child("web", ["sleep", "60"], ready=lambda: False, ready_seconds=0.3)

    with pytest.raises(NotReady, match=r"web was not ready after 0\.3 seconds"):
        Supervisor([first, never], out).__enter__()

    assert not is_alive(int(out.getvalue().split()[-1]))


def test_an_error_inside_a_readiness_check_stops_all_children():
    out = io.StringIO()

    def broken() -> bool:
        raise OSError("no such host")

    child = Child("web", ["sh", "-c", "echo $$; exec sleep 60"], ready=broken)
    with pytest.raises(OSError, match="no such host"):
        Supervisor([child], out).__enter__()

    assert not out.getvalue() or not is_alive(int(out.getvalue().split()[-1]))


def test_a_stop_during_the_start_starts_nobody_else():
    until = threading.Event()
    out = io.StringIO()

    def stop_now() -> bool:
        until.set()
        return False

    Supervisor([Child("a", ["sleep", "60"], ready=stop_now), shell("b", "echo started")], out).run(until)

    assert out.getvalue() == ""


SUPERVISING = """
import sys, threading
from cli.processes import Child, Supervisor, stop_requested
with stop_requested() as until:
    Supervisor([Child("a", ["sh", "-c", "echo $$; exec sleep 60"])]).run(until)
print("stopped in good order")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_supervisor_stops_all(number):
    with supervising() as (process, child):
        process.send_signal(number)
        rest, _ = process.communicate(timeout=10)

    assert rest == "stopped in good order\n"
    assert process.returncode == 0
    assert not is_alive(child)


def test_a_signal_to_the_supervisors_group_does_not_reach_the_children():
    with supervising(process_group=0) as (process, child):
        assert os.getpgid(child) == child != os.getpgid(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=10)

    assert rest == "stopped in good order\n"


@only_linux
def test_children_end_when_the_supervisor_is_killed():
    with supervising() as (process, child):
        process.kill()
        process.communicate()
        wait_for(lambda: not is_alive(child))


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.stop_requested() as event:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not event.wait(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_acts_as_usual():
    with processes.stop_requested() as event:
        os.kill(os.getpid(), signal.SIGINT)
        assert event.wait(5)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


BIDDABLE = textwrap.dedent(
    """
    import signal, sys
    def end(number, frame):
        print(signal.Signals(number).name)
        sys.exit()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print("ready")
    signal.pause()
    """
)


def shell(name: str, body: str) -> Child:
    return Child(name, ["sh", "-c", body])


def python(name: str, code: str) -> Child:
    return Child(name, [sys.executable, "-c", code])


@contextmanager
def supervising(**options: int):
    """A process that supervises one child; gives the process and the number of the child."""
    command = [sys.executable, "-c", SUPERVISING]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process, int(process.stdout.readline().split()[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def is_alive(pid: int) -> bool:
    command: Sequence[str] = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.01)
