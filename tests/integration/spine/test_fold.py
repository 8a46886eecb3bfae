import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spine_helpers import (
    START,
    Killed,
    MortalStore,
    RepeatingStore,
    activity,
    checked,
    let_leases_end,
    members,
    moved,
    profiles,
    reckon,
    sample,
    stored,
)

from listbridge.aggregation.fold import Folder, has_lag
from listbridge.profiles.commit import versions_and_offsets
from listbridge.streams import reading
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY, CM_USER

STREAMS = (AUDIENCE, CM_ACTIVITY, CM_USER)


def reckoned(store):
    return reckon([event for stream in STREAMS for event in stored(store, stream)])


def changes(store):
    """The log of changes: per partition the keys, oldest first."""
    return [[key.decode() for key in store.client.zrange(part.changed, 0, -1)] for part in store.parts]


@pytest.mark.also_on_a_cluster
def test_a_fold_makes_profiles_audiences_and_the_log_of_changes(store, program):
    events = sample()
    append(store, events)

    result = Folder(store, program).run()

    assert checked(profiles(store, program)) == reckoned(store)
    assert members(store, "vip") == {f"person{n}@example.com" for n in (0, 2, 4)}
    assert sorted(key for part in changes(store) for key in part) == sorted({e.key for e in events})
    assert (result.events, result.changed, result.conflicts, result.quarantined) == (len(events), 6, 0, 0)
    assert not any(has_lag(store, program))


def test_a_fold_of_nothing_changes_nothing(store, program):
    append(store, sample())
    Folder(store, program).run()
    before = profiles(store, program), changes(store), versions_and_offsets(store, store.parts)

    result = Folder(store, program).run()

    assert (result.events, result.changed, result.commits) == (0, 0, 0)
    assert (profiles(store, program), changes(store), versions_and_offsets(store, store.parts)) == before


@pytest.mark.also_on_a_cluster
def test_events_that_are_told_again_after_they_were_folded_count_once(store, program):
    append(store, sample())
    Folder(store, program).run()
    before = profiles(store, program)

    assert append(store, sample()).accepted == 0
    assert Folder(store, program).run().events == 0
    assert profiles(store, program) == before


def test_the_newest_change_is_the_last_of_its_partition(small, program):
    key = "ann@x.se"
    others = [k for k in (f"p{n}@x.se" for n in range(40)) if small.part(k).number == small.part(key).number]
    append(small, [activity(k, 1) for k in (key, *others)])
    folder = Folder(small, program)
    folder.run()

    append(small, [activity(key, 2)])
    folder.run()

    log = changes(small)[small.part(key).number]
    assert log[-1] == key
    assert sorted(log) == sorted([key, *others])


KEYS = [f"{name}@x.se" for name in ("ann", "bob", "eve", "kim")]
EVENTS = st.one_of(
    st.builds(
        lambda key, minute, event, campaign, city: activity(key, minute, event, campaign, city=city),
        st.sampled_from(KEYS),
        st.sampled_from([0, 1, 61, 3000]),
        st.sampled_from(["open", "click"]),
        st.sampled_from(["c1", "c2"]),
        st.sampled_from([None, "Malmö", "Lund"]),
    ),
    st.builds(
        lambda key, minute, event, audience, plan: moved(key, minute, event, audience, plan=plan),
        st.sampled_from(KEYS),
        st.sampled_from([0, 1, 61]),
        st.sampled_from(["enter", "exit"]),
        st.sampled_from(["vip", "new"]),
        st.sampled_from(["gold", "free"]),
    ),
)


