"""Listbridge itself: the shipped mapping, compiled; events in, what they add up to for each person out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from listbridge.aggregation import Program, compile_program, shipped, view
from listbridge.aggregation.frames import from_text
from listbridge.aggregation.reduction import Reduced, reduce_columns
from listbridge.streams.schemas import CM_ACTIVITY

READ_BYTES: Final = 32 << 20


@cache
def program() -> Program:
    """The shipped mapping of cm_activity, and nothing else: its fields are what the peers make."""
    return compile_program([mapping for mapping in shipped() if mapping.alias == "cm_activity_default"])


@cache
def _read() -> list[str]:
    return ["_key", "_time", "_received", *sorted(program().reads[CM_ACTIVITY])]


def from_columns(path: Path) -> Reduced:
    return reduce_columns(pl.read_parquet(path, columns=_read()), program(), CM_ACTIVITY)


def from_json(path: Path) -> Reduced:
    """Text to columns piece by piece, so that the text is never in memory as a whole; one reduce."""
    frames = []
    with path.open("rb") as file:
        while text := file.read(READ_BYTES):
            text += file.readline()
            frames.append(from_text(CM_ACTIVITY, text.removesuffix(b"\n"), text.count(b"\n")).select(_read()))
    return reduce_columns(pl.concat(frames), program(), CM_ACTIVITY)


def people(result: Reduced) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, partial in result.partials(program()).items():
        yield key, view(program(), partial)


program()
_read()
RUNS: Final = {"columns": from_columns, "json": from_json}
