"""Events as columns: lines of JSON to a frame with the stream's schema."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from listbridge.streams.schemas import SCHEMAS, FieldType

_TYPES: dict[FieldType, pl.DataType] = {
    "string": pl.String(),
    "int": pl.Int64(),
    "number": pl.Float64(),
    "bool": pl.Boolean(),
    "map": pl.List(pl.Struct({"k": pl.String(), "v": pl.String()})),
}


def columns(stream: str) -> dict[str, pl.DataType]:
    """The columns of a stream's frame: the schema's fields, `_key`, and `_time` and `_received` in epoch ms."""
    meta: dict[str, pl.DataType] = {"_key": pl.String(), "_time": pl.Int64(), "_received": pl.Int64()}
    return {**meta, **{name: _TYPES[kind] for name, kind in SCHEMAS[stream].items()}}


def from_lines(stream: str, bodies: Sequence[bytes]) -> pl.DataFrame:
    """The events of some entries, each a few lines of JSON as `streams.events.encode` writes them."""
    frame = pl.read_ndjson(b"\n".join(bodies), schema=columns(stream))
    return frame.with_columns(pl.coalesce("_key", "email").alias("_key"))
