"""Events as columns: lines of JSON to a frame with the stream's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from listbridge.streams.schemas import SCHEMAS, FieldType

_TYPES: dict[FieldType, pl.DataType] = {
    "string": pl.String(),
    "int": pl.Int64(),
    "number": pl.Float64(),
    "bool": pl.Boolean(),
    "map": pl.List(pl.Struct({"k": pl.String(), "v": pl.String()})),
}
PIECE_BYTES: Final = 256 * 1024
"""Of lines that are read at a time: more is slower."""
_META: dict[str, pl.DataType] = {"_key": pl.String(), "_time": pl.Int64(), "_received": pl.Int64()}


def columns(stream: str) -> dict[str, pl.DataType]:
    """The columns of a stream's frame: `_key`, `_time` and `_received` (epoch ms), the schema's fields."""
    return {**_META, **{name: _TYPES[kind] for name, kind in SCHEMAS[stream].items()}}


def from_lines(
    stream: str, lines: Sequence[bytes], *, schema: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """The events of `lines`, each one line of JSON as `streams.events.encode` writes it.

    `schema`: the columns wanted, by default `columns(stream)`. Raises `ValueError` or
    `polars.exceptions.PolarsError` when one of them is not such an event.
    """
    return from_text(stream, b"\n".join(lines), len(lines), schema=schema)


def from_text(
    stream: str, text: bytes, events: int, *, schema: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """What `from_lines` makes of the lines that the text holds: so many events."""
    wanted = schema or columns(stream)
    frame = pl.concat([_read(piece, wanted) for piece in _pieces(text)], rechunk=True)
    frame = frame.with_columns(pl.coalesce("_key", "email").alias("_key"))
    if frame.height != events:
        raise ValueError(f"{events} lines hold {frame.height} events")
    if any(frame[name].null_count() for name in _META):
        raise ValueError(f"an event lacks one of {', '.join(_META)}")
    return frame


def _pieces(text: bytes) -> Iterator[bytes]:
    """The text in whole lines, some `PIECE_BYTES` at a time."""
    start = 0
    while start <= len(text):
        end = text.find(b"\n", start + PIECE_BYTES)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _read(lines: bytes, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Lines of JSON as one array, which is read at once.

    `read_ndjson` takes ten times as long for a few lines, and each query of the streaming engine, with which
    it reads, leaves something behind for ever. The line breaks stay, so no text goes on in the next line.
    """
    return pl.read_json(b"[" + lines.replace(b"\n", b",\n") + b"]", schema=schema)
