"""A rebuild: everybody anew from archive and streams, while events keep arriving."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from listbridge.aggregation.fold import Folder, has_lag
from listbridge.archive.errors import StorageError
from listbridge.archive.passes import run_pass
from listbridge.archive.storage import LocalStorage
from listbridge.jobs.rebuild import rebuild
from listbridge.mappings.active import ActivePrograms, Unchanging
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, active, plan
from listbridge.profiles.codec import Codec
from listbridge.profiles.commit import write
from listbridge.rebuild import partition as partition_module
from listbridge.rebuild.errors import RebuildError
from listbridge.rebuild.partition import PartitionRebuild
from listbridge.rebuild.recomputing import Recomputer
from listbridge.store.store import Store, StoreError
from listbridge.streams import log
from listbridge.streams.events import Event
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY
from settings import as_environ

MINUTE = 60_000
START = 1_442_525_100_000


def opened(key, minute, event="open"):
    at = START + minute * MINUTE
    return Event(CM_ACTIVITY, key, at, (event, key, at), {"email": key, "event": event, "campaign_id": "c"})


def moved(key, minute, event="enter", audience="vip"):
    at = START + minute * MINUTE
    values = {"email": key, "audience": audience, "event": event}
    return Event(AUDIENCE, key, at, (event, audience, key, at), values)


def append(store, events):
    """Append as if all had been received at one time, so that it makes no difference when."""
    log.append(store, events, received=START)


def some(start=0, people=30):
    events = []
    for number in range(start, start + people):
        key = f"person{number % 40}@example.com"
        events += [opened(key, number * 7 + n) for n in range(number % 4 + 1)]
        events += [opened(key, number, "click"), moved(key, number)]
        if number % 3 == 0:
            events.append(moved(key, number + 50, "exit"))
    return events


@pytest.fixture
def folder(context):
    return Folder(context.store, context.programs, context.archive)


@pytest.fixture
def became(context):
    """Makes the shipped mappings with one more column active."""

    def become(column):
        columns = f"email(email) AS email KIND string, {column}"
        text = f"SELECT {columns} FROM cm_activity INTO USER BY email ALIAS own"
        texts = (*with_files([]), MappingText("own", "own.lql", text))
        made = activate(context.store, plan(context.store, texts))
        context.programs.current(renew=True)
        return made

    return become


def passed(context):
    return run_pass(context.archive, context.program.streams)


def states(context):
    """Everybody's profile by the program that is active."""
    codec = Codec(context.programs.current(renew=True))
    return {
        key.decode(): codec.unpack(packed)
        for part in context.store.parts
        for key, packed in context.store.client.hgetall(part.profiles).items()
    }


def from_nothing(context, events):
    """What a store that never knew other mappings makes of the events."""
    for part in context.store.parts:
        names = [part.profiles, part.offsets, part.version, part.changed, part.sequence]
        context.store.client.delete(*names, *(part.stream(stream) for stream in (CM_ACTIVITY, AUDIENCE)))
        for name in context.store.client.scan_iter(match=part.audience("*")):
            context.store.client.delete(name)
        for name in context.store.client.scan_iter(match=f"{part.seen('*', 0)[:-1]}*"):
            context.store.client.delete(name)
    append(context.store, events)
    Folder(context.store, context.programs).run()
    return states(context)


def members(context, audience="vip"):
    return {
        key.decode()
        for part in context.store.parts
        for key in context.store.client.smembers(part.audience(audience))
    }


NEW = 'count(event) AS mine KIND int IF event == "click"'


@pytest.mark.parametrize("memory_mb", [512, 0])
def test_a_new_field_counts_all_events_after_a_rebuild(context, folder, became, memory_mb, monkeypatch):
    early, later, latest = some(), some(30), some(60)
    append(context.store, early)
    folder.run()
    passed(context)
    assert not any(context.store.client.xlen(part.stream(CM_ACTIVITY)) for part in context.store.parts)
    append(context.store, later)
    version = became(NEW)
    folder.run()
    append(context.store, latest)  # archived and not folded yet, or neither: the rebuild sees to it
    passed(context)
    settings = dataclasses.replace(context.settings, rebuild_memory_mb=memory_mb or 1)
    if not memory_mb:
        monkeypatch.setattr(partition_module, "BYTES_A_PERSON", 1 << 20)

    result = rebuild(dataclasses.replace(context, settings=settings))

    assert not result.failed
    assert result.complete
    assert all(each.since is None for each in active(context.store).fields.values())
    assert result.version == version.number
    if not memory_mb:
        assert max(each.ranges for each in result.done) > 1
    folder.run()
    rebuilt, in_vip = states(context), members(context)
    assert rebuilt == from_nothing(context, [*early, *later, *latest])
    assert in_vip == members(context)


