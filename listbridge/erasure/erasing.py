"""Erasing a person: the tombstone first, then everything that holds them, then a look whether anything does.

Each step can be repeated, and a person whose erasure was broken off is found half-erased by the next one:
what had been counted before is kept beside the tombstone, and the tombstone keeps the past from coming
back meanwhile.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import cast

import msgspec

from listbridge.aggregation.fold import Folder
from listbridge.archive.manifest import publish
from listbridge.archive.reading import Archive
from listbridge.archive.state import change, load
from listbridge.archive.trimming import held, trim
from listbridge.archive.writing import Conflict, archive_next, writer_name
from listbridge.erasure import files, places, rewriting
from listbridge.erasure.errors import ErasureError
from listbridge.erasure.lines import Without
from listbridge.mappings.active import Programs
from listbridge.profiles.codec import Codec
from listbridge.profiles.commit import Answer, Commit, versions_and_offsets, write
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import owner
from listbridge.streams.reading import lines_between
from listbridge.streams.schemas import SCHEMAS
from listbridge.streams.tombstones import bury, digest, hash_key

logger = logging.getLogger(__name__)

LEASE = "erasure"
LEASE_MS = 30_000
ARCHIVE_LEASE_MS = 30_000
AWAIT_SECONDS = 150.0
"""Longer than a call of the API may take."""
LATE_MS = 120_000
"""By how much another system's clock may be ahead when it tells of what the erasure itself did there."""
COMMIT_TRIES = 20


class Record(msgspec.Struct, frozen=True):
    """What is kept of an erasure beside the tombstone: counts only."""

    at: int
    complete: bool
    found: dict[str, int]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


@dataclass(slots=True)
class Erased:
    """The proof: where one person was found and how often, and what is left. It names nobody.

    `person` is the hash that the tombstone has; `at` epoch ms. `outside`: what was done in other systems.
    `kept` stays on purpose.
    """

    person: str
    at: int
    found: dict[str, int]
    remaining: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    repeated: bool = False

    @property
    def complete(self) -> bool:
        return not self.remaining


def nothing_outside() -> Mapping[str, int]:
    """Nothing is done in other systems."""
    return {}


class _Past:
    """What is over: nothing of the person that happened until `at` (epoch ms) is taken any more."""

    def __init__(self, store: Store, person: str, at: int) -> None:
        self._store, self._person, self.at = store, person, 0
        self.reach(at)

    def reach(self, at: int) -> None:
        """Let it end no earlier than then: what is taken out is over, also when it is dated ahead."""
        if at > self.at:
            self.at = bury(self._store, self._person, at)


