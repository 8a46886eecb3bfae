"""Mappings change while events are folded: each event is counted once, by one version, and old is not new."""

import dataclasses
import threading
import time

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from properties import examples
from spine_helpers import (
    Killed,
    MortalStore,
    RepeatingStore,
    activity,
    let_leases_end,
    members,
    moved,
    profiles,
)

from listbridge.aggregation import fold as fold_module
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.mappings.active import ActivePrograms, Unchanging
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, plan, version
from listbridge.profiles.commit import Answer
from listbridge.profiles.reading import profile_of
from listbridge.store.store import StoreError
from listbridge.streams.events import owner
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY

OPENS = 'count(event) AS mine KIND int IF event == "open"'
CLICKS = 'count(event) AS mine KIND int IF event == "click"'
ALL = "count(event) AS total KIND int"
KEYS = [f"{name}@x.se" for name in ("ann", "bob", "eve", "kim", "leo")]


@pytest.fixture
def become(small):
    """Makes the shipped mappings with one of these columns active."""

    def make(*columns):
        listed = "".join(f"\n  , {column}" for column in (ALL, *columns))
        text = (
            f"SELECT email(email) AS email KIND string{listed} FROM cm_activity INTO USER BY email ALIAS own"
        )
        return activate(small, plan(small, (*with_files([]), MappingText("own", "own.lql", text))))

    return make


@pytest.fixture
def written(monkeypatch):
    """Every commit that was written: (partition, version of the mappings, offset of cm_activity)."""
    found = []
    real = fold_module.write

    def write(store, commits):
        answers = real(store, commits)
        found.extend(
            (each.part.number, each.mapping, each.offsets[CM_ACTIVITY])
            for each, answer in zip(commits, answers, strict=True)
            if answer is Answer.WRITTEN and CM_ACTIVITY in each.offsets
        )
        return answers

    monkeypatch.setattr(fold_module, "write", write)
    return found


class Lagging:
    """The programs of a process that notices nothing until it is refused."""

    def __init__(self, store):
        self._programs = ActivePrograms(store)
        self._held = self._programs.current()

    def current(self, *, renew=False):
        if renew:
            self._held = self._programs.current(renew=True)
        return self._held


class Prompt(Lagging):
    """The programs of a process that notices everything at once."""

    def current(self, **_):
        return super().current(renew=True)


def shown(store, key="ann@x.se"):
    """The fields of a profile that these tests are about."""
    fields = profile_of(store, ActivePrograms(store), key)["fields"]
    return {name: fields[name] for name in ("total", "mine", "cm_openct") if name in fields}


def test_a_field_whose_definition_changed_starts_anew_and_the_others_go_on(small, become):
    become(OPENS)
    folder = Folder(small, Lagging(small))
    append(small, [activity("ann@x.se", n) for n in range(3)])
    folder.run()
    assert shown(small) == {"total": 3, "mine": 3, "cm_openct": 3}

    become(CLICKS)
    assert shown(small) == {"total": 3, "cm_openct": 3}
    append(small, [activity("ann@x.se", n, "click") for n in range(2)])
    Folder(small, ActivePrograms(small)).run()

    assert shown(small) == {"total": 5, "mine": 2, "cm_openct": 3}


@pytest.mark.parametrize("written_in_between", [True, False])
def test_a_definition_that_comes_back_starts_anew(small, become, written_in_between):
    become(OPENS)
    append(small, [activity("ann@x.se", n) for n in range(3)])
    Folder(small, ActivePrograms(small)).run()
    become(CLICKS)
    if written_in_between:
        append(small, [activity("ann@x.se", 10)])
        Folder(small, ActivePrograms(small)).run()
    become(OPENS)

    assert "mine" not in shown(small)
    append(small, [activity("ann@x.se", 20)])
    Folder(small, ActivePrograms(small)).run()

    assert shown(small)["mine"] == 1
    assert shown(small)["total"] == 4 + written_in_between


def test_a_state_that_no_longer_counts_leaves_the_profile_when_it_is_written(small, become):
    become(OPENS, "set(city) AS towns KIND []string")
    cities = [activity("ann@x.se", n, city=f"a town with quite a long name {n}") for n in range(50)]
    append(small, cities)
    Folder(small, ActivePrograms(small)).run()
    part = small.part("ann@x.se")
    before = small.client.hstrlen(part.profiles, "ann@x.se")

    become(OPENS)
    append(small, [activity("ann@x.se", 90)])
    Folder(small, ActivePrograms(small)).run()

    assert small.client.hstrlen(part.profiles, "ann@x.se") < before - 1000
    assert shown(small) == {"total": 51, "mine": 51, "cm_openct": 51}