def test_nobody_is_written_to_whom_nothing_changed(context, folder):
    append(context.store, some())
    folder.run()
    passed(context)
    before = {part.number: context.store.client.get(part.sequence) for part in context.store.parts}

    result = rebuild(context)

    assert sum(each.people for each in result.done) == 30
    assert not any(each.changed for each in result.done)
    assert {part.number: context.store.client.get(part.sequence) for part in context.store.parts} == before


def test_events_that_arrive_during_a_rebuild_are_counted_once(context, folder, became):
    events = some(people=40)
    append(context.store, events)
    folder.run()
    passed(context)
    became(NEW)
    stop = threading.Event()
    sent = []

    def go_on():
        fold = Folder(context.store, ActivePrograms(context.store), context.archive)
        minute = 1000
        while not stop.is_set():
            more = [opened(f"person{n}@example.com", minute + n, "click") for n in range(40)]
            append(context.store, more)
            sent.extend(more)
            fold.run()
            if minute % 3 == 0:
                passed(context)
            minute += 100

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        results = [rebuild(context) for _ in range(3)]
    finally:
        stop.set()
        thread.join()

    assert not any(result.failed for result in results)
    assert len(sent) >= 40
    folder.run()
    assert states(context) == from_nothing(context, [*events, *sent])


def test_a_rebuild_that_is_killed_half_way_goes_on_when_started_again(context, folder, became, monkeypatch):
    events = some(people=40)
    append(context.store, events)
    folder.run()
    passed(context)
    became(NEW)
    monkeypatch.setattr(partition_module, "PEOPLE_A_COMMIT", 1)
    commits = []

    def dying(store, some_commits):
        if len(commits) == 17:
            raise KeyboardInterrupt
        commits.append(some_commits)
        return write(store, some_commits)

    monkeypatch.setattr(partition_module, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        rebuild(context)
    changed = sum(profile != old for profile, old in zip(states(context).values(), [None] * 40, strict=False))
    assert changed
    monkeypatch.setattr(partition_module, "write", write)
    more = [opened(f"person{n}@example.com", 5000 + n, "click") for n in range(40)]
    append(context.store, more)
    folder.run()

    result = rebuild(context)

    assert result.complete
    assert states(context) == from_nothing(context, [*events, *more])


def test_a_partition_whose_file_is_damaged_stays_as_it_was_unless_that_is_wanted(context, folder, became):
    append(context.store, some(people=40))
    folder.run()
    passed(context)
    became(NEW)
    part = context.store.part("person1@example.com")
    snapshot = context.archive.snapshot(CM_ACTIVITY, part)
    path = context.settings.data_dir / "archive" / snapshot.files[0].path
    path.write_bytes(path.read_bytes()[:-50])
    before = states(context)["person1@example.com"]

    result = rebuild(context)

    assert list(result.failed) == [part.number]
    assert snapshot.files[0].path in result.failed[part.number]
    assert not result.complete
    assert states(context)["person1@example.com"] == before
    assert path.exists()
    assert len(result.done) == 15

    skipped = rebuild(context, skip_unreadable=True)

    assert not skipped.failed
    assert not skipped.complete
    [found] = [each for each in skipped.done if each.unreadable]
    assert found.partition == part.number


def test_audience_sets_are_put_right(context, folder):
    append(context.store, [moved("ann@x.se", 1), moved("bob@x.se", 1)])
    folder.run()
    context.store.client.srem(context.store.part("ann@x.se").audience("vip"), "ann@x.se")
    context.store.client.sadd(context.store.part("bob@x.se").audience("other"), "bob@x.se")

    rebuild(context)

    assert members(context) == {"ann@x.se", "bob@x.se"}
    assert members(context, "other") == set()


def test_mappings_that_change_meanwhile_stop_the_rebuild(context, folder, became, monkeypatch):
    append(context.store, some(people=40))
    folder.run()
    became(NEW)

    def overtaken(store, commits):
        monkeypatch.setattr(partition_module, "write", write)
        became("count(event) AS other KIND int")
        return write(store, commits)

    monkeypatch.setattr(partition_module, "write", overtaken)

    with pytest.raises(RebuildError, match="other mappings have become active"):
        rebuild(context)
    assert rebuild(context).complete


def test_after_a_rebuild_nobody_folds_by_older_mappings_written_or_not(context, folder, became):
    stale = Folder(context.store, Unchanging(context.program))
    became(NEW)

    assert rebuild(context).complete
    events = [opened("ann@x.se", minute, "click") for minute in range(5)]
    append(context.store, events)
    with pytest.raises(StoreError, match="newer mappings"):
        stale.run()
    folder.run()

    assert states(context) == from_nothing(context, events)


def test_streams_that_were_trimmed_although_they_were_held_stop_the_rebuild(
    context, folder, became, monkeypatch
):
    append(context.store, [opened("ann@x.se", 1)])
    folder.run()
    passed(context)
    append(context.store, [opened("ann@x.se", minute) for minute in range(2, 7)])
    folder.run()
    became(NEW)
    part = context.store.part("ann@x.se")
    real = Recomputer.archived

    def stood_still(self, wanted):
        made = real(self, wanted)
        if self._part.number == part.number:
            context.store.client.delete(part.hold)
            passed(context)
        return made

    monkeypatch.setattr(Recomputer, "archived", stood_still)
    before = states(context)

    result = rebuild(context)

    assert "were trimmed while they were being read" in result.failed[part.number]
    assert not result.complete
    assert states(context) == before


@pytest.mark.parametrize("skip", [False, True])
def test_a_storage_that_fails_is_no_file_to_be_skipped(context, folder, monkeypatch, skip):
    append(context.store, [opened("ann@x.se", minute) for minute in range(5)])
    folder.run()
    passed(context)
    before = states(context)

    def away(self, path):
        raise StorageError("the network is away")

    monkeypatch.setattr(LocalStorage, "source", away)

    result = rebuild(context, skip_unreadable=skip)

    assert "the network is away" in result.failed[context.store.part("ann@x.se").number]
    assert states(context) == before


def test_a_profile_that_cannot_be_made_anew_stops_its_partition_only(context, folder, monkeypatch):
    people = [f"person{n}@example.com" for n in range(40)]
    append(context.store, [opened(key, 1) for key in people])
    folder.run()
    passed(context)
    part = context.store.part(people[0])
    context.store.client.hset(part.profiles, people[0], b"damaged")
    real = LocalStorage.source

    def away(self, path):
        raise StorageError("the network is away")

    monkeypatch.setattr(LocalStorage, "source", away)
    append(context.store, [opened(key, 2) for key in people])

    folded = folder.run(seconds=5).events

    others = [key for key in people if context.store.part(key).number != part.number]
    assert folded == len(others)
    monkeypatch.setattr(LocalStorage, "source", real)
    assert folder.run().events == len(people) - len(others)
    assert {profile.updated_at for profile in states(context).values()} == {START + 2 * MINUTE}


def test_two_rebuilds_at_a_time_are_one_too_many(context, monkeypatch):
    def within(self, part):
        with pytest.raises(RebuildError, match="another rebuild"):
            rebuild(context)
        raise RebuildError("seen")

    monkeypatch.setattr(PartitionRebuild, "run", within)

    assert set(rebuild(context).failed.values()) == {"seen"}


# Whoever starts the tests in the background has Ctrl-C ignored.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
MAIN = f"{HEARING}; from cli.main import main; main()"
REBUILD = [sys.executable, "-c", MAIN, "profiles", "rebuild", "--processes", "2"]


def environ(context):
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **as_environ(context.settings)}


