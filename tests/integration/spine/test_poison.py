import logging

import msgspec
import pytest
from polars.exceptions import PanicException
from spine_helpers import Killed, activity, let_leases_end, moved, profiles, sample, set_aside_in

from listbridge.aggregation import fold as fold_module
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.profiles.codec import Codec
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY


@pytest.fixture
def bad_event(small):
    """Puts lines that are no events into a person's stream, between two that are."""

    def put(key, *lines, stream=CM_ACTIVITY):
        good = [
            msgspec.json.encode({"_id": "00", "_time": 1, "_received": 1, "email": key, "event": "open"})
        ] * 2
        body = b"\n".join([good[0], *lines, good[1]])
        small.client.xadd(small.part(key).stream(stream), {"n": len(lines) + 2, "e": body})

    return put


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"{}",
        b"[1]",
        b'{"_time":1,"_received":1}',
        b'{"_time":"x","_received":1,"email":"ann@x.se"}',
        b'{"_received":1,"email":"ann@x.se"}',
        b'{"_time":1,"_received":1,"email":"ann@x.se","custom_fields":{"a":"b"}}',
        b'{"_time":1,"_received":1,"email":"\xff"}',
        b'{"_time":1,"_received":1,"email":"ann@x.se"',
    ],
)
def test_a_line_that_is_no_event_is_set_aside_and_its_neighbours_count(small, program, bad_event, line):
    bad_event("ann@x.se", line)
    append(small, sample())

    result = Folder(small, program).run()

    [(reason, raw)] = set_aside_in(small, CM_ACTIVITY)
    assert raw == line
    assert reason.startswith(b"the reduce failed: ")
    assert result.quarantined == 1
    assert profiles(small, program)["ann@x.se"][1]["cm_openct"] == 2
    assert len(profiles(small, program)) == 7
    assert not any(has_lag(small, program))


def test_bad_lines_of_several_streams_and_partitions_are_all_set_aside_in_one_fold(small, program, bad_event):
    keys = [f"p{n}@x.se" for n in range(9)]
    for key in keys:
        bad_event(key, b"bad 1", b"bad 2")
        bad_event(key, b"bad 3", stream=AUDIENCE)

    Folder(small, program).run()

    assert sorted(raw for _, raw in set_aside_in(small, CM_ACTIVITY)) == [b"bad 1"] * 9 + [b"bad 2"] * 9
    assert [raw for _, raw in set_aside_in(small, AUDIENCE)] == [b"bad 3"] * 9
    assert {fields["cm_openct"] for _, fields in profiles(small, program).values()} == {2}


def test_what_is_set_aside_is_not_in_the_log(small, program, bad_event, caplog):
    bad_event("ann@x.se", b'{"_time":"secret@x.se","_received":1,"email":"secret@x.se"}')

    with caplog.at_level(logging.INFO):
        Folder(small, program).run()

    assert caplog.records
    assert "@" not in caplog.text


@pytest.fixture
def reduce_that(monkeypatch):
    """Replaces the reduce by one that does something about each frame first."""

    def replace(act):
        real = fold_module.reduce_columns

        def reduce(frame, program, stream):
            act(frame)
            return real(frame, program, stream)

        monkeypatch.setattr(fold_module, "reduce_columns", reduce)

    return replace


def raising(error, key):
    def act(frame):
        if key in frame["_key"]:
            raise error

    return act


@pytest.mark.parametrize("error", [ValueError("no"), PanicException("no")])
def test_events_at_which_the_reduce_fails_are_set_aside_alone(small, program, reduce_that, error):
    append(small, [*sample(), activity("poison@x.se", 1), moved("poison@x.se", 1)])
    reduce_that(raising(error, "poison@x.se"))

    result = Folder(small, program).run()

    assert result.quarantined == 2
    assert "poison@x.se" not in profiles(small, program)
    assert len(profiles(small, program)) == 6


def test_want_of_memory_is_no_fault_of_the_events(small, program, reduce_that):
    append(small, sample())
    reduce_that(raising(MemoryError(), "person0@example.com"))

    with pytest.raises(MemoryError):
        Folder(small, program).run()

    assert set_aside_in(small, CM_ACTIVITY) == []


