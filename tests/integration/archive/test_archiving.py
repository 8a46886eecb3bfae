import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from archive_helpers import (
    DAY,
    NOVEMBER,
    Killed,
    Life,
    MortalStorage,
    MortalStore,
    RepeatingStore,
    activity,
    archived_ids,
    counting_paths,
    exported_ids,
    ids,
    let_leases_end,
    manifest,
    paths_on_disk,
    some,
)
from properties import EACH_STEP

from listbridge.archive import compaction, writing
from listbridge.archive.compaction import compact_next
from listbridge.archive.errors import StorageError
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.state import change, load, retired
from listbridge.archive.status import verify
from listbridge.archive.storage import LocalStorage
from listbridge.archive.writing import Conflict, archive_next
from listbridge.store import keys
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY

NOTHING_FOLDED = ()


def test_a_pass_writes_every_event_once_by_stream_partition_and_month(archive):
    events = [*some(40), *some(10, start=100, at=NOVEMBER - 1)]
    append(archive.store, events)

    result = run_pass(archive, NOTHING_FOLDED)

    assert (result.events, result.error) == (50, "")
    assert archived_ids(archive) == ids(events)
    assert paths_on_disk(archive) == counting_paths(archive)
    folders = {path.rpartition("/")[0] for path in counting_paths(archive)}
    assert folders == {
        f"cm_activity/partition={part:02}/month={month}"
        for part in (0, 1)
        for month in ("2026-10", "2026-11")
    }
    for part in archive.store.parts:
        for frame in archive.read(CM_ACTIVITY, part):
            rows = frame.select("_key", "_time", "_id").rows()
            assert rows == sorted(rows)


def test_the_manifest_names_what_counts(archive):
    append(archive.store, some(40))
    run_pass(archive, NOTHING_FOLDED)

    listed = manifest(archive)

    assert {line["path"] for line in listed} == counting_paths(archive)
    assert sum(line["events"] for line in listed) == 40
    sizes = archive.storage.sizes()
    assert all(line["bytes"] == sizes[line["path"]] for line in listed)
    assert {(line["stream"], line["month"], line["from_time"], line["to_time"]) for line in listed} == {
        (CM_ACTIVITY, "2026-11", NOVEMBER, NOVEMBER)
    }


def test_a_pass_with_nothing_new_writes_nothing(archive):
    append(archive.store, some(10))
    run_pass(archive, NOTHING_FOLDED)
    before = _written_at(archive)

    assert run_pass(archive, NOTHING_FOLDED).events == 0
    assert _written_at(archive) == before


