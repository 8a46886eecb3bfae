"""The archive's files without an erased person: each that holds them is written anew and then counts instead.

The old file is deleted at once, without the time of grace that a compaction leaves: whoever is reading
by an older manifest finds it missing and reads again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import polars as pl

from listbridge.archive.columns import frames_to_parquet, schema
from listbridge.archive.files import UnreadableFile, frames_of
from listbridge.archive.reading import Archive
from listbridge.archive.state import File, Snapshot, change, forget_retired, load, retired
from listbridge.archive.writing import writer_name
from listbridge.erasure.errors import ErasureError
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import now_ms

ADDRESSES = ("old_email", "other")
"""Columns in which an event may name somebody else."""
TRIES = 20


@dataclass(slots=True)
class Rewritten:
    """What was done in the archive.

    Events left out and the latest time (epoch ms) of one, mentions in the events of others cleared, files
    written anew, files deleted that had been replaced before; `mentioned` are those others.
    """

    events: int = 0
    mentions: int = 0
    files: int = 0
    replaced: int = 0
    newest: int = 0
    mentioned: set[str] = field(default_factory=set)


Known = dict[tuple[str, int, bool], int]
"""What was found in files: a file never changes, so that each is read once. By path, size and `own`."""


def count(archive: Archive, part: PartitionKeys, stream: str, person: str, known: Known, *, own: bool) -> int:
    """How many archived events of the partition are the person's (`own`), or name them."""
    [found] = load(archive.store, [(part, stream)])
    return sum(_hits(archive, found, file, person, known, own=own) for file in found.files)


def _hits(archive: Archive, found: Snapshot, file: File, person: str, known: Known, *, own: bool) -> int:
    """As `count`, of one file."""
    if own and not file.low <= person <= file.high:
        return 0
    name = file.path, file.bytes, own
    if name not in known:
        known[name] = _read(archive, found, file, person, own=own)
    return known[name]


def _read(archive: Archive, found: Snapshot, file: File, person: str, *, own: bool) -> int:
    condition = pl.col("_key") == person if own else _names(found.stream, person)
    if condition is None:
        return 0
    columns = ["_key"] if own else ["_key", *_columns(found.stream)]
    try:
        frames = frames_of(archive.storage, found.stream, file, columns=columns, where=condition)
        return sum(frame.height for frame in frames)
    except UnreadableFile as error:
        raise ErasureError(
            f"the archive's file {error.found.path} can't be read, and may hold the person: mend it from a "
            f"copy, or delete it ({error.found.reason})"
        ) from error


def has_replaced(archive: Archive, part: PartitionKeys, stream: str) -> bool:
    """Are there files that a compaction replaced and that are not deleted yet?"""
    return bool(retired(archive.store, part, stream))


def rewrite(
    archive: Archive,
    part: PartitionKeys,
    stream: str,
    person: str,
    known: Known,
    *,
    own: bool,
    before: Callable[[int], object] = lambda _newest: None,
) -> Rewritten:
    """Take the person out of a partition's files; `own`: it is theirs, else only mentions are looked for.

    The partition's archive must be this process's alone. `before` is called with the latest time (epoch ms)
    of what is left out before it goes. Raises `ErasureError` and `StorageError`.
    """
    done, conflicts = Rewritten(), 0
    while conflicts < TRIES:
        [found] = load(archive.store, [(part, stream)])
        file, events, mentioned = _next(archive, found, person, known, own=own)
        if file is None:
            _delete_replaced(archive, part, stream, person, done, own=own)
            return done
        done.newest = max(done.newest, _newest(archive, found, file, person) if events else 0)
        before(done.newest)
        if _replace(archive, found, file, person, events, done):
            done.events += events
            done.mentions += mentioned
            done.files += 1
        else:
            conflicts += 1
    raise ErasureError(f"the archive of {stream}, partition {part.number}, is changed by others all the time")


def _next(
    archive: Archive, found: Snapshot, person: str, known: Known, *, own: bool
) -> tuple[File | None, int, int]:
    """The next file that holds the person, with how many events of theirs and how many mentions."""
    for file in found.files:
        events = _hits(archive, found, file, person, known, own=True) if own else 0
        mentioned = _hits(archive, found, file, person, known, own=False)
        if events or mentioned:
            return file, events, mentioned
    return None, 0, 0


