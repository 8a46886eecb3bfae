"""Pages: reading the query, cutting the rows, writing the envelope."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from simulator.errors import ApiError

Row = TypeVar("Row")

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d)?)?")


@dataclass(frozen=True)
class PageRequest:
    """Which page of which order was asked for; `number` counts from 1."""

    number: int
    size: int
    order_field: str
    descending: bool


def page_request(
    query: Mapping[str, str],
    order_fields: Sequence[str],
    default: str,
    *,
    descending: bool = False,
    smallest: int = 10,
) -> PageRequest:
    """Read page, pagesize, orderfield and orderdirection (names in lower case, empties dropped).

    Raises `ApiError` 800, 801, 802 or 803. `smallest` is the least page size that is accepted.
    """
    number = _whole(query.get("page", "1"))
    if number is None or number < 1:
        raise ApiError(800)
    size = _whole(query.get("pagesize", "1000"))
    if size is None or not smallest <= size <= 1000:
        raise ApiError(801)
    order_field = query.get("orderfield", default).lower()
    if order_field not in (field.lower() for field in order_fields):
        raise ApiError(802)
    direction = query.get("orderdirection", "desc" if descending else "asc").lower()
    if direction not in ("asc", "desc"):
        raise ApiError(803)
    return PageRequest(number, size, order_field, direction == "desc")


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def since(query: Mapping[str, str]) -> str | None:
    """The `date` filter as `YYYY-MM-DD HH:MM:SS`, or None. Raises `ApiError` 5."""
    text = query.get("date")
    return None if text is None else timestamp(text, 5)


def timestamp(text: str, code: int) -> str:
    """`YYYY-MM-DD[ HH:MM[:SS]]` written in full. Raises `ApiError` with `code` for anything else."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise ApiError(code)
    full = f"{match[1]} {match[2] or '00:00'}{match[3] or ':00'}"
    try:
        datetime.fromisoformat(full)
    except ValueError:
        raise ApiError(code) from None
    return full


def cut(rows: Sequence[Row], request: PageRequest) -> Sequence[Row]:
    """The page's rows out of all rows in ascending order; empty past the end."""
    start = (request.number - 1) * request.size
    if not request.descending:
        return rows[start : start + request.size]
    stop = max(len(rows) - start, 0)
    return rows[max(stop - request.size, 0) : stop][::-1]


def envelope(
    results: Sequence[Any], total: int, request: PageRequest, *, ordered_by: str = "", empty_pages: int = 1
) -> dict[str, Any]:
    """The paging envelope, keys in the recorded order; `empty_pages` is NumberOfPages of no rows."""
    return {
        "Results": results,
        "ResultsOrderedBy": ordered_by or request.order_field,
        "OrderDirection": "desc" if request.descending else "asc",
        "PageNumber": request.number,
        "PageSize": request.size,
        "RecordsOnThisPage": len(results),
        "TotalNumberOfRecords": total,
        "NumberOfPages": -(-total // request.size) or empty_pages,
    }
