"""Snapshots: a file of who is in an audience, compared with what is known of it."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from listbridge import audiences
from listbridge.aggregation.fold import Folder, has_lag
from listbridge.audiences import AudienceEvent
from listbridge.context import Context
from listbridge.identity import person_key
from listbridge.profiles.codec import CorruptProfile
from listbridge.profiles.commit import read_packed
from listbridge.profiles.people import unpacked
from listbridge.streams.events import Counts, Event
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE

LARGEST_LOSS = 0.2
"""A snapshot that makes a larger share of the audience leave is asked about first."""
ATTRIBUTES = "attributes"
APPEND_AT_ONCE = 5000
FOLD_SECONDS = 300.0
EMAIL_COLUMNS = ("email", "e-mail", "email address", "emailaddress")


class SnapshotError(Exception):
    """The file can't be read as a snapshot; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What makes the audience what the snapshot says; `changed` are members with other attributes."""

    slug: str
    enters: Mapping[str, Mapping[str, str]]
    exits: tuple[str, ...]
    changed: Mapping[str, Mapping[str, str]]
    members_before: int
    unreadable: tuple[str, ...] = field(default=())
    """The rows whose address can't be read, as `line N`."""

    @property
    def loss(self) -> float:
        """The share of the present members that would leave."""
        return len(self.exits) / self.members_before if self.members_before else 0.0


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a CSV or Parquet file with a column `email`. Raises `SnapshotError`."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise SnapshotError(f"{path.name} is neither .csv nor .parquet")
    rows = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
    try:
        yield from rows
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
        raise SnapshotError(f"{path.name} can't be read: {error}") from error


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        email = _email_column(reader.fieldnames or (), path)
        for row in reader:
            if None in row:
                raise SnapshotError(f"{path.name}, line {reader.line_num}: more values than columns")
            yield {("email" if name == email else name): value for name, value in row.items() if name}


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    frame = pl.read_parquet(path)
    email = _email_column(frame.columns, path)
    yield from frame.rename({email: "email"}).iter_rows(named=True)


def _email_column(names: Iterable[str], path: Path) -> str:
    """The column with the addresses. Raises `SnapshotError` when there is none, or more than one."""
    names = list(names)
    found = [name for name in names if name.strip().lower() in EMAIL_COLUMNS]
    if len(found) > 1:
        raise SnapshotError(f"{path.name} has several columns of addresses: {', '.join(found)}; keep one")
    if not found:
        raise SnapshotError(f"{path.name} has no column email; it has: {', '.join(names) or 'none'}")
    return found[0]


def await_folded(context: Context, *, seconds: float = FOLD_SECONDS) -> None:
    """Fold until nothing is left that has come in, by us or by the workers. Raises `SnapshotError`."""
    deadline = time.monotonic() + seconds
    folder = Folder(context.store, context.programs, context.archive)
    while any(has_lag(context.store, context.program)):
        if time.monotonic() > deadline:
            raise SnapshotError(
                f"the events that have come in were not folded within {seconds:g} s; try again"
            )
        folder.run(seconds=1.0)
        time.sleep(0.05)


def compare(context: Context, slug: str, rows: Iterable[Mapping[str, Any]]) -> Difference:
    """What the snapshot changes, against the members as far as the streams are folded."""
    wanted: dict[str, dict[str, str]] = {}
    addresses: list[str] = []
    for line, row in enumerate(rows, start=2):
        key = person_key(row["email"])
        if key is None:
            addresses.append(f"line {line}")
        else:
            wanted[key] = {
                n: audiences.as_text(v) for n, v in row.items() if n != "email" and v not in (None, "")
            }
    inside = audiences.members(context.store, slug)
    known = _attributes(context, [key for key in wanted if key in inside and wanted[key]])
    return Difference(
        slug=slug,
        enters={key: row for key, row in wanted.items() if key not in inside},
        exits=tuple(sorted(inside - wanted.keys())),
        changed={
            key: row
            for key, row in wanted.items()
            if key in inside and any(known.get(key, {}).get(name) != value for name, value in row.items())
        },
        members_before=len(inside),
        unreadable=tuple(addresses),
    )


def _attributes(context: Context, people: list[str]) -> dict[str, dict[str, str]]:
    """What is known of these people's attributes."""
    known = {}
    for part, keys in context.store.by_part(people):
        for key, packed in read_packed(context.store, part, keys).items():
            # Of a damaged profile nothing is known until the next fold makes it anew: it is told again.
            with suppress(CorruptProfile):
                program, profile = unpacked(context.programs, packed)
                states = profile.states.get(program.fields[ATTRIBUTES].number, {})
                known[key] = {name: state[2] for name, state in states.items()}
    return known


def apply(context: Context, difference: Difference, at: datetime) -> Counts:
    """Append the events that make the audience what the snapshot says."""
    counts = Counts()
    batch: list[Event] = []
    for event in _events(difference, at):
        batch.append(event)
        if len(batch) == APPEND_AT_ONCE:
            counts.add(append(context.store, batch))
            batch = []
    counts.add(append(context.store, batch))
    return counts


def _events(difference: Difference, at: datetime) -> Iterator[Event]:
    slug = difference.slug
    moves: list[AudienceEvent] = [
        AudienceEvent(email=key, audience=slug, event="enter", timestamp=at, fields=dict(row))
        for key, row in difference.enters.items()
    ]
    moves += [AudienceEvent(email=key, audience=slug, event="exit", timestamp=at) for key in difference.exits]
    for move in moves:
        event = audiences.as_event(move)
        assert isinstance(event, Event), "the key is a readable address"
        yield event
    when = audiences.milliseconds(at)
    for key, row in difference.changed.items():
        values = {"email": key, "event": ATTRIBUTES, "fields": row}
        yield Event(AUDIENCE, key, when, (ATTRIBUTES, key, when, sorted(row.items())), values)
