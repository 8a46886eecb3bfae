"""Who was erased does not come back by what happened before."""

from listbridge.streams.events import Event
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY
from listbridge.streams.tombstones import bury, digest, erased_at, gone, hash_key

AT = 1_793_491_200_000
MINUTE = 60_000


def opened(key, at=AT, number=0):
    return Event(CM_ACTIVITY, key, at, ("open", key, at, number), {"email": key, "event": "open"})


def test_an_earlier_event_of_an_erased_person_is_dropped_and_a_later_one_is_taken(store):
    bury(store, "ada@x.se", AT)
    counts = append(store, [opened("ada@x.se"), opened("ada@x.se", AT + MINUTE), opened("bo@x.se")])
    assert (counts.accepted, counts.duplicates, counts.erased) == (2, 0, 1)


def test_a_process_that_knew_of_no_erasure_asks_and_counts_each_event_once(store):
    people = [f"person{n}@x.se" for n in range(60)]
    append(store, [opened(key) for key in people])
    bury(store, people[7], AT + MINUTE)
    again = [opened(key, AT, 1) for key in people] + [opened(key) for key in people[:3]]
    counts = append(store, again)
    assert (counts.accepted, counts.duplicates, counts.erased) == (59, 3, 1)
    assert store.erasure_key is not None
    counts = append(store, again)
    assert (counts.accepted, counts.duplicates, counts.erased) == (0, 62, 1)


def test_a_bell_rung_in_the_first_try_is_told(store):
    bury(store, "ada@x.se", AT)
    assert append(store, [opened(f"person{n}@x.se") for n in range(60)]).rang


def test_a_later_erasure_is_not_taken_back_by_an_earlier_one(store):
    bury(store, "ada@x.se", AT + MINUTE)
    bury(store, "ada@x.se", AT)
    assert erased_at(store, ["ada@x.se", "bo@x.se"]) == {"ada@x.se": AT + MINUTE}


def test_somebody_erased_is_gone_until_they_have_a_profile_again(store):
    bury(store, "ada@x.se", AT)
    assert gone(store, ["ada@x.se", "bo@x.se"]) == {"ada@x.se"}
    store.client.hset(store.part("ada@x.se").profiles, "ada@x.se", b"packed")
    assert gone(store, ["ada@x.se"]) == set()
    assert gone(store, []) == set()


def test_the_hash_of_a_person_differs_between_stores(store):
    key = hash_key(store)
    assert hash_key(store) == key
    assert digest(key, "ada@x.se") != digest(bytes(32), "ada@x.se")
