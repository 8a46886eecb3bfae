"""A run that ends early deletes its scratch list; what a killed one leaves is found and removed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from listbridge.doctor import scratch
from listbridge.store import keys
from simulator.faults import Fault

COMMAND = (
    sys.executable,
    "-c",
    "from cli.main import main; main()",
    "doctor",
    "--scratch-list",
    "--suppress",
)


def until(holds, seconds=60.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def under_way(clinic, tmp_path):
    """A run of its own process that is in the middle of its scratch list."""
    settings = clinic.context.settings
    environment = {n: v for n, v in os.environ.items() if not n.startswith("LISTBRIDGE_")} | {
        "LISTBRIDGE_ENV_FILE": str(tmp_path / "empty.env"),
        "LISTBRIDGE_REDIS_URL": settings.redis_url,
        "LISTBRIDGE_PARTITIONS": str(settings.partitions),
        "LISTBRIDGE_ENCRYPTION_KEYS": settings.encryption_keys[0],
        "LISTBRIDGE_API_TOKENS": settings.api_tokens[0],
    }
    (tmp_path / "empty.env").write_text("")
    started = []

    def start(match=r"POST .*/import\.json", seconds=1.0, after=6):
        clinic.server.simulator.faults.add(
            Fault(kind="slow", match=match, seconds=seconds, times=-1, after=after)
        )
        process = subprocess.Popen(
            COMMAND, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.append(process)
        until(lambda: clinic.calls().get("POST /subscribers/{list}/import", 0) >= 5)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def scratch_lists(clinic):
    return [each for each in clinic.client.lists if each != clinic.list.list_id]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_interrupted_deletes_the_list(clinic, under_way, number):
    process = under_way()
    assert len(scratch_lists(clinic)) == 1
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.returncode != 0
    assert scratch_lists(clinic) == []
    assert clinic.learned().answers, "what was answered by then is kept"
    assert not clinic.store.client.exists(keys.lease(f"doctor:{clinic.client.client_id}"))


def test_a_second_signal_does_not_break_off_the_deletion(clinic, under_way):
    clinic.server.simulator.faults.add(Fault(kind="slow", match="DELETE .*/lists/", seconds=1.0, times=1))
    process = under_way()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert scratch_lists(clinic) == []


def test_what_a_killed_run_leaves_is_told_and_removed(clinic, under_way):
    process = under_way(match=r"GET .*/suppressionlist", seconds=30, after=2)
    until(lambda: clinic.client.suppressed)
    process.kill()
    process.wait()
    clinic.server.simulator.faults.clear()
    [left] = scratch_lists(clinic)

    found = clinic.report()["by"]["left over", "A client"]
    assert left in found["found"]
    busy = clinic.report("--scratch-list", exit_code=1)["by"]["scratch list", ""]
    assert "Another doctor works" in busy["found"]

    clinic.store.client.delete(keys.lease(f"doctor:{clinic.client.client_id}"))
    clinic.report("--scratch-list", exit_code=0)
    assert scratch_lists(clinic) == [left], "nobody said that it may be removed"
    assert clinic.client.suppressed

    clinic.report("--scratch-list", "--yes", exit_code=0)
    assert scratch_lists(clinic) == []
    assert not clinic.client.suppressed
    assert ("left over", "A client") not in clinic.report()["by"]


def test_nothing_but_scratch_lists_is_taken_for_one(clinic):
    account = clinic.server.account
    for title in (
        "Listbridge doctor",
        "Listbridge doctor 12345678 (keep)",
        "Listbridge doctor 1234567g (delete me)",
    ):
        account.add_list(clinic.client, title)
    found = scratch.leftovers(_api(clinic), clinic.client.client_id)
    assert not found


def _api(clinic):
    from listbridge.campaign_monitor import ApiKey, CampaignMonitor

    return CampaignMonitor(ApiKey(clinic.server.api_key), base_url=clinic.server.api_url)


def test_a_list_whose_creation_was_never_answered_is_deleted_by_its_title(clinic, monkeypatch):
    monkeypatch.setattr("listbridge.doctor.scratch.CLEANING_SECONDS", 1.0)
    clinic.server.simulator.faults.add(Fault(kind="drop-after", match=r"POST .*/lists/", times=1))
    clinic.server.simulator.faults.add(Fault(kind="drop-before", match=r"POST .*/lists/", times=-1))
    found = clinic.report("--scratch-list", exit_code=1)["by"]["scratch list", ""]
    assert found["outcome"] == "failed"
    assert scratch_lists(clinic) == []
    assert "DELETE /lists/{list}" in clinic.calls()
