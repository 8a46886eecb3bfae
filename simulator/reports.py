"""Campaign reports: rows as the API gives them, kept in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """Who a campaign was sent to. The only report without dates."""

    EmailAddress: str
    ListID: str


class Open(msgspec.Struct, frozen=True, gc=False):
    """One opening."""

    EmailAddress: str
    ListID: str
    Date: str
    IPAddress: str
    Latitude: float
    Longitude: float
    City: str
    Region: str
    CountryCode: str
    CountryName: str


class Click(msgspec.Struct, frozen=True, gc=False):
    """One click on a link."""

    EmailAddress: str
    URL: str
    ListID: str
    Date: str
    IPAddress: str
    Latitude: float
    Longitude: float
    City: str
    Region: str
    CountryCode: str
    CountryName: str


class Bounce(msgspec.Struct, frozen=True, gc=False):
    """One bounce; BounceType is Soft or Hard."""

    EmailAddress: str
    ListID: str
    BounceType: str
    Date: str
    Reason: str


class Unsubscribe(msgspec.Struct, frozen=True, gc=False):
    """One use of the unsubscribe link."""

    EmailAddress: str
    ListID: str
    Date: str
    IPAddress: str


class SpamComplaint(msgspec.Struct, frozen=True, gc=False):
    """One spam complaint."""

    EmailAddress: str
    ListID: str
    Date: str


REPORTS = ("recipients", "opens", "clicks", "bounces", "unsubscribes", "spam")

_date = attrgetter("Date")
_ORDERS: dict[str, Callable[[Any], Any]] = {
    "date": attrgetter("Date", "EmailAddress"),
    "email": attrgetter("EmailAddress"),
    "list": attrgetter("ListID", "EmailAddress"),
}


class Report:
    """One report of one campaign, ascending by date (recipients: by address); ties keep arrival order."""

    def __init__(self, rows: Iterable[Any] = (), main_order: str = "date") -> None:
        self._key = _ORDERS[main_order]
        self._main_order = main_order
        self._rows = sorted(rows, key=self._key)
        self._orders: dict[str, list[Any]] = {}
        self._people: tuple[int, frozenset[str]] = (0, frozenset())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Any) -> None:
        """Put a row where its date belongs, which may be before rows that were read already."""
        insort(self._rows, row, key=self._key)
        self._orders.clear()

    def rows(self, order: str = "", since: str | None = None, *, inclusive: bool = True) -> Sequence[Any]:
        """Rows ascending by email, list or date, dated from `since` on; not to be changed."""
        order = order or self._main_order
        if since is None:
            return self._ordered(order)
        bisect = bisect_left if inclusive else bisect_right
        recent = self._rows[bisect(self._rows, since, key=_date) :]
        return recent if order == "date" else sorted(recent, key=_ORDERS[order])

    def _ordered(self, order: str) -> list[Any]:
        if order == self._main_order:
            return self._rows
        if order not in self._orders:
            self._orders[order] = sorted(self._rows, key=_ORDERS[order])
        return self._orders[order]

    def people(self) -> frozenset[str]:
        """The addresses in the report."""
        size, people = self._people
        if size != len(self._rows):
            people = frozenset(row.EmailAddress for row in self._rows)
            self._people = (len(self._rows), people)
        return people


def empty() -> dict[str, Report]:
    """The reports of a campaign that nobody has received."""
    return {name: Report(main_order="email" if name == "recipients" else "date") for name in REPORTS}
