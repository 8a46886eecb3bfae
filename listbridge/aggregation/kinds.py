"""The kinds a profile field can have, what fits them, and how their values look to a user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

import polars as pl

from listbridge.aggregation.values import Type, Value

Container = Literal["scalar", "set", "seen", "map"]
"""`seen` is a set that remembers when each of its values was last added."""
Element = Literal["string", "int", "number", "bool", "date", "intsum"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MIN_DATE_MS: Final = -62_135_596_800_000
MAX_DATE_MS: Final = 253_402_300_799_999
"""0001-01-01 and the last millisecond of 9999, UTC: what RFC 3339 can write."""


@dataclass(frozen=True)
class Kind:
    """A kind: its name in the language, its container, and the type of what is in it."""

    name: str
    container: Container
    element: Element

    def __str__(self) -> str:
        return self.name

    def shown(self, value: Any) -> Any:
        """A value of the element type as JSON: dates as `rfc3339`, all others as they are."""
        return rfc3339(value) if self.element == "date" else value


KINDS: Final = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("string", "scalar", "string"),
            Kind("int", "scalar", "int"),
            Kind("number", "scalar", "number"),
            Kind("bool", "scalar", "bool"),
            Kind("date", "scalar", "date"),
            Kind("[]string", "set", "string"),
            Kind("[]time", "set", "date"),
            Kind("ts[]string", "seen", "string"),
            Kind("map[string]string", "map", "string"),
            Kind("map[string]int", "map", "int"),
            Kind("map[string]number", "map", "number"),
            Kind("map[string]bool", "map", "bool"),
            Kind("map[string]time", "map", "date"),
            Kind("map[string]intsum", "map", "intsum"),
        )
    }
)

FITTING: Final[dict[Type, tuple[Element, ...]]] = {
    "string": ("string",),
    "int": ("int", "number", "date", "string", "intsum"),
    "number": ("number",),
    "bool": ("bool",),
    "time": ("date", "number"),
}
"""The elements that a value of a type can be stored as; the first is what it is by itself."""


def fitted(value: Value, element: Element) -> pl.Expr:
    """The value as it is stored for an element that is `FITTING` for its type.

    A date that RFC 3339 can't write is missing. A whole number stays whole as a `number`.
    """
    if element == "string" and value.type != "string":
        return value.expr.cast(pl.String)
    if element == "date":
        return pl.when(value.expr.is_between(MIN_DATE_MS, MAX_DATE_MS)).then(value.expr)
    return value.expr


def rfc3339(epoch_ms: int) -> str:
    """`2015-09-17T21:45:07.043Z` for 1442526307043."""
    moment = _EPOCH + timedelta(milliseconds=epoch_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