def test_a_worker_with_old_mappings_is_refused_where_newer_ones_have_written_and_goes_on_with_those(
    small, become, written
):
    become(OPENS)
    stale = Folder(small, Lagging(small))
    append(small, [activity(key, 1) for key in KEYS])
    stale.run()
    become(CLICKS)
    append(small, [activity("ann@x.se", n, "click") for n in (2, 3)])
    Folder(small, ActivePrograms(small)).run()

    append(small, [activity("ann@x.se", 4, "click")])
    result = stale.run()

    assert (result.conflicts, result.events) == (1, 1)
    assert shown(small) == {"total": 4, "mine": 3, "cm_openct": 1}
    assert [mapping for part, mapping, _ in written if part == small.part("ann@x.se").number] == [1, 2, 2]
    assert not any(small.client.exists(part.attempts) for part in small.parts)


def test_mappings_that_change_between_the_read_and_the_commit_lose_and_double_nothing(small, become):
    """The whole change, with a first commit of the new version, just before the stale one's commit."""

    class Overtaken(Folder):
        def _commit(self, *args):
            if first := not changed:
                changed.append(become(CLICKS))
                let_leases_end(small)
                Folder(small, ActivePrograms(small)).run()
            super()._commit(*args)
            assert self._outdated == first

    changed = []
    become(OPENS)
    append(small, [activity(key, n, what) for key in KEYS for n in range(4) for what in ("open", "click")])

    result = Overtaken(small, Lagging(small)).run()

    assert (result.commits, result.events) == (0, 0)
    for key in KEYS:
        assert shown(small, key) == {"total": 8, "mine": 4, "cm_openct": 4}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=4)),
        st.tuples(st.just("fold"), st.integers(0, 2)),
        st.tuples(st.just("change"), st.booleans()),
    ),
    min_size=8,
    max_size=16,
)


@given(STEPS)
@examples(8)
def test_each_event_is_counted_once_by_one_version_in_its_partition(small, become, written, steps):
    """Field `since_N` came with version N, so it counts what versions from N on have folded."""
    small.client.flushall()
    written.clear()
    columns = []
    become()
    folders = [Folder(small, Lagging(small)) for _ in range(2)] + [Folder(small, Prompt(small))]
    minute = 0
    for what, value in [*steps, ("fold", 0), ("fold", 1)]:
        if what == "append":
            minute += 1
            append(small, [activity(key, minute, ordinal=n) for n, key in enumerate(value)])
        elif what == "fold":
            folders[value].run()
        elif value or not columns:
            columns.append(f"count(event) AS since_{len(columns) + 2} KIND int")
            become(*columns)
        else:
            become(*columns, "city AS town KIND string")
            columns.append(f"count(event) AS since_{len(columns) + 3} KIND int")
            become(*columns)
            columns.insert(-1, "city AS home KIND string")

    assert not any(has_lag(small, folders[0]._program))
    event(f"{len({mapping for _, mapping, _ in written})} versions wrote")
    counted = [part for part in small.parts if small.client.hlen(part.profiles)]
    for part in counted:
        commits = [(mapping, offset) for number, mapping, offset in written if number == part.number]
        assert commits == sorted(commits, key=lambda each: (each[0], order(each[1])))
        versions = [0] + [mapping for mapping, _ in commits]
        assert versions == sorted(versions)
    fields = profiles(small, ActivePrograms(small).current())
    for key, expected in reckoned(small, written).items():
        held = {n: v for n, v in fields[key][1].items() if n == "total" or n.startswith("since_")}
        present = {column.split(" AS ")[1].split()[0] for column in columns} | {"total"}
        assert held == {name: n for name, n in expected.items() if name in present}


def order(entry_id):
    return tuple(int(number) for number in entry_id.split(b"-"))


def reckoned(store, written):
    """Key -> {"total": its events, "since_N": those that versions from N on have folded}."""
    found = {}
    for part in store.parts:
        commits = [(mapping, order(offset)) for number, mapping, offset in written if number == part.number]
        for entry_id, values in store.client.xrange(part.stream(CM_ACTIVITY)):
            mapping = next(mapping for mapping, offset in commits if order(entry_id) <= offset)
            for line in values[b"e"].split(b"\n"):
                key = owner(line)
                counts = found.setdefault(key, {})
                for name in ("total", *(f"since_{n}" for n in range(2, mapping + 1))):
                    counts[name] = counts.get(name, 0) + 1
    return found