def _written_at(archive):
    root = Path(archive.storage.shown)
    return {path.name: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_a_claim_takes_about_as_many_events_as_it_may_and_at_least_one_entry(archive):
    for number in range(6):
        append(archive.store, [activity("ann@x.se", number * 100 + n) for n in range(10)])
    part = archive.store.part("ann@x.se")

    counts = [archive_next(archive.store, archive.storage, part, CM_ACTIVITY, events=25) for _ in range(3)]
    rest = [archive_next(archive.store, archive.storage, part, CM_ACTIVITY, events=5) for _ in range(2)]

    assert (counts, rest) == ([20, 20, 20], [None, None])


def several_rounds(archive, rounds=3):
    """Rounds of appending and a pass; the files of a round are put together with the earlier ones."""
    for number in range(rounds):
        append(archive.store, some(12, start=number * 12))
        run_pass(archive, NOTHING_FOLDED, grace_ms=0)


@pytest.fixture
def eager(monkeypatch):
    """Two files are worth a compaction."""
    monkeypatch.setattr(compaction, "FILES_TOGETHER", 2)


def test_a_pass_that_is_killed_anywhere_leaves_no_hole_and_no_double(archive, eager, tmp_path):
    """Kill the first process after so many steps, and more each time; another one goes on."""
    steps = 1 - EACH_STEP
    while True:
        steps += EACH_STEP
        archive.store.client.flushall()
        archive.store.prepare()
        root = tmp_path / str(steps)
        life = Life(steps)
        mortal = Archive(MortalStore(archive.store, life), MortalStorage(root, life))
        healthy = Archive(archive.store, LocalStorage(root))
        for number in range(3):
            append(archive.store, some(12, start=number * 12))
            if number < 2:
                run_pass(healthy, NOTHING_FOLDED, grace_ms=0)
        try:
            run_pass(mortal, NOTHING_FOLDED, grace_ms=0)
            killed = False
        except Killed:
            killed = True
        let_leases_end(archive.store)
        assert exported_ids(healthy) == ids(some(36)), f"after {steps} steps, before anybody goes on"
        run_pass(healthy, NOTHING_FOLDED, grace_ms=0)
        run_pass(healthy, NOTHING_FOLDED, grace_ms=0)

        assert archived_ids(healthy) == ids(some(36)), f"after {steps} steps"
        assert {line["path"] for line in manifest(healthy)} == counting_paths(healthy)
        assert not list((root / ".tmp").iterdir())
        assert verify(healthy).foreign == ()
        if not killed:
            assert steps > 20
            return


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from archive_helpers import Killed, Life, MortalStorage, MortalStore
from listbridge.archive import compaction
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.store.store import connect
compaction.FILES_TOGETHER = 2
class Suicide(Life):
    def step(self):
        try:
            super().step()
        except Killed:
            os.kill(os.getpid(), signal.SIGKILL)
life = Suicide(int(sys.argv[3]))
archive = Archive(MortalStore(connect(sys.argv[1], 2), life), MortalStorage(Path(sys.argv[2]), life))
run_pass(archive, (), grace_ms=0)
"""


def test_a_process_that_is_really_killed_again_and_again_loses_and_doubles_nothing(
    archive, eager, store_server, tmp_path
):
    root, here = tmp_path / "archive", os.path.dirname(__file__)
    total, killed = 0, 0
    for steps in (5, 8, 10, 11, 12, 13, 15, 18):
        append(archive.store, some(12, start=total))
        total += 12
        child = subprocess.run(
            [sys.executable, "-c", KILLED, store_server, str(root), str(steps), here], capture_output=True
        )
        killed += child.returncode == -signal.SIGKILL
        assert child.returncode in (0, -signal.SIGKILL), child.stderr.decode()
        let_leases_end(archive.store)
        assert exported_ids(archive) == ids(some(total))
    assert killed >= 6

    run_pass(archive, NOTHING_FOLDED, grace_ms=0)
    assert archived_ids(archive) == ids(some(total))


def test_a_reply_that_is_lost_changes_nothing(archive, eager):
    repeating = Archive(RepeatingStore(archive.store.client, 2), archive.storage)

    several_rounds(repeating)

    assert archived_ids(archive) == ids(some(36))


class StallingStorage(LocalStorage):
    """Just before the first put, somebody else does all the work; then the put goes on."""

    def __init__(self, root, meanwhile):
        super().__init__(root)
        self._meanwhile = [meanwhile]

    def put(self, path, content, *, writer):
        if self._meanwhile:
            self._meanwhile.pop()()
        super().put(path, content, writer=writer)


def test_a_writer_whose_lease_ran_out_changes_nothing(archive, eager, tmp_path):
    append(archive.store, some(24))
    part = archive.store.parts[0]

    def other():
        let_leases_end(archive.store)
        for start in (24, 36, 48):
            run_pass(archive, NOTHING_FOLDED, grace_ms=10**9)
            append(archive.store, some(12, start=start))

    stalled = StallingStorage(tmp_path / "archive", other)
    with pytest.raises(Conflict):
        archive_next(archive.store, stalled, part, CM_ACTIVITY)
    run_pass(archive, NOTHING_FOLDED)

    assert archived_ids(archive) == ids(some(60))
    assert verify(archive).unreadable == ()


def test_a_compaction_whose_lease_ran_out_changes_nothing(archive, eager, tmp_path):
    part = archive.store.parts[0]
    for start in (0, 12):
        append(archive.store, some(12, start=start))
        while archive_next(archive.store, archive.storage, part, CM_ACTIVITY) is not None:
            pass
    before = archived_ids(archive)

    def other():
        assert compact_next(archive.store, archive.storage, part, CM_ACTIVITY) == 2

    with pytest.raises(Conflict):
        compact_next(archive.store, StallingStorage(tmp_path / "archive", other), part, CM_ACTIVITY)

    assert archived_ids(archive) == before
    assert len(archive.snapshot(CM_ACTIVITY, part).files) == 1


def test_a_file_that_can_not_be_read_now_keeps_nothing_new_from_being_archived(archive, eager, monkeypatch):
    part = archive.store.parts[0]
    for start in (0, 12):
        append(archive.store, some(12, start=start))
        while archive_next(archive.store, archive.storage, part, CM_ACTIVITY) is not None:
            pass
    broken = archive.snapshot(CM_ACTIVITY, part).files[0].path
    real = type(archive.storage).source

    def source(self, path):
        if path == broken:
            raise StorageError("EIO")
        return real(self, path)

    monkeypatch.setattr(type(archive.storage), "source", source)
    run_pass(archive, NOTHING_FOLDED)
    append(archive.store, some(30, start=100))

    result = run_pass(archive, NOTHING_FOLDED)

    assert (result.events, result.error) == (30, "")
    assert "EIO" in result.uncompacted
    monkeypatch.setattr(type(archive.storage), "source", real)
    run_pass(archive, NOTHING_FOLDED)
    assert archived_ids(archive) == ids([*some(24), *some(30, start=100)])


def test_two_passes_at_once_write_everything_once(archive):
    append(archive.store, some(2000, people=200))
    passes = [Thread(target=run_pass, args=(archive, NOTHING_FOLDED)) for _ in range(2)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    run_pass(archive, NOTHING_FOLDED)

    assert archived_ids(archive) == ids(some(2000, people=200))
    assert paths_on_disk(archive) == counting_paths(archive)


def test_a_file_that_was_written_by_half_under_its_name_is_written_anew(archive, monkeypatch):
    append(archive.store, some(10))
    part = archive.store.part("person0@x.se")
    monkeypatch.setattr(writing, "change", _change_but_not_files)
    with pytest.raises(Conflict):
        archive_next(archive.store, archive.storage, part, CM_ACTIVITY)
    monkeypatch.undo()
    [half] = paths_on_disk(archive)
    archive.storage.put(half, b"PAR1half", writer="00")

    run_pass(archive, NOTHING_FOLDED)

    assert archived_ids(archive) == ids(some(10))


def _change_but_not_files(store, before, state, **files):
    return not files and change(store, before, state)


def test_small_files_are_put_together_and_the_old_ones_kept_for_a_time(archive, eager):
    append(archive.store, some(12))
    run_pass(archive, NOTHING_FOLDED, grace_ms=10**9)
    old = counting_paths(archive)
    append(archive.store, some(12, start=12))

    assert run_pass(archive, NOTHING_FOLDED, grace_ms=10**9).compacted == 4

    assert len(counting_paths(archive)) == 2
    assert old < paths_on_disk(archive), "a reader of the older manifest still finds its files"
    assert verify(archive).foreign == ()
    due = [retired(archive.store, part, CM_ACTIVITY) for part in archive.store.parts]
    assert old < {path for each in due for path in each}


def test_what_was_replaced_is_deleted_after_its_time(archive, eager):
    several_rounds(archive)

    assert run_pass(archive, NOTHING_FOLDED).deleted == 0
    assert paths_on_disk(archive) == counting_paths(archive)
    assert not any(retired(archive.store, part, CM_ACTIVITY) for part in archive.store.parts)


@pytest.mark.parametrize("damage", ["truncated", "missing", "other"])
def test_an_unreadable_file_is_left_out_of_a_compaction_reported_and_not_deleted(
    archive, eager, damage, caplog
):
    part = archive.store.part("person0@x.se")
    for start in range(3):
        append(archive.store, [activity("person0@x.se", start)])
        while archive_next(archive.store, archive.storage, part, CM_ACTIVITY) is not None:
            pass
    bad = archive.snapshot(CM_ACTIVITY, part).files[0].path
    spoil(archive, bad, damage)

    run_pass(archive, NOTHING_FOLDED, grace_ms=0)

    files = archive.snapshot(CM_ACTIVITY, part).files
    assert [file.path for file in files if file.unreadable] == [bad]
    assert sorted(file.events for file in files) == [1, 2]
    assert f"the archive's file {bad} can't be read" in caplog.text
    assert (bad in paths_on_disk(archive)) == (damage != "missing")


def spoil(archive, path, damage):
    if damage == "missing":
        archive.storage.delete(path)
    else:
        content = archive.storage.source(path).read_bytes()
        archive.storage.put(path, content[:-50] if damage == "truncated" else b"no Parquet", writer="00")


class FailingStorage(LocalStorage):
    def put(self, *_, **__):
        raise StorageError("the disk can't be written: No space left on device")


def test_a_full_disk_ends_the_pass_with_one_line_and_nothing_is_trimmed(archive, tmp_path, caplog):
    append(archive.store, some(20))
    full = Archive(archive.store, FailingStorage(tmp_path / "archive"))

    first, second = run_pass(full, NOTHING_FOLDED), run_pass(full, NOTHING_FOLDED)

    assert first.error == second.error == "the disk can't be written: No space left on device"
    assert first.trimmed == 0
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    told = archive.store.client.hgetall(keys.ARCHIVE)
    assert told[b"error"] == first.error.encode()
    assert int(told[b"error_since"]) < int(told[b"last_pass"]) or told[b"error_since"] == told[b"last_pass"]
    assert b"last_success" not in told
    append(archive.store, some(10, start=20))
    assert exported_ids(archive) == ids(some(30))

    assert run_pass(archive, NOTHING_FOLDED).events == 30
    assert b"error" not in archive.store.client.hgetall(keys.ARCHIVE)
    assert archived_ids(archive) == ids(some(30))


def test_lines_that_are_no_events_are_counted_and_do_not_stop_the_archive(archive):
    append(archive.store, some(3))
    part = archive.store.part("person0@x.se")
    archive.store.client.xadd(part.stream(CM_ACTIVITY), {"n": 2, "e": b"garbage\n{}"})

    run_pass(archive, NOTHING_FOLDED)

    [found] = load(archive.store, [(part, CM_ACTIVITY)])
    assert found.state.skipped == 2
    assert archived_ids(archive) == ids(some(3))


def test_an_entry_of_nothing_but_garbage_is_passed(archive):
    part = archive.store.parts[0]
    last = archive.store.client.xadd(part.stream(CM_ACTIVITY), {"n": 1, "e": b"garbage"})

    assert run_pass(archive, NOTHING_FOLDED).events == 0
    assert archive.position(CM_ACTIVITY, part) == last


@pytest.mark.parametrize("at", [-(2**63), 2**63 - 1])
def test_times_outside_the_calendar_are_archived(archive, at):
    events = [activity("ann@x.se", n, at + (n * DAY if at < 0 else -n * DAY)) for n in range(3)]
    append(archive.store, events)

    run_pass(archive, NOTHING_FOLDED)

    assert archived_ids(archive) == ids(events)


def test_a_compaction_by_many_ranges_of_keys_is_one_sorted_file(archive, eager, monkeypatch):
    monkeypatch.setattr(compaction, "EVENTS_A_RANGE", 7)
    part = archive.store.part("person0@x.se")
    for start in range(3):
        append(archive.store, some(100, people=30, start=start * 100))
        while archive_next(archive.store, archive.storage, part, CM_ACTIVITY) is not None:
            pass
    before = sorted(_rows(archive, part))

    assert compact_next(archive.store, archive.storage, part, CM_ACTIVITY) == 3

    assert _rows(archive, part) == before
    [file] = archive.snapshot(CM_ACTIVITY, part).files
    assert (file.events, file.low, file.high) == (len(before), before[0][0], before[-1][0])


def _rows(archive, part):
    return [
        row
        for frame in archive.read(CM_ACTIVITY, part, columns=["_key", "_time", "_id"])
        for row in frame.rows()
    ]
