import threading
import time

import pytest
import redis
from spine_helpers import START, Killed, MortalStore, RepeatingStore, activity, moved, sample, stored

from listbridge.streams.events import DAY_MS, Event, Unreadable
from listbridge.streams.log import MAX_ENTRY_EVENTS, append, duplicates_dropped, entries, quarantine, tail
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY


@pytest.mark.also_on_a_cluster
def test_an_event_is_accepted_once_inside_a_batch_and_across_batches(store):
    one, other = activity("ann@x.se", 1), activity("ann@x.se", 2)

    first = append(store, [one, one, other])
    second = append(store, [other, activity("ann@x.se", 3), one])

    assert (first.accepted, first.duplicates) == (2, 1)
    assert (second.accepted, second.duplicates) == (1, 2)
    assert sorted(event["_time"] for event in stored(store, CM_ACTIVITY)) == [
        START + n * 60_000 for n in (1, 2, 3)
    ]
    assert duplicates_dropped(store) == 3


def test_appending_nothing_is_nothing(store):
    counts = append(store, [])

    assert (counts.accepted, counts.duplicates, counts.rang) == (0, 0, False)


def test_the_first_telling_of_an_event_is_the_one_that_is_kept(store):
    append(store, [activity("ann@x.se", 1, city="Malmö")], received=1000)
    append(store, [activity("ann@x.se", 1, city="Lund")], received=2000)

    [event] = stored(store, CM_ACTIVITY)
    assert (event["city"], event["_received"]) == ("Malmö", 1000)


def test_the_same_identity_in_two_streams_is_two_events(store):
    twins = [Event(stream, "ann@x.se", START, ("same",), {"email": "ann@x.se"}) for stream in
             (CM_ACTIVITY, AUDIENCE)]  # fmt: skip

    assert append(store, twins).accepted == 2


def test_events_of_one_person_are_in_one_partition_and_lie_in_the_order_in_which_they_came(store):
    append(store, [activity("ann@x.se", 2)])
    append(store, [activity("ann@x.se", 1)])

    part = store.part("ann@x.se")
    found = entries(store.client.xrange(part.stream(CM_ACTIVITY)))
    assert [n for _, n, _ in found] == [1, 1]
    assert [event["_time"] for event in stored(store, CM_ACTIVITY)] == [START + 120_000, START + 60_000]


def test_a_large_batch_makes_entries_that_a_commit_can_hold(small):
    events = [activity("ann@x.se", 1, ordinal=n) for n in range(2 * MAX_ENTRY_EVENTS + 1)]

    assert append(small, events).accepted == len(events)
    found = entries(small.client.xrange(small.part("ann@x.se").stream(CM_ACTIVITY)))
    assert [n for _, n, _ in found] == [MAX_ENTRY_EVENTS, MAX_ENTRY_EVENTS, 1]
    assert append(small, events).accepted == 0


def test_events_of_many_days_are_one_entry(small):
    events = [activity("ann@x.se", day * 24 * 60) for day in range(300)]

    assert append(small, events).accepted == 300
    assert small.client.xlen(small.part("ann@x.se").stream(CM_ACTIVITY)) == 1
    assert append(small, reversed(events)).duplicates == 300


