"""Calls about the account and its clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..models import (
    Campaign,
    Client,
    ListMembership,
    NamedClient,
    NamedList,
    Page,
    SuppressedAddress,
    SystemDate,
)
from .caller import MAX_PAGE_SIZE, Caller, Direction, page_query


class ClientCalls(Caller):
    """Clients, their lists, campaigns and suppression list."""

    def system_date(self) -> str:
        """The account's local time, `YYYY-MM-DD HH:MM:SS`; not in the client's zone."""
        return self._value("GET /systemdate", SystemDate).system_date

    def clients(self) -> tuple[NamedClient, ...]:
        """The clients that the credential shows."""
        return self._value("GET /clients", tuple[NamedClient, ...])

    def client(self, client_id: str) -> Client:
        """A client's name, country and time zone."""
        return self._value("GET /clients/{client}", Client, client_id)

    def lists(self, client_id: str) -> tuple[NamedList, ...]:
        """All lists of a client."""
        return self._value("GET /clients/{client}/lists", tuple[NamedList, ...], client_id)

    def lists_for_email(self, client_id: str, email: str) -> tuple[ListMembership, ...]:
        """The client's lists that have the address in any state."""
        endpoint = "GET /clients/{client}/listsforemail"
        return self._value(endpoint, tuple[ListMembership, ...], client_id, query={"email": email})

    def campaigns(
        self,
        client_id: str,
        *,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
        sent_from: str | None = None,
        sent_to: str | None = None,
        order_direction: Direction = "asc",
    ) -> Page[Campaign]:
        """A page of the sent campaigns, by the time they were sent.

        `sent_from` and `sent_to` are days in the client's zone, `YYYY-MM-DD`; sources differ on
        whether they count themselves, so overlap by a day.
        """
        endpoint = "GET /clients/{client}/campaigns"
        dates = {"sentFromDate": sent_from, "sentToDate": sent_to}
        query = page_query(endpoint, page, page_size, None, order_direction) | dates
        return self._page(endpoint, Campaign, client_id, query=query)

    def suppression_list(
        self,
        client_id: str,
        *,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
        order_field: Literal["email", "date"] = "date",
        order_direction: Direction = "asc",
    ) -> Page[SuppressedAddress]:
        """A page of the addresses that the client never sends to."""
        endpoint = "GET /clients/{client}/suppressionlist"
        query = page_query(endpoint, page, page_size, order_field, order_direction)
        return self._page(endpoint, SuppressedAddress, client_id, query=query)

    def suppress(self, client_id: str, emails: Sequence[str]) -> None:
        """Put addresses on the client's suppression list."""
        self._command("POST /clients/{client}/suppress", client_id, body={"EmailAddresses": list(emails)})

    def unsuppress(self, client_id: str, email: str) -> None:
        """Take an address off the suppression list. Raises `RowRefused` (code 176) when it isn't on it."""
        self._command("PUT /clients/{client}/unsuppress", client_id, query={"email": email})
