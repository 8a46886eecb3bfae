"""Which audiences a person is in, from the state of the field `audiences`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from listbridge.aggregation import Program

FIELD = "audiences"
ENTER = "enter"
EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Membership:
    """When a person entered an audience, as the event says and as it was received (epoch ms)."""

    entered_at: int
    received_at: int


Held = Mapping[str, Sequence[Any]]
"""Audience -> (event time, time received, event) of its latest event."""


def held_of(program: Program, states: Mapping[int, Any]) -> Held:
    found: Held = states.get(program.fields[FIELD].number, {})
    return found


def joined(profiles: Iterable[Held]) -> dict[str, Sequence[Any]]:
    """The audiences of somebody with several addresses: of each the latest event at any of them.

    At one time an enter wins: a snapshot that has a new address instead of the old one tells an exit and
    an enter, both at its time.
    """
    found: dict[str, Sequence[Any]] = {}
    for held in profiles:
        for slug, each in held.items():
            found[slug] = max(found.get(slug, each), each, key=_order)
    return found


def _order(held: Sequence[Any]) -> tuple[int, bool, int]:
    at, received, event = held
    return at, event == ENTER, received


def memberships(program: Program, states: Mapping[int, Any]) -> dict[str, Membership]:
    """The audiences a person is in now: those whose latest event is an enter."""
    held = held_of(program, states)
    return {slug: Membership(at, received) for slug, (at, received, event) in held.items() if event == ENTER}


def exits(program: Program, states: Mapping[int, Any]) -> dict[str, int]:
    """The audiences that a person has left, and when that was received (epoch ms)."""
    held = held_of(program, states)
    return {slug: received for slug, (_, received, event) in held.items() if event == EXIT}


def told_of(program: Program, states: Mapping[int, Any]) -> frozenset[str]:
    """The audiences that an event ever named for a person."""
    return frozenset(held_of(program, states))


def members_of(program: Program, states: Mapping[int, Any]) -> set[str]:
    """The slugs of the audiences a person is in now."""
    return set(memberships(program, states))
