"""Whose row an address is, and who waits for it."""

from listbridge.exports.claims import owners, set_free, take, wait_for
from listbridge.exports.delivered import Refused, pack

LIST = "l1"
ADDRESSES = [f"m{number}@work.example" for number in range(40)]


def refused(store, *people):
    for key in people:
        store.client.hset(store.part(key).refused(LIST), key, pack(Refused(1, "duplicate_address", "", "")))


def due(store, key):
    return store.client.zscore(store.part(key).retry(LIST), key)


def test_who_comes_first_has_an_address_and_keeps_it(store):
    assert take(store, LIST, [(ADDRESSES[0], "ann"), (ADDRESSES[0], "bob")]) == ["ann", "ann"]
    assert take(store, LIST, [(ADDRESSES[0], "bob"), (ADDRESSES[1], "bob")]) == ["ann", "bob"]
    assert owners(store, LIST, ADDRESSES[:3]) == {ADDRESSES[0]: "ann", ADDRESSES[1]: "bob"}


def test_addresses_of_all_partitions_are_answered_in_the_order_asked(store):
    wanted = [(address, f"p{number % 7}") for number, address in enumerate(ADDRESSES)]
    assert take(store, LIST, wanted) == [key for _, key in wanted]
    assert take(store, LIST, wanted[::-1]) == [key for _, key in wanted[::-1]]
    assert take(store, LIST, []) == []


def test_an_address_passes_from_the_one_who_is_named_and_from_nobody_else(store):
    take(store, LIST, [(ADDRESSES[0], "ann")])
    assert take(store, LIST, [(ADDRESSES[0], "bob")], before={ADDRESSES[0]: "cat"}) == ["ann"]
    assert take(store, LIST, [(ADDRESSES[0], "bob")], before={ADDRESSES[0]: "ann"}) == ["bob"]
    assert take(store, LIST, [(ADDRESSES[0], "bob")], before={ADDRESSES[0]: "ann"}) == ["bob"]


def test_claims_are_those_of_one_list(store):
    take(store, LIST, [(ADDRESSES[0], "ann")])
    assert take(store, "l2", [(ADDRESSES[0], "bob")]) == ["bob"]


def test_who_waits_for_an_address_is_tried_again_when_it_is_free(store):
    refused(store, "ann", "bob", "cat")
    longer = ADDRESSES[0] + "r"
    for address, key in ((ADDRESSES[0], "ann"), (ADDRESSES[0], "bob"), (longer, "cat")):
        wait_for(store, LIST, address, key)

    set_free(store, LIST, [ADDRESSES[0]], 5)

    assert [due(store, key) for key in ("ann", "bob", "cat")] == [5, 5, None]
    set_free(store, LIST, [ADDRESSES[0]], 3)
    assert due(store, "ann") == 5


def test_who_is_not_refused_any_more_waits_for_nothing(store):
    wait_for(store, LIST, ADDRESSES[0], "ann")
    set_free(store, LIST, [ADDRESSES[0]], 5)
    assert due(store, "ann") is None
