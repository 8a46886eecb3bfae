"""How the archive stands, and whether its files are what they should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from listbridge.archive.files import Unreadable, UnreadableFile, frames_of
from listbridge.archive.manifest import PATH, everything
from listbridge.archive.reading import Archive
from listbridge.archive.state import Snapshot, retired
from listbridge.store import keys
from listbridge.streams.log import totals
from listbridge.streams.schemas import SCHEMAS


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream's archive. `waiting` events are not archived yet; `held` ones are in the store."""

    stream: str
    archived: int
    files: int
    bytes: int
    waiting: int
    held: int
    skipped: int
    """Lines that were no events."""


@dataclass(frozen=True, slots=True)
class Status:
    """The archive as it stands; times are epoch ms, 0: never."""

    root: str
    streams: tuple[StreamStatus, ...]
    last_pass: int
    last_success: int
    error: str
    error_since: int
    unreadable: tuple[Unreadable, ...]
    """Files that a compaction could not read."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading every file of the archive found."""

    files: int
    unreadable: tuple[Unreadable, ...]
    foreign: tuple[str, ...]
    """Files that nothing names: they count nowhere and are left alone."""


def status(archive: Archive) -> Status:
    """How the archive stands, from the store alone."""
    found = everything(archive.store)
    held = cast(dict[bytes, bytes], archive.store.client.hgetall(keys.ARCHIVE))
    told = {name.decode(): value.decode(errors="replace") for name, value in held.items()}
    return Status(
        root=archive.storage.shown,
        streams=tuple(_stream(archive, stream, found) for stream in SCHEMAS),
        last_pass=int(told.get("last_pass", 0)),
        last_success=int(told.get("last_success", 0)),
        error=told.get("error", ""),
        error_since=int(told.get("error_since", 0)),
        unreadable=tuple(
            Unreadable(file.path, file.unreadable) for each in found for file in each.files if file.unreadable
        ),
    )


def _stream(archive: Archive, stream: str, found: list[Snapshot]) -> StreamStatus:
    mine = [each for each in found if each.stream == stream]
    files = [file for each in mine for file in each.files]
    counts = totals(archive.store, stream)
    events, skipped = sum(each.state.events for each in mine), sum(each.state.skipped for each in mine)
    return StreamStatus(
        stream,
        archived=events,
        files=len(files),
        bytes=sum(file.bytes for file in files),
        waiting=max(0, sum(each.appended for each in counts) - events - skipped),
        held=sum(each.held for each in counts),
        skipped=skipped,
    )


def verify(archive: Archive) -> Verification:
    """Read every file that counts, and look for files that nothing names. Raises `StorageError`."""
    # The files first: what is written in between would look foreign the other way round.
    there = archive.storage.sizes()
    found = everything(archive.store)
    named = {PATH} | {file.path for each in found for file in each.files}
    for each in found:
        named |= retired(archive.store, each.part, each.stream).keys()
    problems = []
    for each in found:
        for file in each.files:
            try:
                for _ in frames_of(archive.storage, each.stream, file):
                    pass
            except UnreadableFile as error:
                problems.append(error.found)
    return Verification(
        files=sum(len(each.files) for each in found),
        unreadable=tuple(problems),
        foreign=tuple(path for path in there if path not in named and not _claimed(path, found)),
    )


def _claimed(path: str, found: list[Snapshot]) -> bool:
    """Is the file of a range that is being written?"""
    return any(
        each.state.claim is not None
        and path.startswith(f"{each.stream}/partition={each.part.number:02}/")
        and f"/{each.state.claim.first}_{each.state.claim.last}" in path
        for each in found
    )
