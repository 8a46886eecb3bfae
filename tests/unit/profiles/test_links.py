"""Who is who: from the changes of address that are known to the people whose the addresses are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.profiles.links import (
    MINUTE_MS,
    MOST_ADDRESSES,
    MOST_LINKS,
    Link,
    Node,
    around,
    newest,
    node_of,
)

ADDRESSES = "abcdef"


def told(*changes, subscribed=()):
    """What both ends of each change tell: `("a", "b", 3)` is from a to b in minute 3, `("a", 5)` among the
    subscribed that somebody subscribed at a in minute 5."""
    links = [
        Link(change[2] * MINUTE_MS, change[3] if len(change) > 3 else 0, change[0], change[1])
        for change in changes
    ]
    arrived = {address: minute * MINUTE_MS for address, minute in subscribed}
    keys = {key for link in links for key in (link.old, link.new)} | arrived.keys()
    return {
        key: Node(tuple(link for link in links if key in (link.old, link.new)), arrived.get(key))
        for key in keys
    }


def people(nodes):
    """The people as sorted text, newest address first: `cab` is somebody at c who was at a and b."""
    found = newest(nodes)
    return sorted(
        home + "".join(sorted(each for each in found if found[each] == home and each != home))
        for home in set(found.values())
    )


@pytest.mark.parametrize(
    ("changes", "subscribed", "expected"),
    [
        ([("a", "b", 1)], [], ["ba"]),
        ([("a", "b", 1), ("b", "c", 2)], [], ["cab"]),
        ([("a", "b", 1), ("b", "c", 1)], [], ["cab"]),
        ([("b", "c", 1), ("a", "b", 1)], [], ["cab"]),
        ([("a", "b", 1), ("b", "a", 2)], [], ["ab"]),
        ([("a", "b", 1), ("b", "a", 2), ("a", "b", 3)], [], ["ba"]),
        ([("a", "b", 1), ("b", "c", 2), ("c", "a", 3)], [], ["abc"]),
        ([("a", "b", 1, 10), ("b", "a", 1, 20)], [], ["ab"]),
        ([("a", "b", 1, 20), ("b", "a", 1, 10)], [], ["ba"]),
        # Two who become one: both are at c.
        ([("a", "c", 1), ("b", "c", 2)], [], ["cab"]),
        # Told again by another list, later.
        ([("a", "b", 1), ("a", "b", 9)], [], ["ba"]),
        # Somebody subscribes at the old address: not in the same minute, not before, not at the new one.
        ([("a", "b", 1)], [("a", 1)], ["ba"]),
        ([("a", "b", 2)], [("a", 1)], ["ba"]),
        ([("a", "b", 1)], [("b", 5)], ["ba"]),
        ([("a", "b", 1)], [("a", 2)], ["a", "b"]),
        # Back at the old address, they subscribe there themselves.
        ([("a", "b", 1), ("b", "a", 2)], [("a", 3)], ["ab"]),
        # Somebody else takes the address in the middle of a chain: who was there before stays one.
        ([("a", "b", 1), ("b", "c", 2)], [("b", 3)], ["b", "ca"]),
        # Whoever took it moves on: with the history that they have there.
        ([("a", "b", 1), ("a", "d", 5)], [("a", 3)], ["b", "da"]),
        # Somebody else moves to an address that was left.
        ([("a", "b", 1), ("d", "a", 5)], [], ["ad", "b"]),
        ([("a", "b", 1), ("d", "a", 1)], [], ["bad"]),
        # Two who swap by way of a third address: what is known of an address goes with it.
        ([("a", "x", 1), ("b", "a", 2), ("x", "b", 3)], [], ["a", "bx"]),
        # Two lists are told of two new addresses: the last counts.
        ([("a", "b", 1), ("a", "c", 2)], [], ["cab"]),
        ([("a", "c", 2), ("a", "b", 1)], [], ["cab"]),
    ],
)
def test_who_is_who(changes, subscribed, expected):
    assert people(told(*changes, subscribed=subscribed)) == expected


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.integers(0, 5), st.integers(0, 3)
    ).filter(lambda change: change[0] != change[1]),
    max_size=9,
)
SUBSCRIBED = st.dictionaries(st.sampled_from(ADDRESSES), st.integers(0, 5), max_size=4).map(
    lambda found: tuple(found.items())
)


@given(CHANGES, SUBSCRIBED, st.randoms())
def test_who_is_who_is_a_function_of_the_set_of_events(changes, subscribed, random):
    expected = newest(told(*changes, subscribed=subscribed))

    again = changes + changes[: len(changes) // 2]
    random.shuffle(again)
    nodes = list(told(*again, subscribed=subscribed).items())
    random.shuffle(nodes)

    assert newest(dict(nodes)) == expected


@given(CHANGES, SUBSCRIBED)
def test_a_person_s_newest_address_is_theirs(changes, subscribed):
    found = newest(told(*changes, subscribed=subscribed))

    assert all(found[home] == home for home in found.values())


@given(CHANGES)
def test_only_links_make_people_one(changes):
    nodes = told(*changes)
    found = newest(nodes)

    for one in nodes:
        for other in nodes:
            if found[one] == found[other]:
                assert other in around(one, lambda keys: {key: nodes[key] for key in keys})


@given(CHANGES)
def test_a_chain_without_returns_is_one_person_at_its_end(changes):
    addresses = list(dict.fromkeys(change[0] for change in changes))
    chain = [(old, new, minute, 0) for minute, (old, new) in enumerate(pairwise(addresses))]
    found = newest(told(*reversed(chain)))

    assert set(found.values()) == ({addresses[-1]} if chain else set())


@given(CHANGES, SUBSCRIBED)
def test_from_each_address_the_same_people_are_found(changes, subscribed):
    nodes = told(*changes, subscribed=subscribed)
    whole = newest(nodes)

    for key in nodes:
        reached = around(key, lambda keys: {each: nodes[each] for each in keys if each in nodes})
        assert newest(reached) == {each: whole[each] for each in reached}


def test_a_change_counts_once_both_addresses_tell_it():
    whole = told(("a", "b", 1), ("b", "c", 2))
    for blind in "abc":
        nodes = whole | {blind: Node()}
        found = {
            key: newest(around(key, lambda keys, nodes=nodes: {each: nodes[each] for each in keys}))
            for key in whole
        }
        assert found[blind] == {blind: blind}
        assert all(blind not in found[key] for key in whole if key != blind)


def test_an_address_that_stands_for_many_stands_for_nobody():
    many = [(f"p{n}", "none", 1) for n in range(MOST_LINKS + 1)]
    nodes = told(*many, ("p0", "q", 2))
    read = lambda keys: {key: nodes[key] for key in keys}  # noqa: E731

    assert around("none", read) == {"none": Node()}
    assert around("p1", read).keys() == {"p1"}
    assert newest(around("p1", read)) == {"p1": "p1"}
    assert newest(around("p0", read)) == {"p0": "q", "q": "q"}


def test_a_chain_that_is_too_long_to_be_a_person_links_nobody():
    chain = [(f"p{n}", f"p{n + 1}", n) for n in range(MOST_ADDRESSES)]
    nodes = told(*chain)
    read = lambda keys: {key: nodes[key] for key in keys}  # noqa: E731

    assert {newest(around(key, read))[key] for key in nodes} == set(nodes)
    shorter = told(*chain[1:])
    assert set(newest(around("p50", lambda keys: {key: shorter[key] for key in keys})).values()) == {
        f"p{MOST_ADDRESSES}"
    }


def test_a_profile_tells_its_links(shipped_program):
    numbers = {name: shipped_program.fields[name].number for name in shipped_program.fields}
    states = {
        numbers["moved_to"]: {"b": [5 * MINUTE_MS + 7, 90, "list"]},
        numbers["moved_from"]: {"z": [1 * MINUTE_MS, 10, "list"]},
        numbers["subscribed_at"]: 77,
    }

    assert node_of(shipped_program, "a", states) == Node(
        (Link(MINUTE_MS, 10, "z", "a"), Link(5 * MINUTE_MS, 90, "a", "b")), 77
    )
