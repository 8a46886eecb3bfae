"""What every call does: send, raise for an error, decode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from ..answers import Answer, decode, decode_page, error_of
from ..http import Query, Transport
from ..limits import check_page
from ..models import Page

T = TypeVar("T")

Direction = Literal["asc", "desc"]
MAX_PAGE_SIZE = 1000


class Caller:
    """Base of the groups of calls. An endpoint is `METHOD /path/{id}/…`; ids fill it in order."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _value(
        self, endpoint: str, shape: type[T], *ids: str, query: Query | None = None, body: Any = None
    ) -> T:
        """Make a call that answers with a value."""

        def read(answer: Answer) -> T:
            raise_for_error(answer)
            return decode(answer, shape)

        return self._call(endpoint, ids, query, body, read)

    def _page(self, endpoint: str, row: type[T], *ids: str, query: Query) -> Page[T]:
        """Make a call that answers with a page of rows."""

        def read(answer: Answer) -> Page[T]:
            raise_for_error(answer)
            return decode_page(answer, row)

        return self._call(endpoint, ids, query, None, read)

    def _command(self, endpoint: str, *ids: str, query: Query | None = None, body: Any = None) -> None:
        """Make a call that answers with nothing: an empty body, or JSON that says nothing more."""

        def read(answer: Answer) -> None:
            raise_for_error(answer)
            if answer.body.strip():
                decode(answer, msgspec.Raw)

        self._call(endpoint, ids, query, body, read)

    def _call(
        self, endpoint: str, ids: tuple[str, ...], query: Query | None, body: Any, read: Callable[[Answer], T]
    ) -> T:
        encoded = None if body is None else msgspec.json.encode(body)
        return self._transport.call(endpoint, ids, query or {}, encoded, read)


def raise_for_error(answer: Answer) -> None:
    """Raise the `ApiError` that the answer is, if it is one."""
    error = error_of(answer)
    if error:
        raise error


def page_query(
    endpoint: str, page: int, page_size: int, order_field: str | None, order_direction: Direction
) -> dict[str, str | int | bool | None]:
    """The parameters of a paged call. The order is always sent: sources differ on the defaults."""
    check_page(page, page_size, endpoint)
    return {"page": page, "pagesize": page_size, "orderfield": order_field, "orderdirection": order_direction}