def _replace(
    archive: Archive, found: Snapshot, file: File, person: str, events: int, done: Rewritten
) -> bool:
    """Let a file without the person count instead of this one; False when somebody changed the state."""
    made = []
    if events < file.events:
        path = _path(file)
        content = frames_to_parquet(found.stream, _left(archive, found, file, person, done))
        archive.storage.put(path, content, writer=writer_name(found.part))
        made.append(_described(archive, found, file, path, file.events - events, len(content)))
    state = msgspec.structs.replace(
        found.state,
        events=max(0, found.state.events - events),
        skipped=found.state.skipped + events,
    )
    if not change(archive.store, found, state, files=made, retire=[file.path], delete_at=now_ms()):
        return False
    archive.storage.delete(file.path)
    forget_retired(archive.store, found.part, found.stream, [file.path])
    return True


def _newest(archive: Archive, found: Snapshot, file: File, person: str) -> int:
    """The latest time (epoch ms) of an event of the person's own."""
    mine = pl.col("_key") == person
    frames = frames_of(archive.storage, found.stream, file, columns=["_key", "_time"], where=mine)
    return max((int(frame["_time"].max() or 0) for frame in frames if frame.height), default=0)  # type: ignore[arg-type]


def _path(file: File) -> str:
    """Follows from the file, so that an erasure that is repeated writes the same one."""
    stem = file.path.removesuffix(".parquet")
    digest = hashlib.blake2b(f"{file.path} {file.bytes}".encode(), digest_size=6).hexdigest()
    return f"{stem.partition('~')[0]}~{digest}.parquet"


def _left(
    archive: Archive, found: Snapshot, file: File, person: str, done: Rewritten
) -> Iterator[pl.DataFrame]:
    names = _names(found.stream, person)
    for frame in frames_of(archive.storage, found.stream, file):
        kept = frame.filter(pl.col("_key") != person)
        if names is not None:
            done.mentioned |= set(kept.filter(names)["_key"].to_list())
            kept = kept.with_columns(
                pl.when(pl.col(name).str.to_lowercase() == person)
                .then(None)
                .otherwise(pl.col(name))
                .alias(name)
                for name in _columns(found.stream)
            )
        yield kept


def _described(archive: Archive, found: Snapshot, file: File, path: str, events: int, size: int) -> File:
    made = msgspec.structs.replace(file, path=path, events=events, bytes=size, unreadable="")
    edges = pl.concat(frames_of(archive.storage, found.stream, made, columns=["_key", "_time"]))
    [(low, high, first, last)] = edges.select(
        pl.col("_key").min().alias("low"),
        pl.col("_key").max().alias("high"),
        pl.col("_time").min().alias("first"),
        pl.col("_time").max().alias("last"),
    ).iter_rows()
    return msgspec.structs.replace(made, low=low, high=high, from_time=first, to_time=last)


def _delete_replaced(
    archive: Archive, part: PartitionKeys, stream: str, person: str, done: Rewritten, *, own: bool
) -> None:
    """Delete now what a compaction replaced and still holds the person."""
    for path in retired(archive.store, part, stream):
        if _still_holds(archive, stream, path, person, own=own):
            archive.storage.delete(path)
            forget_retired(archive.store, part, stream, [path])
            done.replaced += 1


def _still_holds(archive: Archive, stream: str, path: str, person: str, *, own: bool) -> bool:
    try:
        scan = pl.scan_parquet(
            archive.storage.source(path),
            schema=schema(stream),
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
            glob=False,
        )
        names = _names(stream, person)
        conditions = [pl.col("_key") == person] if own else []
        conditions += [] if names is None else [names]
        return bool(conditions) and bool(
            scan.filter(pl.any_horizontal(conditions)).select(pl.len()).collect().item()
        )
    except FileNotFoundError:
        return False
    except (pl.exceptions.PolarsError, OSError):
        return True  # nobody can read it, and nothing counts on it


def _columns(stream: str) -> Sequence[str]:
    return [name for name in ADDRESSES if name in schema(stream)]


def _names(stream: str, person: str) -> pl.Expr | None:
    """True for events of others that name the person; None when the stream's events name nobody else."""
    columns = _columns(stream)
    if not columns:
        return None
    named = [(pl.col(name).str.to_lowercase() == person).fill_null(value=False) for name in columns]
    return pl.any_horizontal(named) & (pl.col("_key") != person)