@given(st.lists(EVENTS, max_size=25), st.randoms(use_true_random=False))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_any_batches_and_any_redelivery_give_the_profile_that_a_plain_reckoning_gives(
    small, program, events, chance
):
    first_told = {event.id: event for event in events}
    events = list(first_told.values())
    shown = []
    for _ in range(2):
        small.client.flushall()
        folder = Folder(small, program)
        told = events + chance.sample(events, len(events) // 2)
        chance.shuffle(told)
        while told:
            batch, told = told[: (n := chance.randint(1, 8))], told[n:]
            append(small, batch, received=START)
            if chance.random() < 0.5:
                folder.run()
        folder.run()

        assert sum(len(stored(small, stream)) for stream in STREAMS) == len(events)
        shown.append(profiles(small, program))
        assert checked(shown[-1]) == reckoned(small)
        for audience in ("vip", "new"):
            inside = {
                key for key, (_, f) in shown[-1].items() if f.get("audiences", {}).get(audience) == "enter"
            }
            assert members(small, audience) == inside
    assert shown[0] == shown[1]


def test_the_latest_value_is_decided_by_what_the_events_hold_not_by_when_they_are_folded(small, program):
    told = [
        (activity("ann@x.se", 1, city="early"), 50),
        (activity("ann@x.se", 2, ordinal=0, city="b, heard first"), 10),
        (activity("ann@x.se", 2, ordinal=1, city="a, heard last"), 20),
        (activity("ann@x.se", 2, ordinal=2, city="b, heard last"), 20),
    ]
    for one_by_one in (True, False):
        for _ in range(4):
            small.client.flushall()
            folder = Folder(small, program)
            for event, received in random.sample(told, len(told)):
                append(small, [event], received=received)
                if one_by_one:
                    folder.run()
            folder.run()
            assert profiles(small, program)["ann@x.se"][1]["city"] == "b, heard last"


def test_of_an_enter_and_an_exit_in_one_moment_the_exit_wins(small, program):
    for order in (("enter", "exit"), ("exit", "enter")):
        small.client.flushall()
        folder = Folder(small, program)
        for event in order:
            append(small, [moved("ann@x.se", 1, event)], received=7)
            folder.run()
        assert members(small, "vip") == set()


class Interrupted(Folder):
    """A folder in which another one does its whole work just before the first commit."""

    def __init__(self, store, program, between):
        super().__init__(store, program)
        self._between = between

    def _commit(self, *args):
        between, self._between = self._between, lambda: None
        between()
        super()._commit(*args)


@pytest.mark.also_on_a_cluster
def test_of_two_folders_of_the_same_events_one_commits_and_the_other_starts_over(small, program):
    events = sample()
    append(small, events)

    def other():
        let_leases_end(small)
        append(small, [activity("person0@example.com", 900)])
        other_result.append(Folder(small, program).run())

    other_result = []
    result = Interrupted(small, program, other).run()

    assert result.conflicts > 0
    assert result.events + other_result[0].events == len(events) + 1
    assert checked(profiles(small, program)) == reckoned(small)
    assert members(small, "vip") == {f"person{n}@example.com" for n in (0, 2, 4)}


def test_a_conflict_in_one_partition_does_not_hold_up_the_others(small, program):
    append(small, sample(people=12))

    def disturb_one():
        small.client.set(small.parts[1].version, "somebody else's")

    result = Interrupted(small, program, disturb_one).run()

    assert result.conflicts == 1
    assert checked(profiles(small, program)) == reckoned(small)
    assert not any(small.client.exists(part.attempts) for part in small.parts)


def test_a_partition_that_another_folder_holds_is_left_to_it(small, program):
    append(small, sample(people=12))
    held = small.parts[2]
    small.client.set(held.fold_lease, "another")

    Folder(small, program).run()

    assert has_lag(small, program) == [False, False, True]
    small.client.delete(held.fold_lease)
    Folder(small, program).run()
    assert checked(profiles(small, program)) == reckoned(small)


def test_a_commit_that_ran_twice_because_its_reply_was_lost_counts_once(small, program):
    append(small, sample())

    result = Folder(RepeatingStore(small.client, small.partitions), program).run()

    assert result.conflicts == 0
    assert checked(profiles(small, program)) == reckoned(small)
    for part in small.parts:
        numbers = [int(score) for _, score in small.client.zrange(part.changed, 0, -1, withscores=True)]
        assert len(set(numbers)) == len(numbers), "each change has its own number, none was given twice"
        assert max(numbers, default=0) == int(small.client.get(part.sequence) or 0)


@pytest.mark.also_on_a_cluster
def test_a_folder_that_is_killed_between_any_two_writes_counts_everything_once(small, program):
    events = sample(people=4, opens=1)

    def prepared():
        small.client.flushall()
        append(small, events)

    prepared()
    clean = MortalStore(small, 10**9)
    Folder(clean, program).run()
    expected = profiles(small, program)
    for life in range(1, clean.steps + 1):
        prepared()
        with pytest.raises(Killed):
            Folder(MortalStore(small, life), program).run()
        let_leases_end(small)
        Folder(small, program).run()

        assert profiles(small, program) == expected, f"killed before step {life}"
        assert members(small, "vip") == {"person0@example.com", "person2@example.com"}
        assert not any(has_lag(small, program))


def test_what_is_appended_while_a_fold_runs_is_folded_or_rings_again(small, program):
    append(small, sample())
    rings = []

    def meanwhile():
        rings.append(append(small, [activity("person0@example.com", 900)]).rang)

    Interrupted(small, program, meanwhile).run()

    assert rings == [True]
    assert checked(profiles(small, program)) == reckoned(small)


def test_no_ring_is_lost_whenever_the_append_comes(small, program):
    """At every point of a fold: either that fold takes what is appended there, or the append rings."""

    class Appending(MortalStore):
        def script(self, source, keys, args):
            self.steps += 1
            if self.steps == self.life:
                self.rang = append(small, [activity("late@x.se", 5)]).rang
            return super(MortalStore, self).script(source, keys, args)

    for life in range(1, 60):
        small.client.flushall()
        append(small, [activity("person0@example.com", 1)])
        watching = Appending(small, life)
        Folder(watching, program).run()
        if watching.steps < life:
            break
        late_is_folded = "late@x.se" in profiles(small, program)
        assert late_is_folded or watching.rang, f"before step {life}"
    assert life > 5


@pytest.mark.also_on_a_cluster
def test_has_lag_says_it_for_each_partition_and_clears_nothing(small, program):
    append(small, [activity("ann@x.se", 1)])
    number = small.part("ann@x.se").number

    assert has_lag(small, program) == [n == number for n in range(3)]
    assert small.client.exists(small.parts[number].bell)


def test_streams_are_folded_in_the_order_in_which_their_entries_came(small, program, monkeypatch):
    monkeypatch.setattr(reading, "EVENTS_A_STEP", 2)
    append(small, [activity("ann@x.se", 1)])
    for minute in range(3):
        append(small, [moved("ann@x.se", minute)])

    [pending] = reading.next_entries(small, small.parts, program.streams, limit=10)

    assert {stream: len(found) for stream, found in pending.entries.items()} == {CM_ACTIVITY: 1, AUDIENCE: 1}


def test_a_step_takes_no_more_entries_and_events_than_allowed_but_always_one(small, program, monkeypatch):
    append(small, [activity("ann@x.se", n) for n in range(10)])
    for minute in range(20, 26):
        append(small, [activity("ann@x.se", minute)])

    def taken(entries, events):
        monkeypatch.setattr(reading, "EVENTS_A_STEP", events)
        [pending] = reading.next_entries(small, small.parts, program.streams, limit=entries)
        return pending.events

    assert [taken(32, 500), taken(3, 500), taken(32, 12), taken(32, 1)] == [16, 12, 12, 10]


def test_a_partition_of_many_people_takes_half_a_step(small, program, monkeypatch):
    monkeypatch.setattr(reading, "MANY_PEOPLE", 1)
    monkeypatch.setattr(reading, "EVENTS_A_STEP", 8)
    part = small.part("ann@x.se")
    for minute in range(10):
        append(small, [activity("ann@x.se", minute)])

    def taken():
        return reading.next_entries(small, [part], program.streams, limit=100)[0].events

    assert taken() == 8
    small.client.hset(part.profiles, mapping={"ann@x.se": b"1", "bob@x.se": b"2"})
    assert taken() == 4


def test_a_backlog_of_many_steps_is_folded_to_its_end(small, program, monkeypatch):
    monkeypatch.setattr(reading, "EVENTS_A_STEP", 5)
    for minute in range(60):
        append(small, [activity(f"p{minute % 7}@x.se", minute)])

    result = Folder(small, program).run()

    assert result.commits >= 12
    assert checked(profiles(small, program)) == reckoned(small)


def test_a_fold_ends_when_its_time_is_over_or_the_worker_stops(small, program):
    append(small, sample())

    assert Folder(small, program).run(seconds=0).events == 0
    assert Folder(small, program).run(stopping=lambda: True).events == 0
    assert any(has_lag(small, program))


def test_a_fold_works_the_same_in_memory(fake_store, program):
    append(fake_store, sample())

    Folder(fake_store, program).run()

    assert checked(profiles(fake_store, program)) == reckoned(fake_store)