class Eraser:
    """Erases people from one store and its archive.

    `deliveries` are the names of the leases of those who write to lists; how long it waits for them, and
    for the archive, is its patience.
    """

    def __init__(
        self,
        archive: Archive,
        programs: Programs,
        deliveries: Sequence[str] = (),
        *,
        patience_seconds: float = AWAIT_SECONDS,
    ) -> None:
        self._archive = archive
        self._store = archive.store
        self._programs = programs
        self._deliveries = deliveries
        self._patience_seconds = patience_seconds

    def find(self, person: str) -> Erased:
        """Where the person is; changes nothing."""
        shown = digest(hash_key(self._store), person).hex()
        return Erased(shown, 0, dict(self._count(person, {})), kept=self._kept(person))

    def erase(self, person: str, outside: Callable[[], Mapping[str, int]] = nothing_outside) -> Erased:
        """Take everything that came until now of the person with this key out.

        `outside` is called once while nothing is delivered to any list. Raises `ErasureError`,
        `StorageError` and what `outside` raises; then start it again.
        """
        lease = Lease(self._store, LEASE, LEASE_MS)
        if not lease.acquire():
            raise ErasureError("another erasure is at work; start this one when it has ended")
        try:
            with lease.kept():
                return self._erase(person, outside)
        finally:
            lease.release()

    def _erase(self, person: str, outside: Callable[[], Mapping[str, int]]) -> Erased:
        store = self._store
        shown = digest(hash_key(store), person)
        before = self._record(person, shown)
        repeated = before is not None and not before.complete
        known: files.Known = {}
        found = self._count(person, known)
        if before is not None and repeated:
            found |= Counter(before.found)
        past = _Past(store, person, now_ms())
        self._note(person, shown, Record(past.at, complete=False, found=dict(found)))
        with self._nobody_delivers(person):
            told = dict(outside())
            if told:
                past.reach(now_ms() + LATE_MS)
            mentioned = self._erase_events(person, past)
            places.remove(store, person, secrets.token_hex(8))
            places.remove_elsewhere(store, person)
        mentioned |= self._erase_archived(person, known, past)
        self._erase_quarantined(person)
        places.remove_notes(store, person)
        for key in sorted(mentioned - {person}):
            self._recompute(key)
        publish(store, self._archive.storage)
        remaining = self._count(person, {})
        self._note(person, shown, Record(past.at, complete=not remaining, found=dict(found)))
        # Nobody is named: the log must not hold what was erased.
        logger.info(
            "a person was erased: %s; remaining: %s",
            ", ".join(f"{place} {n}" for place, n in sorted(found.items())) or "nothing was held",
            ", ".join(f"{place} {n}" for place, n in sorted(remaining.items())) or "nothing",
        )
        return Erased(
            shown.hex(), past.at, dict(found), dict(remaining), self._kept(person), told, repeated=repeated
        )

    def _count(self, person: str, known: files.Known) -> Counter[str]:
        """How often the person is found, by place."""
        store = self._store
        found = places.count(store, list(SCHEMAS), person)
        own, change = store.part(person), Without(person)
        for part in store.parts:
            for stream in SCHEMAS:
                for lines in lines_between(store, part, stream):
                    for line in lines:
                        left = change(line)
                        if left is None:
                            found[f"stream {stream}"] += 1
                        elif left != line:
                            found["mentions in streams"] += 1
                if part.number == own.number:
                    n = files.count(self._archive, part, stream, person, known, own=True)
                    found[f"archive {stream}"] += n
                found["mentions in the archive"] += files.count(
                    self._archive, part, stream, person, known, own=False
                )
        return +found

    def _kept(self, person: str) -> dict[str, int]:
        """Copies of the clients' suppression lists follow these: somebody on one must not be added again."""
        names = self._store.client.scan_iter(match=keys.suppressed("*", "addresses"), count=1000)
        kept = sum(bool(self._store.client.sismember(name, person)) for name in names)
        return {"copies of suppression lists": kept} if kept else {}

    def _record(self, person: str, shown: bytes) -> Record | None:
        name = self._store.part(person).erasures
        packed = cast(bytes | None, self._store.client.hget(name, shown.hex()))
        return _decode(packed) if packed else None

    def _note(self, person: str, shown: bytes, record: Record) -> None:
        self._store.client.hset(self._store.part(person).erasures, shown.hex(), _encode(record))

    @contextmanager
    def _nobody_delivers(self, person: str) -> Iterator[None]:
        """Hold the leases of all lists. Who delivers meanwhile loses its fence, and looks again then."""
        deadline = time.monotonic() + self._patience_seconds
        with ExitStack() as stack:
            for name in self._deliveries:
                lease = Lease(self._store, name, LEASE_MS)
                while not lease.acquire():
                    places.refuse_records(self._store, person, secrets.token_hex(8))
                    if time.monotonic() > deadline:
                        raise ErasureError("a delivery to a list has not ended; start again in a minute")
                    time.sleep(0.1)
                stack.callback(lease.release)
                stack.enter_context(lease.kept())
            yield

    @contextmanager
    def _archive_alone(self, part: PartitionKeys) -> Iterator[None]:
        """Be the only one who archives the partition, with nothing claimed."""
        lease = Lease(self._store, f"archive:{part.number}", ARCHIVE_LEASE_MS)
        deadline = time.monotonic() + self._patience_seconds
        while not lease.acquire():
            if time.monotonic() > deadline:
                raise ErasureError(f"the archiving of partition {part.number} has not ended; start again")
            time.sleep(0.1)
        try:
            with lease.kept():
                self._archive.storage.tidy(writer_name(part))
                self._settle(part)
                yield
        finally:
            lease.release()

    def _settle(self, part: PartitionKeys) -> None:
        """End what an archiver began, archive the rest and trim, so that little is left to be rewritten.

        Whoever began it and comes back finds another state, and writes nothing that counts.
        """
        for stream in SCHEMAS:
            [found] = load(self._store, [(part, stream)])
            if found.state.claim is not None and found.state.claim.kind == "compact":
                change(self._store, found, msgspec.structs.replace(found.state, claim=None))
            try:
                while archive_next(self._store, self._archive.storage, part, stream) is not None:
                    pass
            except Conflict as conflict:
                raise ErasureError("the archive is written by others, too; start again") from conflict
            trim(self._store, part, stream, folded=stream in self._programs.current().streams)

    def _erase_events(self, person: str, past: _Past) -> set[str]:
        """Take the person out of all streams; -> of whom else's events named them."""
        change = Without(person)

        def before() -> None:
            past.reach(change.newest)

        mentioned: set[str] = set()
        for part in self._store.parts:
            own = part.number == self._store.part(person).number
            named = self._named_in(part, person)
            if not own and not named:
                continue
            mentioned |= named
            with self._archive_alone(part), held(self._store, part) as hold:
                for stream in SCHEMAS:
                    position = self._archive.position(stream, part)
                    rewriting.rewrite(self._store, part, stream, change, position, before)
                hold.check()
        return mentioned

    def _named_in(self, part: PartitionKeys, person: str) -> set[str]:
        """Whose events in a partition's streams name the person."""
        change = Without(person)
        return {
            key
            for stream in SCHEMAS
            for lines in lines_between(self._store, part, stream)
            for line in lines
            if change(line) != line and (key := owner(line)) is not None and key != person
        }

    def _erase_archived(self, person: str, known: files.Known, past: _Past) -> set[str]:
        mentioned: set[str] = set()
        for part in self._store.parts:
            own = part.number == self._store.part(person).number
            for stream in SCHEMAS:
                mine = own and files.count(self._archive, part, stream, person, known, own=True)
                replaced = own and files.has_replaced(self._archive, part, stream)
                if mine or replaced or files.count(self._archive, part, stream, person, known, own=False):
                    with self._archive_alone(part):
                        done = files.rewrite(
                            self._archive, part, stream, person, known, own=own, before=past.reach
                        )
                        mentioned |= done.mentioned
        return mentioned

    def _erase_quarantined(self, person: str) -> None:
        for name, _, entry in list(places.quarantined(self._store, list(SCHEMAS), person)):
            self._store.client.xdel(name, entry.decode())

    def _recompute(self, key: str) -> None:
        """Make the profile of somebody whose events named the person anew, behind the fence."""
        program = self._programs.current(renew=True)
        part = self._store.part(key)
        for _ in range(COMMIT_TRIES):
            [(version, _)] = versions_and_offsets(self._store, [part])
            if not self._store.client.hexists(part.profiles, key):
                return
            profile = Folder(self._store, program, self._archive).recompute(part, key)
            commit = Commit(part, version, program.version)
            commit.profiles[key] = Codec(program).pack(profile)
            [answer] = write(self._store, [commit])
            if answer is Answer.WRITTEN:
                return
        raise ErasureError(f"partition {part.number} is written by others all the time; start again")


def erasures(store: Store) -> Iterator[tuple[str, Record]]:
    """All erasures: the hash of the person, and what was found."""
    for part in store.parts:
        for name, packed in store.client.hscan_iter(part.erasures, count=500):
            if not name.startswith(b"rewritten:"):
                yield name.decode(), _decode(packed)
