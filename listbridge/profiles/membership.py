"""Which audiences a person is in, from the state of the field `audiences`."""

from __future__ import annotations

from collections.abc import Mapping
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


def memberships(program: Program, states: Mapping[int, Any]) -> dict[str, Membership]:
    """The audiences a person is in now: those whose latest event is an enter."""
    held = states.get(program.fields[FIELD].number, {})
    return {slug: Membership(at, received) for slug, (at, received, event) in held.items() if event == ENTER}


def exits(program: Program, states: Mapping[int, Any]) -> dict[str, int]:
    """The audiences that a person has left, and when that was received (epoch ms)."""
    held = states.get(program.fields[FIELD].number, {})
    return {slug: received for slug, (_, received, event) in held.items() if event == EXIT}


def told_of(program: Program, states: Mapping[int, Any]) -> frozenset[str]:
    """The audiences that an event ever named for a person."""
    return frozenset(states.get(program.fields[FIELD].number, {}))


def members_of(program: Program, states: Mapping[int, Any]) -> set[str]:
    """The slugs of the audiences a person is in now."""
    return set(memberships(program, states))
