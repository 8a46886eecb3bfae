"""What an import engine asks of a system that people and activity are read from."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from listbridge.streams.events import Event, Unreadable
from listbridge.streams.lines import Line


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is read from front to back, and how far it has been read.

    `cursors` are the names under which the position is kept: a resource that is read once for
    several lists has one for each, all at the same position (None: never read).
    """

    name: str
    cursors: tuple[str, ...]
    position: str | None
    kind: str = ""
    """What sort of thing it is, for the progress: a report, a state of lists."""
    basis: str = ""
    """What the system tells of it at a glance: while that stays, it can't have changed. Empty: nothing."""
    rest_ms: int = 0
    """For how long it is left alone, at most, while the basis stays."""
    whole_after: int = 0
    """It is read from its beginning unless that was done since then (epoch ms; 0: whenever that was)."""
    rows: int = 0
    """How many rows it has, as far as is known without reading it."""
    takes_date: bool = True
    """Can it be read from a position on? What can't is read from the beginning each time."""
    problem: str = ""
    """Why it can't be read: it is set aside and named."""


@dataclass(slots=True)
class Batch:
    """What one step of reading gave, and the position after it."""

    position: str
    events: Sequence[Event | Line] = ()
    unreadable: Sequence[Unreadable] = ()
    rows: int = field(default=0)
    """Rows that the system gave, those that were not ours to keep included."""
    pages: int = 1


class Source(Protocol):
    """One account of one system. All methods raise `listbridge.errors`."""

    account: str
    """Whose the cursors are: they outlive the workflow."""

    def prepare(self) -> Sequence[str]:
        """Make ready (names, time zone, webhooks); -> what was done, in words for the log."""
        ...

    def resources(self, positions: Mapping[str, str], began: int) -> Generator[Resource, None, None]:
        """What there is to read, given the positions by cursor name; the run began then (epoch ms)."""
        ...

    def read(self, resource: Resource) -> Iterator[Batch]:
        """Read on from the resource's position to its end."""
        ...

    def end(self) -> None:
        """No more is read: let go of what was asked for and is still on its way."""
        ...

    def close(self) -> None:
        """Undo what `prepare` made for this workflow alone, such as webhooks."""
        ...
