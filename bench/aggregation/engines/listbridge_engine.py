"""Listbridge itself: the shipped mapping, compiled; a frame of events in, a partial for each person out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from listbridge.aggregation import Partial, Program, compile_program, reduce, shipped, view
from listbridge.aggregation.frames import from_lines
from listbridge.streams.schemas import CM_ACTIVITY

READ_BYTES: Final = 32 << 20


@cache
def program() -> Program:
    """The shipped mapping of cm_activity, and nothing else: its fields are what the peers make."""
    return compile_program([mapping for mapping in shipped() if mapping.stream.text == CM_ACTIVITY])


@cache
def _read() -> list[str]:
    fields = {name for _, each in program().contributions[CM_ACTIVITY] for name in each.reads}
    return ["_key", "_time", "_received", *sorted(fields)]


def _from_columns(path: Path) -> dict[str, Partial]:
    return reduce(pl.read_parquet(path, columns=_read()), program(), CM_ACTIVITY)


def _from_lines(path: Path) -> dict[str, Partial]:
    """Text to columns piece by piece, so that the text is never in memory as a whole; one reduce."""
    frames = []
    with path.open("rb") as file:
        while lines := file.readlines(READ_BYTES):
            frames.append(from_lines(CM_ACTIVITY, lines).select(_read()))
    return reduce(pl.concat(frames), program(), CM_ACTIVITY)


def people(result: dict[str, Partial]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, partial in result.items():
        yield key, view(program(), partial)


program()
_read()
RUNS: Final = {"columns": _from_columns, "json": _from_lines}
