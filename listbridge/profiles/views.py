"""A profile as a user sees it."""

from __future__ import annotations

from typing import Any

from listbridge.aggregation import Program, view
from listbridge.aggregation.kinds import rfc3339
from listbridge.profiles.codec import Profile
from listbridge.profiles.membership import FIELD, members_of


def fields_of(program: Program, profile: Profile) -> dict[str, Any]:
    """The fields of the program's mappings, without the audiences, which stand beside them."""
    fields = view(program, profile.states)
    fields.pop(FIELD, None)
    return fields


def profile_view(program: Program, key: str, profile: Profile) -> dict[str, Any]:
    """`{"key", "fields", "audiences", "updated_at"}`; a field that was never set is absent."""
    return {
        "key": key,
        "fields": fields_of(program, profile),
        "audiences": sorted(members_of(program, profile.states)),
        "updated_at": rfc3339(profile.updated_at),
    }