def test_an_event_whose_time_moved_with_the_zone_is_still_the_same(store):
    def told(hours):
        at = START + hours * 3_600_000
        return Event(CM_ACTIVITY, "ann@x.se", at, ("open", "2015-09-17 21:25"), {}, day=START // DAY_MS)

    assert append(store, [told(0)]).accepted == 1
    assert append(store, [told(11)]).duplicates == 1


@pytest.mark.also_on_a_cluster
def test_a_call_that_was_killed_anywhere_is_repeated_without_a_gap_or_a_double(small):
    events = sample()
    clean = MortalStore(small, 10**9)
    append(clean, events)
    for life in range(1, clean.steps + 1):
        small.client.flushall()
        with pytest.raises(Killed):
            append(MortalStore(small, life), events)
        half = append(small, events)

        ids = [event["_id"] for stream in (CM_ACTIVITY, AUDIENCE) for event in stored(small, stream)]
        assert sorted(ids) == sorted(event.id.hex() for event in events)
        assert half.accepted + half.duplicates == len(events)


@pytest.mark.also_on_a_cluster
def test_a_script_that_ran_twice_because_its_reply_was_lost_writes_once(small):
    events = sample()

    append(RepeatingStore(small.client, small.partitions), events)

    assert len(stored(small, CM_ACTIVITY)) + len(stored(small, AUDIENCE)) == len(events)


@pytest.mark.also_on_a_cluster
def test_the_same_events_from_several_threads_at_once_are_accepted_once(store):
    events, accepted = sample(people=20), []
    threads = [
        threading.Thread(target=lambda: accepted.append(append(store, events).accepted)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(accepted) == len(events)
    assert len(stored(store, CM_ACTIVITY)) + len(stored(store, AUDIENCE)) == len(events)


@pytest.mark.also_on_a_cluster
def test_a_store_that_cannot_be_written_is_the_callers_to_see(store):
    for server in store.servers:
        server.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.RedisError):
            append(store, sample())
    finally:
        for server in store.servers:
            server.config_set("maxmemory", 0)

    assert append(store, sample()).duplicates == 0


def test_a_bell_rings_once_for_a_burst_and_again_after_it_was_cleared(store):
    assert append(store, [activity("ann@x.se", 1)]).rang
    assert not append(store, [activity("ann@x.se", 2)]).rang
    store.client.delete(store.part("ann@x.se").bell)
    assert not append(store, [activity("ann@x.se", 2)]).rang, "a duplicate is no work"
    assert append(store, [activity("ann@x.se", 3)]).rang


def test_what_is_set_aside_rings_no_bell(small):
    quarantine(small, [Unreadable(CM_ACTIVITY, b"%d" % n, "unreadable") for n in range(20)])

    assert [small.client.exists(part.bell) for part in small.parts] == [0, 0, 0]


def test_a_value_of_the_wrong_type_is_kept_beside_the_event_and_reads_as_missing(store):
    append(store, [activity("ann@x.se", 1, city=7, latitude="north", unheard="of", name=None, region="")])

    [event] = stored(store, CM_ACTIVITY)
    bad = {pair["k"]: pair["v"] for pair in event["_bad"]}
    assert bad == {"city": "7", "latitude": "'north'", "unheard": "'of'"}
    assert event.keys() == {"_id", "_time", "_received", "email", "event", "campaign_id", "_bad"}


@pytest.mark.also_on_a_cluster
def test_equal_content_is_set_aside_once_a_day(store):
    now = 20_000 * DAY_MS
    bad = Unreadable(CM_ACTIVITY, b"{]", "not JSON")

    first = quarantine(store, [bad, bad], received=now)
    again = quarantine(store, [bad], received=now + 1000)
    tomorrow = quarantine(store, [bad], received=now + DAY_MS)

    assert [(c.quarantined, c.duplicates) for c in (first, again, tomorrow)] == [(1, 1), (0, 1), (1, 0)]
    assert [line for _, line in tail(store, "quarantine", CM_ACTIVITY, 5)] == [
        b"%d\tnot JSON\t{]" % now,
        b"%d\tnot JSON\t{]" % (now + DAY_MS),
    ]


def test_what_is_set_aside_keeps_its_line_ends_and_tabs(store):
    raw = b'{\n\t"Events": 7\n}\xff'

    quarantine(store, [Unreadable(CM_ACTIVITY, raw, "two\nlines\tand a tab \ud800")], received=5)

    [(_, line)] = tail(store, "quarantine", CM_ACTIVITY, 5)
    assert line.split(b"\t", 2) == [b"5", b"two lines and a tab ?", raw]


def test_the_tail_of_a_stream_is_its_newest_events(store):
    for minute in range(6):
        append(store, [activity(f"p{minute}@x.se", minute)])
        time.sleep(0.002)  # entries of one millisecond in different partitions have no order

    newest = [line for _, line in tail(store, "stream", CM_ACTIVITY, 3)]
    assert [b"p%d@x.se" % n in line for n, line in zip((3, 4, 5), newest, strict=True)] == [True] * 3


def test_two_audiences_that_a_person_enters_in_one_moment_are_two_events(store):
    counts = append(store, [moved("ann@x.se", 1), moved("ann@x.se", 1, audience="new")])

    assert counts.accepted == 2