def lives(small, program, limit):
    """How many workers are killed one after another until one comes to the end of the work."""
    for killed in range(limit):
        try:
            Folder(small, program).run()
        except Killed:
            let_leases_end(small)
        else:
            return killed
    pytest.fail(f"{limit} workers were killed")


def test_an_entry_that_kills_every_worker_is_set_aside_after_a_few_and_no_other(small, program, reduce_that):
    for n in range(12):
        append(small, [activity(f"p{n}@x.se", minute) for minute in range(3)])
    append(small, [activity("poison@x.se", 1)])
    for n in range(12):
        append(small, [activity(f"p{n}@x.se", minute) for minute in range(3, 6)])
    reduce_that(raising(Killed(), "poison@x.se"))

    killed = lives(small, program, limit=20)

    assert killed <= 12
    assert [b"poison@x.se" in raw for _, raw in set_aside_in(small, CM_ACTIVITY)] == [True]
    assert {key: fields["cm_openct"] for key, (_, fields) in profiles(small, program).items()} == {
        f"p{n}@x.se": 6 for n in range(12)
    }
    assert not any(small.client.exists(part.attempts) for part in small.parts)


def test_the_other_partitions_go_on_while_one_kills_its_workers(small, program, reduce_that):
    append(small, [activity("poison@x.se", 1)])
    poisoned = small.part("poison@x.se").number
    reduce_that(raising(Killed(), "poison@x.se"))
    for _ in range(3):
        with pytest.raises(Killed):
            Folder(small, program).run()
        let_leases_end(small)

    append(small, sample(people=30))
    with pytest.raises(Killed):
        Folder(small, program).run()

    assert [lag for n, lag in enumerate(has_lag(small, program)) if n != poisoned] == [False, False]


def test_a_fault_that_passes_sets_nothing_aside(small, program, reduce_that):
    append(small, sample())
    left = iter(range(5))

    def act(frame):
        if next(left, None) is not None:
            raise Killed

    reduce_that(act)

    lives(small, program, limit=10)

    assert set_aside_in(small, CM_ACTIVITY) == set_aside_in(small, AUDIENCE) == []
    assert len(profiles(small, program)) == 6
    assert not any(small.client.exists(part.attempts) for part in small.parts)


def corrupt(store, key):
    part = store.part(key)
    packed = store.client.hget(part.profiles, key)
    store.client.hset(part.profiles, key, packed[:-1] + bytes([packed[-1] ^ 1]))


def test_a_profile_that_was_damaged_is_recomputed_when_its_person_does_something(small, program):
    events = [*sample(), activity("person1@example.com", 500, city="Malmö")]
    append(small, events)
    Folder(small, program).run()
    before = profiles(small, program)["person0@example.com"]

    corrupt(small, "person0@example.com")
    append(small, [activity("person0@example.com", 900, "click")])
    Folder(small, program).run()

    after = profiles(small, program)["person0@example.com"]
    assert after[1]["cm_openct"] == before[1]["cm_openct"]
    assert after[1]["cm_clickct"] == before[1]["cm_clickct"] + 1
    assert after[1]["audiences"] == {"vip": "enter"}


def test_a_damaged_profile_is_recomputed_from_a_long_stream_with_bad_lines_in_it(small, program, bad_event):
    for minute in range(120):
        append(small, [activity("ann@x.se", minute), activity("other@x.se", minute)])
    bad_event("ann@x.se", b"garbage", b'{"_time":"x","_received":1,"email":"ann@x.se"}')
    folder = Folder(small, program)
    folder.run()
    packed = small.client.hget(small.part("ann@x.se").profiles, "ann@x.se")

    profile = folder.recompute(small.part("ann@x.se"), "ann@x.se")

    assert profile == Codec(program).unpack(packed)
    assert profile.states[program.fields["cm_openct"].number] == 122


def test_what_is_not_folded_yet_is_not_in_a_recomputed_profile(small, program):
    folder = Folder(small, program)
    append(small, [activity("ann@x.se", 1)])
    folder.run()
    append(small, [activity("ann@x.se", 2)])

    profile = folder.recompute(small.part("ann@x.se"), "ann@x.se")

    assert profile.states[program.fields["cm_openct"].number] == 1
    assert folder.recompute(small.part("nobody@x.se"), "nobody@x.se").states == {}
