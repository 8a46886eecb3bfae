"""A profile as a user sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from listbridge.aggregation import Program, View
from listbridge.aggregation.kinds import rfc3339
from listbridge.profiles.codec import Profile
from listbridge.profiles.links import FIELDS
from listbridge.profiles.membership import FIELD, members_of

_ASIDE = frozenset({FIELD}) | FIELDS


def fields_of(program: Program, profile: Profile) -> Mapping[str, Any]:
    """The fields of the program's mappings, without those that stand beside them: the audiences,
    and who is who.

    Each is made when it is first asked for.
    """
    return View(program, profile.states, _ASIDE)


def profile_view(program: Program, key: str, profile: Profile, linked: Sequence[str] = ()) -> dict[str, Any]:
    """`{"key", "fields", "audiences", "updated_at"}`; a field that was never set is absent.

    `linked`, if any: the person's other addresses.
    """
    seen = {
        "key": key,
        "fields": dict(fields_of(program, profile)),
        "audiences": sorted(members_of(program, profile.states)),
        "updated_at": rfc3339(profile.updated_at),
    }
    return seen | {"linked": list(linked)} if linked else seen
