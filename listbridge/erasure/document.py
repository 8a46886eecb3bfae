"""Everything that is known of a person as one document: what they may ask for before they are erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from listbridge.aggregation.kinds import rfc3339
from listbridge.archive.columns import to_events
from listbridge.archive.export import Export
from listbridge.archive.reading import Archive
from listbridge.erasure import places
from listbridge.erasure.errors import ErasureError
from listbridge.exports.delivered import unpack_delivered, unpack_refused
from listbridge.exports.history import unframed
from listbridge.mappings.active import Programs
from listbridge.profiles.reading import profile_of
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.streams.schemas import SCHEMAS


def document(archive: Archive, programs: Programs, people: Sequence[str]) -> dict[str, Any]:
    """The profile, events, records of lists and what is set aside of the person with these keys, for JSON.

    Times beside the profile's are epoch ms. Raises `ErasureError` when a file of the archive can't be read.
    """
    return {
        "made_at": rfc3339(now_ms()),
        "addresses": list(people),
        "profile": profile_of(archive.store, programs, people[0], history=archive),
        "events": {stream: _events(archive, stream, people) for stream in SCHEMAS},
        "lists": {key: _lists(archive, key) for key in people},
        "set_aside": {key: _set_aside(archive, key) for key in people},
        "suppressed_in": {key: _suppressed_in(archive, key) for key in people},
    }


def _events(archive: Archive, stream: str, people: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key in people:
        export = Export(archive, stream, key=key)
        found += [event for frame in export for event in to_events(frame)]
        for each in export.unreadable:
            raise ErasureError(f"the archive's file {each.path} can't be read: {each.reason}")
    return sorted(found, key=lambda event: (event["_time"], event["_id"]))


def _lists(archive: Archive, key: str) -> dict[str, dict[str, Any]]:
    """What is kept of the person in each list, by what it is kept as; what goes meanwhile is left out."""
    store = archive.store
    found: dict[str, dict[str, Any]] = {}
    for held in places.holdings(store, key):
        what, _, rest = held.place.rpartition(":")
        if held.kind == b"hash" and what:
            packed = cast(bytes | None, store.client.hget(held.name, key))
            if packed is not None:
                found.setdefault(rest, {})[what] = _readable(what, packed)
        elif held.kind == b"zset" and what:
            score = store.client.zscore(held.name, key)
            if score is not None:
                found.setdefault(rest, {})[what] = score
    return found


def _readable(what: str, packed: bytes) -> Any:
    if what == "delivered":
        return msgspec.structs.asdict(unpack_delivered(packed))
    if what == "refused":
        return msgspec.structs.asdict(unpack_refused(packed))
    if what == "history":
        return [msgspec.structs.asdict(each) for each in unframed(packed)]
    try:
        return msgspec.msgpack.decode(packed)
    except msgspec.DecodeError:
        return packed.decode(errors="replace")


def _set_aside(archive: Archive, key: str) -> list[str]:
    store = archive.store
    found = []
    for name, _, entry in places.quarantined(store, list(SCHEMAS), key):
        held = cast(Any, store.client.xrange(name, min=entry.decode(), max=entry.decode()))
        found += [fields[b"e"].decode(errors="replace") for _, fields in held]
    return found


def _suppressed_in(archive: Archive, key: str) -> list[str]:
    """The clients whose suppression list, as we know it, has the address."""
    names = archive.store.client.scan_iter(match=keys.suppressed("*", "addresses"), count=1000)
    return sorted(
        name.decode().partition("suppressed:")[2].partition("}")[0]
        for name in names
        if archive.store.client.sismember(name, key)
    )
