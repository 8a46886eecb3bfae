"""The engines: each module holds what one of them does, as a competent user of it would write it.

A module has `RUNS`, by mode a function from the input's path to the engine's natural result, and
`people`, which reads such a result as (key, fields) outside the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

NAMES: Final = ("listbridge", "listbridge_partials", "polars", "duckdb", "bytewax", "python", "msgspec")
OURS: Final = "listbridge"
READ: Final = (
    "_key",
    "_time",
    "_received",
    "event",
    "status",
    "origin",
    "city",
    "region",
    "cc",
    "campaign_id",
    "campaign_name",
    "client_id",
    "client_name",
    "list_id",
    "list_name",
    "url",
)
"""The columns that the shipped mapping of cm_activity needs, beside `email`, which is the key."""


class Engine(Protocol):
    RUNS: Mapping[str, Callable[[Path], Any]]

    def people(self, result: Any) -> Iterable[tuple[str, dict[str, Any]]]:
        """Each person's key and fields, as `canonical` takes them."""
        ...


def load(name: str) -> Engine:
    """The engine of this name. Raises ImportError when its package isn't installed."""
    return cast(Engine, import_module(f"bench.aggregation.engines.{name}_engine"))
