"""Reading a profile as a user sees it; one whose stored form is damaged is made anew from the streams."""

from __future__ import annotations

from typing import Any, cast

from listbridge.aggregation import Program
from listbridge.aggregation.fold import Folder
from listbridge.identity import person_key
from listbridge.mappings.active import Programs
from listbridge.profiles.codec import CorruptProfile, Profile
from listbridge.profiles.people import together, unpacked, whole
from listbridge.profiles.views import profile_view
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.reading import History


def profile_of(
    store: Store, programs: Programs, address: str, *, history: History | None = None
) -> dict[str, Any] | None:
    """The profile of the person with this address, or None when nothing is known of them.

    Of somebody who has had several addresses it is that of all of them. `history`: see `Folder`.
    """
    key = person_key(address)
    if key is None:
        return None
    part = store.part(key)
    packed = cast(bytes | None, store.client.hget(part.profiles, key))
    if packed is None:
        return None

    def recompute(program: Program, part: PartitionKeys, key: str) -> Profile:
        return Folder(store, program, history).recompute(part, key)

    try:
        program, profile = unpacked(programs, packed)
    except CorruptProfile:
        program = programs.current()
        profile = recompute(program, part, key)
    program, person = whole(store, programs, key, program, profile, recompute)
    return profile_view(program, person.key, together(program, person), person.others)