def test_the_command_rebuilds_with_processes(context, folder, became, tmp_path):
    append(context.store, some(people=40))
    folder.run()
    passed(context)
    became(NEW)

    done = subprocess.run(
        [*REBUILD, "--json"],
        env=environ(context),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["people"], told["complete"], told["failed"]) == (40, True, [])
    assert not any(has_lag(Store(context.store.client, context.store.partitions), context.program))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_rebuild_that_is_ended_takes_its_processes_with_it(context, folder, became, tmp_path, number):
    """Its partitions can't be had, so it waits for them with all of its processes."""
    append(context.store, some(people=40))
    folder.run()
    became(NEW)
    for part in context.store.parts:
        context.store.client.set(part.fold_lease, "somebody", px=60_000)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(REBUILD, env=environ(context), cwd=tmp_path, stderr=log, process_group=0)
        await_until(lambda: sum("spawn_main" in line for line in group_of(process.pid)) == 2)
        await_until(lambda: any(context.store.client.exists(part.hold) for part in context.store.parts))

        os.kill(process.pid, number)

        assert process.wait(20) != 0
    await_until(lambda: not group_of(process.pid))
    assert "Traceback" not in (tmp_path / "log").read_text()


def group_of(number):
    """The command lines of a process group, zombies left out."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [row[2] for row in rows if row[0] == str(number) and not row[1].startswith("Z")]


def await_until(done, seconds=20):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
