"""Reading a profile as a user sees it; one whose stored form is damaged is made anew from the streams."""

from __future__ import annotations

from typing import Any, cast

from listbridge.aggregation import Program
from listbridge.aggregation.fold import Folder
from listbridge.identity import person_key
from listbridge.profiles.codec import Codec, CorruptProfile
from listbridge.profiles.views import profile_view
from listbridge.store.store import Store
from listbridge.streams.reading import History


def profile_of(
    store: Store, program: Program, address: str, *, history: History | None = None
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
        profile = Codec(store).unpack(packed)
    except CorruptProfile:
        profile = Folder(store, program, history).recompute(part, key)
    return profile_view(program, key, profile)
