"""How two states of one field become one. Each operation is commutative and associative.

A state is plain data that MessagePack can hold:

========================  ==========================================================
sum, max, min             a number; times are epoch milliseconds
total                     a decimal number, as text in its one shortest form
latest, oldest            [event time, time received, value], times in epoch ms; a whole list is
                          sorted, a whole map a list of [key, value] sorted by key
union                     a sorted list of distinct text or times
any of the first, mapped  an object of text to such states, joined key by key
========================  ==========================================================
"""

from __future__ import annotations

import json
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final, Literal

Join = Callable[[Any, Any], Any]
Fold = Literal["sum", "total", "max", "min", "latest", "oldest", "union"]

_EXACT: Final = Context(prec=2000)
"""More digits than any sum of 64-bit numbers, whole or floating, has."""
_FEW: Final = 8
"""Up to here, values are put one by one into a sorted list."""


def total(numbers: Iterable[int | float | str]) -> str:
    """Return the exact sum of numbers, each as it is written in decimal, as text in its shortest form."""
    result = Decimal(0)
    for number in numbers:
        result = _EXACT.add(result, Decimal(str(number)))
    return str(result.normalize(_EXACT)) if result else "0"


def _union(a: list[Any], b: list[Any]) -> list[Any]:
    """Two sorted lists of distinct values as one; the longer one itself when it holds all."""
    most, few = (a, b) if len(a) >= len(b) else (b, a)
    return most if all(_holds(most, value) for value in few) else _insert(most.copy(), few)


def _insert(a: list[Any], b: list[Any]) -> list[Any]:
    if len(b) > _FEW:
        return sorted({*a, *b})
    for value in b:
        place = bisect_left(a, value)
        if place == len(a) or a[place] != value:
            a.insert(place, value)
    return a


def _holds(ordered: list[Any], value: Any) -> bool:
    place = bisect_left(ordered, value)
    return place < len(ordered) and ordered[place] == value


JOINS: Final[dict[Fold, Join]] = {
    "sum": operator.add,
    "total": lambda a, b: total((a, b)),
    "max": max,
    "min": min,
    "latest": max,
    "oldest": min,
    "union": _union,
}


@dataclass(frozen=True)
class Operation:
    """What becomes of a field's values over all events: folded to one, or to one for each key of a map.

    `whole` values are lists or maps of which one event's is taken as it is.
    """

    fold: Fold
    mapped: bool = False
    whole: bool = False

    @property
    def timed(self) -> bool:
        """Whether the state holds the event's times beside the value."""
        return self.fold in ("latest", "oldest")

    @property
    def name(self) -> str:
        """As it is shown: the fold, and `per key` if it is one for each key of a map."""
        return f"{self.fold} per key" if self.mapped else self.fold

    def __str__(self) -> str:
        return self.name

    def join(self) -> Join:
        """The function that joins two states. It changes neither, and may return one of them."""
        join = JOINS[self.fold]
        return _per_key(join) if self.mapped else join

    def absorb(self) -> Join:
        """The function that adds the second state to the first, which it may change, and returns the sum."""
        if self.fold == "sum" and self.mapped:
            return _add_counts
        if self.mapped:
            return _absorbing_keys(JOINS[self.fold])
        return _insert if self.fold == "union" else JOINS[self.fold]


def _per_key(join: Join) -> Join:
    def join_maps(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        most, few = (a, b) if len(a) >= len(b) else (b, a)
        joined = most.copy()
        for key, state in few.items():
            held = joined.get(key)
            joined[key] = state if held is None else join(held, state)
        return joined

    return join_maps


def _absorbing_keys(join: Join) -> Join:
    def absorb(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        for key, state in b.items():
            held = a.get(key)
            a[key] = state if held is None else join(held, state)
        return a

    return absorb


def _add_counts(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    for key, count in b.items():
        a[key] = a.get(key, 0) + count
    return a


def keep_greatest(a: Any, b: Any) -> Any:
    """Join two states of an unknown operation: the greater in a fixed order of their text."""
    return max(a, b, key=lambda state: json.dumps(state, sort_keys=True))
