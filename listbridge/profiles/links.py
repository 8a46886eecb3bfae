"""Who is who: the people that addresses belong to, from the changes of address that are known. Pure.

All changes are taken minute by minute, so the answer is a function of their set:

- Whoever has the old address moves to the new one. If somebody is there, both are one person.
- The address that was left stays theirs, with its history, until in a later minute somebody subscribes
  there, or somebody else moves there: from then on the address and its history are that person's.
- A person's newest address is the one that they moved to last.

A change counts once both addresses tell it, so that from each of them the same people are seen. An
address that was linked with more than `MOST_LINKS` others stands for nobody, so its links don't
count; nor do those of people who would have more than `MOST_ADDRESSES`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from listbridge.aggregation import Program

MOVED_TO = "moved_to"
MOVED_FROM = "moved_from"
SUBSCRIBED_AT = "subscribed_at"
LINK_KEY = "link_key"
FIELDS = frozenset({MOVED_TO, MOVED_FROM, LINK_KEY, SUBSCRIBED_AT})
"""Profile fields that only say who is who."""

MOST_LINKS = 32
MOST_ADDRESSES = 100
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A change of address: its minute (epoch ms), when it was received (epoch ms), from where, to where."""

    minute: int
    received: int
    old: str
    new: str

    def is_told_by(self, node: Node) -> bool:
        """Does an address know of this change, be it at another time?"""
        return any((link.old, link.new) == (self.old, self.new) for link in node.links)


@dataclass(frozen=True, slots=True)
class Node:
    """What is known of one address: the changes from and to it, and when somebody subscribed there last."""

    links: tuple[Link, ...] = ()
    subscribed_at: int | None = None

    def others(self, key: str) -> set[str]:
        """The addresses that it is linked with; `key` is the node's own."""
        return {each for link in self.links for each in (link.old, link.new)} - {key}


def is_linked(program: Program, states: Mapping[int, Any]) -> bool:
    """Does a profile tell of a change of address?"""
    return any(_state(program, states, name) for name in (MOVED_TO, MOVED_FROM))


def node_of(program: Program, key: str, states: Mapping[int, Any]) -> Node:
    """What a profile tells of who is who."""
    found = [_link(held, key, other) for other, held in (_state(program, states, MOVED_TO) or {}).items()] + [
        _link(held, other, key) for other, held in (_state(program, states, MOVED_FROM) or {}).items()
    ]
    return Node(tuple(sorted(found)), _state(program, states, SUBSCRIBED_AT))


def _state(program: Program, states: Mapping[int, Any], name: str) -> Any:
    definition = program.fields.get(name)
    return None if definition is None else states.get(definition.number)


def _link(held: Sequence[Any], old: str, new: str) -> Link:
    at, received, _ = held
    return Link(_minute(at), received, old, new)


def around(key: str, read: Callable[[Sequence[str]], Mapping[str, Node]]) -> dict[str, Node]:
    """The addresses that links lead to from this one, itself included, each with the changes that count.

    `read` answers for some addresses, those of which nothing is known left out. Only the one itself comes
    back when links don't count, see above.
    """
    found: dict[str, Node] = {}
    hubs: set[str] = set()
    asked = [key]
    while asked:
        nodes = read(asked)
        for each in asked:
            node = nodes.get(each, Node())
            if len(node.others(each)) > MOST_LINKS:
                hubs.add(each)
            else:
                found[each] = node
        if key in hubs or len(found) > MOST_ADDRESSES:
            return {key: Node()}
        asked = sorted({o for e in asked if e in found for o in found[e].others(e)} - found.keys() - hubs)
    return _reached(key, {each: _told_by_both(node, found) for each, node in found.items()})


def _told_by_both(node: Node, nodes: Mapping[str, Node]) -> Node:
    """The node with those changes of which both addresses know: until then one of them isn't folded yet."""
    links = tuple(
        link
        for link in node.links
        if link.old in nodes
        and link.new in nodes
        and all(link.is_told_by(nodes[each]) for each in (link.old, link.new))
    )
    return Node(links, node.subscribed_at)


