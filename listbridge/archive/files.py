"""Reading one file of the archive, whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from listbridge.archive.columns import ORDER, schema
from listbridge.archive.errors import StorageError
from listbridge.archive.state import File
from listbridge.archive.storage import Storage

EVENTS_A_FRAME = 131_072


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that counts and can't be read; not `lasting`: the storage is at fault, not the file."""

    path: str
    reason: str
    lasting: bool = True


class UnreadableFile(Exception):
    """A file can't be read: mend it from a copy, or do without its events."""

    def __init__(self, found: Unreadable) -> None:
        super().__init__(f"{found.path}: {found.reason}")
        self.found = found


def frames_of(
    storage: Storage,
    stream: str,
    file: File,
    *,
    columns: Sequence[str] | None = None,
    where: pl.Expr | None = None,
    at_once: bool = False,
) -> Iterator[pl.DataFrame]:
    """The file's events in its order, in frames of a bounded size unless all are wanted `at_once`.

    Raises `UnreadableFile`, when its footer is read or, for damage further inside, between two frames.
    """
    wanted = schema(stream)
    try:
        source = storage.source(file.path)
        _check_columns(source)
        scan = pl.scan_parquet(
            source,
            schema=wanted,
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
            glob=False,
        )
        held = scan.select(pl.len()).collect().item()
        if held != file.events:
            raise ValueError(f"it holds {held} events; {file.events} were written")
        step = file.events if at_once else EVENTS_A_FRAME
        for start in range(0, file.events, step):
            piece = scan if at_once else scan.slice(start, step)
            piece = piece if where is None else piece.filter(where)
            yield piece.select(columns or list(wanted)).collect()
    except StorageError as error:
        raise UnreadableFile(Unreadable(file.path, str(error), lasting=False)) from error
    except FileNotFoundError as error:
        raise UnreadableFile(Unreadable(file.path, "there is no such file")) from error
    except OSError as error:
        # Polars says of a file that is none of Parquet's that the operation failed, without a number.
        reason = error.strerror or _first_line(error)
        raise UnreadableFile(Unreadable(file.path, reason, lasting=error.errno is None)) from error
    except (PolarsError, PanicException, ValueError) as error:
        raise UnreadableFile(Unreadable(file.path, _first_line(error))) from error


def _check_columns(source: Path | BytesIO) -> None:
    """Refuse a Parquet file that holds no events; columns that a stream got later may be missing."""
    held = pl.scan_parquet(source, hive_partitioning=False, glob=False).collect_schema()
    missing = sorted({*ORDER, "_received"} - held.keys())
    if missing:
        raise ValueError(f"it is no file of the archive: it lacks {', '.join(missing)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
