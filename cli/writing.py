"""Frames of events as NDJSON, CSV or Parquet, in bounded memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import msgspec
import polars as pl
from polars.io.plugins import register_io_source

from listbridge.archive.columns import ROW_GROUP_EVENTS, schema, to_lines
from listbridge.archive.export import Export


def write_ndjson(events: Export, file: IO[bytes]) -> int:
    """An event a line, as the streams hold it; -> how many events."""
    count = 0
    for frame in events:
        file.write(b"".join(line + b"\n" for line in to_lines(frame)))
        count += frame.height
    return count


def write_csv(events: Export, file: IO[bytes]) -> int:
    """A header and a line an event, maps as objects of JSON; -> how many events."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text)
    rows.writerow(schema(events.stream))
    count = 0
    for frame in events:
        rows.writerows([_cell(value) for value in row] for row in frame.iter_rows())
        count += frame.height
    text.detach()
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return msgspec.json.encode({pair["k"]: pair["v"] for pair in value}).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def write_parquet(events: Export, file: IO[bytes]) -> int:
    """One file with the archive's columns; -> how many events."""
    count = 0

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, _rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        nonlocal count
        for frame in events:
            count += frame.height
            chosen = frame if columns is None else frame.select(columns)
            yield chosen if predicate is None else chosen.filter(predicate)

    register_io_source(frames, schema=schema(events.stream)).sink_parquet(
        file, compression="zstd", row_group_size=ROW_GROUP_EVENTS, engine="streaming"
    )
    return count


WRITERS: Mapping[str, Callable[[Export, IO[bytes]], int]] = {
    "csv": write_csv,
    "ndjson": write_ndjson,
    "parquet": write_parquet,
}
