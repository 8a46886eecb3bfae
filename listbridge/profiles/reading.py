"""Reading a profile as a user sees it; one whose stored form is damaged is made anew from the streams."""

from __future__ import annotations

from typing import Any, cast

from listbridge.aggregation import Program
from listbridge.aggregation.fold import Folder
from listbridge.identity import person_key
from listbridge.mappings.active import Programs
from listbridge.profiles.codec import Codec, CorruptProfile, NewerProfile, Profile
from listbridge.profiles.views import profile_view
from listbridge.store.store import Store
from listbridge.streams.reading import History


def profile_of(
    store: Store, programs: Programs, address: str, *, history: History | None = None
) -> dict[str, Any] | None:
    """The profile of the person with this address, or None when nothing is known of them.

    `history`: see `Folder`.
    """
    key = person_key(address)
    if key is None:
        return None
    part = store.part(key)
    packed = cast(bytes | None, store.client.hget(part.profiles, key))
    if packed is None:
        return None
    try:
        program, profile = unpacked(programs, packed)
    except CorruptProfile:
        program = programs.current()
        profile = Folder(store, program, history).recompute(part, key)
    return profile_view(program, key, profile)


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
