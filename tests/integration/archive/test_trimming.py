import pytest
from archive_helpers import activity, exported_ids, ids, some

from listbridge.aggregation.fold import Folder
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.trimming import held, hold, release, trim
from listbridge.mappings.active import Unchanging
from listbridge.profiles.reading import profile_of
from listbridge.store import keys
from listbridge.store.store import Store, StoreError, now_ms
from listbridge.streams.capacity import StreamFullError
from listbridge.streams.events import Unreadable
from listbridge.streams.log import append, events_in, quarantine, tail, totals
from listbridge.streams.schemas import CM_ACTIVITY

KEY = "person0@x.se"


def lengths(store):
    return [store.client.xlen(part.stream(CM_ACTIVITY)) for part in store.parts]


def held_events(store):
    return sum(each.held for each in totals(store, CM_ACTIVITY))


def test_what_is_archived_and_folded_is_trimmed(archive, shipped_program):
    store = archive.store
    append(store, some(30))
    Folder(store, shipped_program).run()

    assert run_pass(archive, shipped_program.streams).trimmed == 30
    assert lengths(store) == [0, 0]
    assert (events_in(store, CM_ACTIVITY), held_events(store)) == (30, 0)


def test_what_is_not_folded_yet_is_archived_and_kept(archive, shipped_program):
    store = archive.store
    append(store, some(10))
    Folder(store, shipped_program).run()
    append(store, some(20, start=10))

    result = run_pass(archive, shipped_program.streams)

    assert (result.events, result.trimmed, held_events(store)) == (30, 10, 20)
    assert Folder(store, shipped_program).run().events == 20
    assert run_pass(archive, shipped_program.streams).trimmed == 20


def test_what_is_not_archived_yet_is_kept(archive, shipped_program):
    append(archive.store, some(10))
    Folder(archive.store, shipped_program).run()

    assert [trim(archive.store, part, CM_ACTIVITY, folded=True) for part in archive.store.parts] == [0, 0]
    assert held_events(archive.store) == 10


def test_a_stream_that_nothing_folds_is_trimmed_once_it_is_archived(archive):
    append(archive.store, some(10))

    assert run_pass(archive, ()).trimmed == 10


def test_a_held_partition_is_not_trimmed_until_everybody_has_let_go(archive):
    store = archive.store
    part = store.part(KEY)
    append(store, [activity(KEY)])
    hold(store, part, "rebuild", 60)
    hold(store, part, "export", 60)

    assert run_pass(archive, ()).trimmed == 0
    release(store, part, "rebuild")
    assert run_pass(archive, ()).trimmed == 0
    release(store, part, "export")
    assert run_pass(archive, ()).trimmed == 1


def test_a_hold_ends_by_itself(archive):
    store = archive.store
    part = store.part(KEY)
    append(store, [activity(KEY)])
    hold(store, part, "somebody who died", 0.001)
    hold(store, part, "somebody else", 60)
    release(store, part, "somebody else")

    assert 0 <= store.client.pttl(part.hold) <= 60_000 or not store.client.exists(part.hold)
    assert run_pass(archive, ()).trimmed == 1


def test_a_hold_lasts_as_long_as_its_block_and_goes_with_it(archive):
    part = archive.store.part(KEY)
    with held(archive.store, part):
        assert archive.store.client.zcard(part.hold) == 1
    assert not archive.store.client.exists(part.hold)


def test_appending_goes_on_after_everything_was_trimmed(archive, shipped_program):
    store = archive.store
    for start in (0, 10, 20):
        append(store, some(10, start=start))
        assert append(store, some(10, start=start)).duplicates == 10
        Folder(store, shipped_program).run()
        run_pass(archive, shipped_program.streams)

    assert (events_in(store, CM_ACTIVITY), held_events(store)) == (30, 0)
    assert exported_ids(archive) == ids(some(30))
    person = profile_of(store, Unchanging(shipped_program), KEY)
    assert person["fields"]["cm_openct"] == 6


@pytest.fixture
def narrow(store):
    """A store of one partition that holds 10 events at most."""
    return Store(store.client, 1, stream_limit_events=10)


