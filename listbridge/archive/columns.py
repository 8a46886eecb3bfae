"""Events as the archive's columns: lines of JSON to a frame and back, and a frame as a Parquet file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any

import msgspec
import polars as pl
from polars.exceptions import PanicException
from polars.io.plugins import register_io_source

from listbridge.aggregation import frames
from listbridge.streams.events import DAY_MS

logger = logging.getLogger(__name__)

ROW_GROUP_EVENTS = 32_768
ORDER = ("_key", "_time", "_id")
"""What a file's events are sorted by, so that a reader of some keys can leave row groups out."""

_PAIRS = pl.List(pl.Struct({"k": pl.String(), "v": pl.String()}))
_FIRST_MS = -62_135_596_800_000  # 0001-01-01
_LAST_MS = 253_402_300_799_999  # 9999-12-31
_encode = msgspec.json.Encoder().encode


def schema(stream: str) -> dict[str, pl.DataType]:
    """The columns of a stream's files: `_id`, those of `frames.columns`, `_bad` and `_day`."""
    return {"_id": pl.String(), **frames.columns(stream), "_bad": _PAIRS, "_day": pl.Int64()}


def to_frame(stream: str, lines: Sequence[bytes]) -> tuple[pl.DataFrame, int]:
    """The events of `lines` in the archive's order, and how many lines are no events and are left out.

    Lines that are no events are in the quarantine already: the fold puts them there.
    """
    frame, skipped = _sifted(stream, lines)
    frame = frame.with_columns(pl.coalesce("_day", pl.col("_time") // DAY_MS).alias("_day"))
    return frame.select(schema(stream).keys()).sort(ORDER), skipped


def _sifted(stream: str, lines: Sequence[bytes]) -> tuple[pl.DataFrame, int]:
    wanted = schema(stream)
    if not lines:
        return pl.DataFrame(schema=wanted), 0
    try:
        return frames.from_lines(stream, lines, schema=wanted), 0
    except (Exception, PanicException) as error:
        if isinstance(error, MemoryError):
            raise
        if len(lines) == 1:
            return _salvaged(stream, lines[0])
    middle = len(lines) // 2
    first, skipped = _sifted(stream, lines[:middle])
    second, more = _sifted(stream, lines[middle:])
    return pl.concat([first, second]), skipped + more


def _salvaged(stream: str, line: bytes) -> tuple[pl.DataFrame, int]:
    """An event whose `_id`, `_bad` or `_day` alone is odd counts in the profiles, so it is kept, too."""
    try:
        event = msgspec.json.decode(line)
        bad = event.pop("_bad", None)
        pairs = bad.items() if isinstance(bad, dict) else [("_bad", bad)] if bad is not None else []
        event["_bad"] = [{"k": str(name), "v": str(value)} for name, value in pairs]
        for name, kind in (("_id", str), ("_day", int)):
            if not isinstance(event.get(name), kind):
                event.pop(name, None)
        return frames.from_lines(stream, [_encode(event)], schema=schema(stream)), 0
    except (Exception, PanicException) as error:
        logger.warning("a line of %s is no event and is not archived: %s", stream, type(error).__name__)
        return pl.DataFrame(schema=schema(stream)), 1


def by_month(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The events by the month (UTC) of their time, such as 2026-11; order within a month is kept."""
    months = pl.from_epoch(pl.col("_time").clip(_FIRST_MS, _LAST_MS), time_unit="ms").dt.strftime("%Y-%m")
    parts = frame.with_columns(months.alias("_month")).partition_by("_month", maintain_order=True)
    return sorted(
        ((_year_of_four(part["_month"][0]), part.drop("_month")) for part in parts), key=lambda item: item[0]
    )


def _year_of_four(month: str) -> str:
    year, _, number = month.partition("-")
    return f"{int(year):04}-{number}"


def to_parquet(frame: pl.DataFrame) -> bytes:
    """A file's content: the same bytes for the same events."""
    content = BytesIO()
    frame.write_parquet(content, compression="zstd", statistics=True, row_group_size=ROW_GROUP_EVENTS)
    return content.getvalue()


def frames_to_parquet(stream: str, frames: Iterable[pl.DataFrame]) -> bytes:
    """As `to_parquet`, from frames that come one after the other; what they raise is raised."""
    content = BytesIO()
    raised: list[Exception] = []

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, _rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        try:
            for frame in frames:
                chosen = frame if columns is None else frame.select(columns)
                yield chosen if predicate is None else chosen.filter(predicate)
        except Exception as error:
            # Polars would make an error of its own of it.
            raised.append(error)

    register_io_source(source, schema=schema(stream)).sink_parquet(
        content, compression="zstd", statistics=True, row_group_size=ROW_GROUP_EVENTS, engine="streaming"
    )
    if raised:
        raise raised[0]
    return content.getvalue()


def to_events(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The events as `streams.events.encode` writes them, decoded; columns that are null are left out."""
    for row in frame.iter_rows(named=True):
        event = {name: value for name, value in row.items() if value is not None}
        if event["_key"] == event.get("email"):
            del event["_key"]
        if event.get("_day") == event["_time"] // DAY_MS:
            del event["_day"]
        yield event


def to_lines(frame: pl.DataFrame) -> list[bytes]:
    """The events as lines of JSON: what `to_frame` was given, but for the order."""
    return [_encode(event) for event in to_events(frame)]
