from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from listbridge.aggregation import Program, compile_program, shipped
from listbridge.streams.schemas import SCHEMAS

DTYPES = {
    "string": pl.String(),
    "int": pl.Int64(),
    "number": pl.Float64(),
    "bool": pl.Boolean(),
    "map": pl.List(pl.Struct({"k": pl.String(), "v": pl.String()})),
}
META = {"_key": pl.String(), "_time": pl.Int64(), "_received": pl.Int64()}


def _cell(value: Any) -> Any:
    return [{"k": k, "v": v} for k, v in value.items()] if isinstance(value, dict) else value


def _frame(schema: Mapping[str, str], events: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    rows = [{"_key": "bob@bob.com", "_time": 0, "_received": 0} | event for event in events]
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    return pl.DataFrame(cells, schema=META | {name: DTYPES[kind] for name, kind in schema.items()})


@pytest.fixture(scope="session")
def frame() -> Callable[[str, Sequence[Mapping[str, Any]]], pl.DataFrame]:
    """Events of a stream, as `reduce` takes them."""
    return lambda stream, events: _frame(SCHEMAS[stream], events)


@pytest.fixture(scope="session")
def frame_of() -> Callable[[Mapping[str, str], Sequence[Mapping[str, Any]]], pl.DataFrame]:
    """Events of any schema."""
    return _frame


@pytest.fixture(scope="session")
def program() -> Program:
    return compile_program(shipped())
