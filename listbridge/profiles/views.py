"""A profile as a user sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from listbridge.aggregation import Program, view
from listbridge.profiles.codec import Profile
from listbridge.profiles.membership import FIELD, members_of


def timestamp(epoch_ms: int) -> str:
    """RFC 3339, UTC, with milliseconds."""
    return (
        datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


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
        "updated_at": timestamp(profile.updated_at),
    }