def test_the_streams_take_no_more_than_their_limit(narrow, archive, tmp_path):
    append(narrow, some(8))

    with pytest.raises(StreamFullError, match=r"holds 8 events .* is 10: the fold"):
        append(narrow, some(3, start=8))
    assert append(narrow, some(8)).duplicates == 8, "what is there already is no more"
    assert append(narrow, some(2, start=8)).accepted == 2
    run_pass(Archive(narrow, archive.storage), ())
    assert append(narrow, some(3, start=20)).accepted == 3


def test_the_limit_is_over_all_streams(narrow):
    append(narrow, some(9))
    other = activity(KEY, 99)
    with pytest.raises(StreamFullError):
        append(narrow, [type(other)("cm_user", KEY, 1, (n,), {"email": KEY}) for n in range(2)])


def test_a_full_stream_says_why_the_archive_fails(narrow):
    narrow.client.hset(keys.ARCHIVE, "error", "no space left")
    append(narrow, some(10))

    with pytest.raises(StreamFullError, match="the archive can't be written: no space left"):
        append(narrow, some(1, start=10))


def test_what_is_set_aside_has_no_limit(narrow):
    append(narrow, some(10))

    assert quarantine(narrow, [Unreadable(CM_ACTIVITY, b"x", "why")]).quarantined == 1
    assert [line.endswith(b"x") for _, line in tail(narrow, "quarantine", CM_ACTIVITY, 5)] == [True]


def test_an_append_larger_than_the_limit_is_taken_when_nothing_waits(store):
    tiny = Store(store.client, 1, stream_limit_events=1)

    assert append(tiny, some(5)).accepted == 5


def damage(store, key):
    part = store.part(key)
    store.client.hset(part.profiles, key, b"garbage")


def test_a_damaged_profile_is_made_anew_from_archive_and_stream(archive, shipped_program):
    store = archive.store
    append(store, some(20))
    Folder(store, shipped_program).run()
    run_pass(archive, shipped_program.streams)
    append(store, some(20, start=20))
    Folder(store, shipped_program).run()
    before = profile_of(store, Unchanging(shipped_program), KEY)
    damage(store, KEY)

    assert before["fields"]["cm_openct"] == 8
    assert profile_of(store, Unchanging(shipped_program), KEY, history=archive) == before
    append(store, [activity(KEY, 40)])
    Folder(store, shipped_program, archive).run()
    assert profile_of(store, Unchanging(shipped_program), KEY)["fields"]["cm_openct"] == 9


def test_what_is_archived_and_not_folded_is_not_in_a_profile_made_anew(archive, shipped_program):
    store = archive.store
    append(store, some(10))
    Folder(store, shipped_program).run()
    before = profile_of(store, Unchanging(shipped_program), KEY)
    append(store, some(10, start=10))
    run_pass(archive, shipped_program.streams)
    damage(store, KEY)

    assert profile_of(store, Unchanging(shipped_program), KEY, history=archive) == before
    Folder(store, shipped_program, archive).run()
    assert profile_of(store, Unchanging(shipped_program), KEY)["fields"]["cm_openct"] == 4


def test_nobody_makes_a_profile_from_the_rest_of_a_trimmed_stream(archive, shipped_program):
    append(archive.store, some(10))
    Folder(archive.store, shipped_program).run()
    run_pass(archive, shipped_program.streams)
    damage(archive.store, KEY)

    with pytest.raises(StoreError, match="are in the archive only"):
        profile_of(archive.store, Unchanging(shipped_program), KEY)


def test_the_newest_events_are_shown_after_trimming(archive, shipped_program):
    now = now_ms()
    for number in range(12):
        append(archive.store, [activity(f"person{number}@x.se", number)], received=now + number)
        if number in (3, 6, 9):
            run_pass(archive, ())

    lines, unreadable = archive.newest(CM_ACTIVITY, 6)

    assert unreadable == []
    assert [
        f'"email":"person{number}@x.se"'.encode() in line
        for number, line in zip(range(6, 12), lines, strict=False)
    ] == [True] * 6
    assert len(archive.newest(CM_ACTIVITY, 50)[0]) == 12