def test_a_worker_that_is_killed_between_a_change_and_its_first_commit_loses_nothing(small, become):
    def prepared():
        small.client.flushall()
        become(OPENS)
        append(small, [activity(key, 1) for key in KEYS])
        Folder(small, ActivePrograms(small)).run()
        become(CLICKS)
        append(small, [activity(key, 2, what) for key in KEYS for what in ("open", "click")])

    prepared()
    clean = MortalStore(small, 10**9)
    Folder(clean, ActivePrograms(small)).run()
    for life in range(1, clean.steps + 1):
        prepared()
        stale = Folder(small, Unchanging(ActivePrograms(small).current()))
        with pytest.raises(Killed):
            Folder(MortalStore(small, life), ActivePrograms(small)).run()
        let_leases_end(small)
        stale.run()

        for key in KEYS:
            assert shown(small, key) == {"total": 3, "mine": 1, "cm_openct": 2}, f"killed before step {life}"


def test_a_first_commit_that_ran_twice_because_its_reply_was_lost_counts_once(small, become):
    become(OPENS)
    append(small, [activity(key, 1) for key in KEYS])
    Folder(small, ActivePrograms(small)).run()
    become(CLICKS)
    append(small, [activity(key, 2, "click") for key in KEYS])

    result = Folder(RepeatingStore(small.client, small.partitions), ActivePrograms(small)).run()

    assert result.conflicts == 0
    assert [shown(small, key) for key in KEYS] == [{"total": 2, "mine": 1, "cm_openct": 1}] * len(KEYS)


def test_folders_in_threads_that_notice_at_different_times_count_everything_once(small, become, written):
    become(OPENS)
    stop, told = threading.Event(), 0
    problems = []

    def work(programs):
        folder = Folder(small, programs)
        try:
            while not stop.is_set():
                folder.run(seconds=0.2)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(make(small),)) for make in (Lagging, ActivePrograms)]
    for thread in threads:
        thread.start()
    changes = iter((CLICKS, OPENS, CLICKS))
    for minute in range(120):
        append(small, [activity(key, minute, what) for key in KEYS for what in ("open", "click")])
        told += 2
        if minute % 30 == 29 and (columns := next(changes, None)):
            become(columns)
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    let_leases_end(small)
    append(small, [activity(key, 500, what) for key in KEYS for what in ("open", "click")])
    told += 2
    Folder(small, ActivePrograms(small)).run()

    assert problems == []
    for key in KEYS:
        fields = shown(small, key)
        assert (fields["total"], fields["cm_openct"]) == (told, told // 2)
        assert 0 < fields["mine"] <= told // 2
    for part in small.parts:
        versions = [mapping for number, mapping, _ in written if number == part.number]
        assert versions == sorted(versions)


def test_a_reader_with_old_mappings_takes_up_those_that_wrote_the_profile(small, become):
    become(OPENS)
    append(small, [activity("ann@x.se", 1)])
    reader = ActivePrograms(small)
    Folder(small, reader).run()
    become(CLICKS)
    append(small, [activity("ann@x.se", 2, "click")])
    Folder(small, ActivePrograms(small)).run()

    assert profile_of(small, reader, "ann@x.se")["fields"]["mine"] == 1
    assert reader.current().version == 2


def test_memberships_live_through_a_change(small, become):
    become(OPENS)
    append(small, [moved("ann@x.se", 1), moved("bob@x.se", 1)])
    Folder(small, ActivePrograms(small)).run()
    become(CLICKS)
    append(small, [moved("ann@x.se", 2, "exit")])
    Folder(small, ActivePrograms(small)).run()

    assert members(small, "vip") == {"bob@x.se"}


def test_a_program_that_is_no_versions_can_not_write_where_a_version_has(small, become, shipped_program):
    become(OPENS)
    append(small, [activity("ann@x.se", 1)])
    Folder(small, ActivePrograms(small)).run()
    append(small, [activity("ann@x.se", 2)])

    with pytest.raises(StoreError, match="written by newer mappings than version 0"):
        Folder(small, dataclasses.replace(shipped_program)).run()

    assert shown(small)["total"] == 1
    assert version(small, 1).number == 1