def _reached(key: str, nodes: Mapping[str, Node]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    waiting = [key]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = nodes[each]
            waiting += nodes[each].others(each)
    return found


def newest(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Address -> the newest address of the person whose it is. People are those with the same one."""
    people = _People()
    subscribed = [(node.subscribed_at, key) for key, node in nodes.items() if node.subscribed_at is not None]
    for minute, links, arrived in _minutes(_each_once(nodes), subscribed):
        for address in arrived:
            people.arrive(address, minute)
        if links:
            people.move(links, minute)
    return {key: people.newest(key) for key in nodes}


def _each_once(nodes: Mapping[str, Node]) -> list[Link]:
    """Each change once: both ends tell it, maybe received at two times, and of several tellings at one end
    the newest is kept."""
    latest: dict[tuple[str, str], Link] = {}
    for link in (link for node in nodes.values() for link in node.links):
        pair = link.old, link.new
        latest[pair] = max(latest.get(pair, link), link)
    return sorted(latest.values())


def _minutes(
    links: Iterable[Link], subscribed: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, list[Link], list[str]]]:
    """The changes and the subscribers of each minute, in order."""
    told: list[tuple[int, Link | str]] = [(link.minute, link) for link in links]
    told += [(_minute(at), address) for at, address in subscribed]
    for minute, group in groupby(sorted(told, key=lambda each: each[0]), key=lambda each: each[0]):
        found = [each for _, each in group]
        moved = [each for each in found if isinstance(each, Link)]
        yield minute, moved, sorted(each for each in found if isinstance(each, str))


@dataclass(slots=True)
class _People:
    """Who has which address so far. People are numbers, and become one where `parents` says so."""

    owners: dict[str, int] = field(default_factory=dict)
    parents: list[int] = field(default_factory=list)
    homes: dict[int, str] = field(default_factory=dict)
    """Person -> their newest address, of those who ever moved."""
    left_at: dict[str, int] = field(default_factory=dict)
    """Address that nobody is at -> the minute in which it was left."""

    def newest(self, address: str) -> str:
        return self.homes.get(self.owner(address), address)

    def owner(self, address: str) -> int:
        if address not in self.owners:
            self._give_to_new(address)
        return self._root(self.owners[address])

    def arrive(self, address: str, minute: int) -> None:
        """Somebody subscribed: at an address that was left before it is somebody else."""
        if self._is_free(address, minute):
            self._give_to_new(address)
            del self.left_at[address]

    def move(self, links: Sequence[Link], minute: int) -> None:
        """The changes of one minute, which nobody can tell the order of: those who pass through an address
        are one person."""
        leavers = {link.old: self.owner(link.old) for link in links}
        for address in {link.new for link in links}:
            if self._is_free(address, minute):
                self._give_to_new(address)
        for link in links:
            # An address that others come to in this minute is left by them.
            old = self.owner(link.old) if link.old in {each.new for each in links} else leavers[link.old]
            self._unite(old, self.owner(link.new))
        self._settle(links, minute)

    def _settle(self, links: Sequence[Link], minute: int) -> None:
        """Find where each of those who moved is now: where nobody goes on from, of several the last."""
        olds = {link.old for link in links}
        moved: dict[int, list[Link]] = defaultdict(list)
        for link in links:
            moved[self.owner(link.new)].append(link)
        for person, theirs in moved.items():
            last = max(theirs, key=lambda link: (link.new not in olds, link.received, link.new, link.old))
            self.homes[person] = last.new
            self.left_at |= {link.old: minute for link in theirs}
            self.left_at.pop(last.new, None)
            for link in theirs:
                if link.new not in olds:
                    self.left_at.pop(link.new, None)

    def _is_free(self, address: str, minute: int) -> bool:
        return address in self.left_at and self.left_at[address] < minute

    def _give_to_new(self, address: str) -> None:
        self.owners[address] = len(self.parents)
        self.parents.append(len(self.parents))

    def _root(self, person: int) -> int:
        while self.parents[person] != person:
            person = self.parents[person]
        return person

    def _unite(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        if one != other:
            self.parents[other] = one


def _minute(at: int) -> int:
    return at - at % MINUTE_MS
