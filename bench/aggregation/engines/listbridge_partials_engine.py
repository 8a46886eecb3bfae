"""Listbridge as a fold needs it: each person's partial as Python objects, made from the columns."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.aggregation.engines.listbridge_engine import from_columns, from_json, program
from listbridge.aggregation import Partial, view


def _from_columns(path: Path) -> dict[str, Partial]:
    gc.disable()
    return from_columns(path).partials(program())


def _from_json(path: Path) -> dict[str, Partial]:
    gc.disable()
    return from_json(path).partials(program())


def people(result: dict[str, Partial]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, partial in result.items():
        yield key, view(program(), partial)


RUNS: Final = {"columns": _from_columns, "json": _from_json}
