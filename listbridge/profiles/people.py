"""A person as all their addresses together: the profiles that links lead to, merged when they are read.

Nothing is moved or written: each event stays counted in the profile of the address that it came with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from listbridge.aggregation import Program, merge_into
from listbridge.mappings.active import Programs
from listbridge.profiles.codec import Codec, CorruptProfile, NewerProfile, Profile
from listbridge.profiles.links import Node, around, is_linked, newest, node_of
from listbridge.profiles.membership import FIELD, held_of, joined
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

Recompute = Callable[[Program, PartitionKeys, str], Profile]
"""Makes a profile anew whose stored form is damaged; it may raise."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A person: the newest of their addresses, the others sorted, and the profiles that there are.

    `relatives` are the newest addresses of other people whom links lead to, and `fingerprint` is one of all
    who is who that was looked at; empty where there are no links.
    """

    key: str
    others: tuple[str, ...]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    relatives: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.others)


def unpacked(programs: Programs, packed: bytes) -> tuple[Program, Profile]:
    """A stored profile, and the program that it is to be seen by: one as new as what wrote it.

    Raises `CorruptProfile`.
    """
    program = programs.current()
    try:
        return program, Codec(program).unpack(packed)
    except NewerProfile:
        program = programs.current(renew=True)
        return program, Codec(program).unpack(packed)


def whole(
    store: Store, programs: Programs, key: str, program: Program, profile: Profile, recompute: Recompute
) -> tuple[Program, Whole]:
    """The person with an address whose `profile` was read by `program`, and the program to see them by.

    Raises what `recompute` does when the profile of another of their addresses is damaged.
    """
    if not is_linked(program, profile.states):
        return program, Whole(key, (), {key: profile})
    profiles = {key: profile}

    def read(keys: Sequence[str]) -> dict[str, Node]:
        nonlocal program
        asked = [each for each in keys if each not in profiles]
        for each, packed in read_several(store, asked).items():
            try:
                seen_by, profiles[each] = unpacked(programs, packed)
            except CorruptProfile:
                seen_by = programs.current()
                profiles[each] = recompute(seen_by, store.part(each), each)
            program = max(program, seen_by, key=lambda one: one.version)
        return {each: node_of(program, each, profiles[each].states) for each in keys if each in profiles}

    nodes = around(key, read)
    homes = newest(nodes)
    home = homes[key]
    theirs = sorted(each for each, place in homes.items() if place == home)
    others = tuple(each for each in theirs if each != home)
    relatives = tuple(sorted({*homes.values()} - {home}))
    known = {each: profiles[each] for each in theirs if each in profiles}
    return program, Whole(home, others, known, relatives, _fingerprint(nodes, homes))


def _fingerprint(nodes: Mapping[str, Node], homes: Mapping[str, str]) -> str:
    links = sorted({link for node in nodes.values() for link in node.links})
    return hashlib.blake2b(repr((links, sorted(homes.items()))).encode(), digest_size=8).hexdigest()


def newest_address(store: Store, programs: Programs, key: str) -> str:
    """The newest address of the person with this one; itself while a profile on the way is damaged."""
    try:
        for packed in read_several(store, [key]).values():
            program, profile = unpacked(programs, packed)
            return whole(store, programs, key, program, profile, not_now)[1].key
    except CorruptProfile:
        pass  # the next fold makes it anew
    return key


def not_now(_program: Program, _part: PartitionKeys, _key: str) -> Profile:
    """Leaves a damaged profile to the next fold. Raises `CorruptProfile`."""
    raise CorruptProfile


def read_several(store: Store, keys: Sequence[str]) -> dict[str, bytes]:
    """The packed profiles of those of these keys that have one."""
    pipe = store.client.pipeline(transaction=False)
    for key in keys:
        pipe.hget(store.part(key).profiles, key)
    found = pipe.execute() if keys else []
    return {key: packed for key, packed in zip(keys, found, strict=True) if packed is not None}


def together(program: Program, person: Whole) -> Profile:
    """All that is known of a person, under their newest address."""
    if not person.others:
        return person.profiles.get(person.key, Profile())
    merged = Profile()
    for profile in person.profiles.values():
        merge_into(program, merged.states, profile.states)
        merged.updated_at = max(merged.updated_at, profile.updated_at)
    audiences = joined(held_of(program, profile.states) for profile in person.profiles.values())
    if audiences:
        merged.states[program.fields[FIELD].number] = audiences
    for name, value in (("email", person.key), ("email_domain", person.key.split("@", 1)[-1])):
        definition = program.fields.get(name)
        if definition is not None and definition.number in merged.states and definition.operation.timed:
            merged.states[definition.number] = [merged.updated_at, 0, value]
    return merged
