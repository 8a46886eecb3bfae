"""Trying a mapping's columns on made-up events before it can be used: what passes the checks of types
can still be something that Polars can't compute, and that must not be found out by the events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl
from polars.exceptions import PanicException

from listbridge.aggregation import values
from listbridge.aggregation.columns import Contribution
from listbridge.aggregation.expressions import error
from listbridge.aggregation.frames import columns
from listbridge.aggregation.syntax import canonical
from listbridge.streams.schemas import SCHEMAS, FieldType

_SAMPLES: Final[Mapping[FieldType, tuple[Any, ...]]] = {
    "string": ("a", "https://example.com/a/b?c=d", "2015-09-17T21:45:07Z", "-1", ""),
    "int": (0, 1, -1, 2**63 - 1, -(2**63)),
    "number": (0.0, 1.5, -1.5, 1e300, -1e300),
    "bool": (True, False, True, False, True),
    "map": (
        [{"k": "a", "v": "b"}],
        [{"k": "", "v": ""}],
        [],
        [{"k": "1", "v": "2"}],
        [{"k": "a", "v": "b"}] * 2,
    ),
}


def probe(stream: str, contributions: Iterable[Contribution]) -> None:
    """Evaluate every column for events with nothing in them, and for some with everything.

    Raises `MappingError` with the place of a column that can't be computed.
    """
    for events in (_nothing(stream), _everything(stream)):
        for contribution in contributions:
            for expr in contribution.expressions:
                try:
                    events.select(expr)
                except (Exception, PanicException) as problem:
                    reason = str(problem).strip().partition("\n")[0][:200]
                    found = f"{canonical(contribution.column.expression)}, which fails: {reason}"
                    raise error(contribution.column.place, found, "something that can be computed") from None


def _nothing(stream: str) -> pl.DataFrame:
    rows = [{"_key": "a", "_time": 0, "_received": 0}]
    return _normalised(stream, pl.DataFrame(rows, schema=columns(stream)))


def _everything(stream: str) -> pl.DataFrame:
    fields = {name: _SAMPLES[kind] for name, kind in SCHEMAS[stream].items()}
    times = [0, 1_442_526_307_043, -1, 253_402_300_799_999, -62_135_596_800_000]
    held = {"_key": ["a"] * len(times), "_time": times, "_received": times, **fields}
    return _normalised(stream, pl.DataFrame(held, schema=columns(stream), strict=False))


def _normalised(stream: str, frame: pl.DataFrame) -> pl.DataFrame:
    fields = [values.field(name, kind) for name, kind in SCHEMAS[stream].items()]
    return frame.select("_time", "_received", *fields)
