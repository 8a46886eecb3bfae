"""A profile as a user sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from listbridge.aggregation import Program, view
from listbridge.identity import person_key
from listbridge.profiles.codec import Codec, Profile
from listbridge.profiles.membership import FIELD, members_of
from listbridge.store.store import Store


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


def read_profile(store: Store, program: Program, address: str) -> dict[str, Any] | None:
    """The profile of the person with this address, or None when nothing is known of them.

    Raises `CorruptProfile` when the stored value's checksum is wrong.
    """
    key = person_key(address)
    if key is None:
        return None
    packed = cast(bytes | None, store.client.hget(store.part(key).profiles, key))
    return profile_view(program, key, Codec(store).unpack(packed)) if packed else None
