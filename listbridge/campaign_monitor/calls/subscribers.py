"""Calls about the people in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ..answers import Answer, decode, error_body
from ..codes import IMPORT_HAD_FAILURES, NOT_IN_LIST
from ..errors import RowRefused, UnreadableAnswer
from ..http import Query
from ..limits import check_rows
from ..models import ImportResult, ImportRow, Page, Subscriber
from .caller import MAX_PAGE_SIZE, Caller, Direction, page_query, raise_for_error

State = Literal["active", "unconfirmed", "unsubscribed", "bounced", "deleted"]


class SubscriberCalls(Caller):
    """Reading, adding, changing and removing people."""

    def subscribers(
        self,
        list_id: str,
        state: State,
        *,
        date: str | None = None,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
        order_field: Literal["email", "name", "date"] = "date",
        order_direction: Direction = "asc",
        include_tracking: bool = False,
    ) -> Page[Subscriber]:
        """A page of the people in a state.

        `date` asks for those whose state changed since, in the client's zone: `YYYY-MM-DD`, and by
        most sources `YYYY-MM-DD HH:MM`; whether that moment counts is not settled, so overlap.
        `include_tracking` adds `consent_to_track`.
        """
        endpoint = f"GET /lists/{{list}}/{state}"
        query = page_query(endpoint, page, page_size, order_field, order_direction)
        query |= {"date": date, "includetrackingpreference": include_tracking}
        return self._page(endpoint, Subscriber, list_id, query=query)

    def subscriber(self, list_id: str, email: str, *, include_tracking: bool = False) -> Subscriber | None:
        """A person in any state, or None when the list never had the address."""
        query: Query = {"email": email, "includetrackingpreference": include_tracking}
        try:
            return self._value("GET /subscribers/{list}", Subscriber, list_id, query=query)
        except RowRefused as refused:
            if refused.code == NOT_IN_LIST:
                return None
            raise

    def import_subscribers(
        self,
        list_id: str,
        rows: Sequence[ImportRow],
        *,
        resubscribe: bool = False,
        queue_autoresponders: bool = False,
        restart_autoresponders: bool = False,
    ) -> ImportResult:
        """Add or update up to 1000 people; returns when they are stored.

        Rows that were refused are in the result's `failure_details`, the others are stored: that the
        API answers 400 with code 210 then is no error. The flags hold for all rows. Which of two
        rows with one address wins is not documented, so send each address once. Raises
        `LimitExceeded` (nothing sent) when rows hold a value over 250 characters.
        """
        endpoint = "POST /subscribers/{list}/import"
        check_rows(rows, endpoint)
        body = {
            "Subscribers": rows,
            "Resubscribe": resubscribe,
            "QueueSubscriptionBasedAutoResponders": queue_autoresponders,
            "RestartSubscriptionBasedAutoresponders": restart_autoresponders,
        }
        return self._call(endpoint, (list_id,), None, body, import_result)

    def add_subscriber(
        self, list_id: str, row: ImportRow, *, resubscribe: bool = False, restart_autoresponders: bool = False
    ) -> str:
        """Add or update one person; return the address. It is queued, so not visible at once."""
        endpoint = "POST /subscribers/{list}"
        body = _single_row(row, endpoint, resubscribe, restart_autoresponders)
        return self._value(endpoint, str, list_id, body=body)

    def update_subscriber(
        self,
        list_id: str,
        old_email: str,
        row: ImportRow,
        *,
        resubscribe: bool = False,
        restart_autoresponders: bool = False,
    ) -> None:
        """Change one person, also their address, in any state; who is inactive stays so.

        What the row has for a field of many options replaces all of it. Raises `RowRefused`: 203 when
        the list never had `old_email`, 201 when it already has the new address.
        """
        endpoint = "PUT /subscribers/{list}"
        body = _single_row(row, endpoint, resubscribe, restart_autoresponders)
        self._command(endpoint, list_id, query={"email": old_email}, body=body)

    def unsubscribe(self, list_id: str, email: str) -> None:
        """Unsubscribe a person, which also suppresses the address if the list is set so."""
        self._command("POST /subscribers/{list}/unsubscribe", list_id, body={"EmailAddress": email})

    def delete_subscriber(self, list_id: str, email: str) -> None:
        """Move a person to the state Deleted; the address is not suppressed."""
        self._command("DELETE /subscribers/{list}", list_id, query={"email": email})


def _single_row(
    row: ImportRow, endpoint: str, resubscribe: bool, restart_autoresponders: bool
) -> dict[str, Any]:
    check_rows([row], endpoint)
    fields: dict[str, Any] = msgspec.to_builtins(row)
    flags = {"Resubscribe": resubscribe, "RestartSubscriptionBasedAutoresponders": restart_autoresponders}
    return fields | flags


def import_result(answer: Answer) -> ImportResult:
    """What an import's answer says was done, whether all rows were stored (201) or some (400, 210)."""
    failed = error_body(answer) if answer.status == 400 else None
    if failed is None or failed.code != IMPORT_HAD_FAILURES:
        raise_for_error(answer)
        return decode(answer, ImportResult)
    try:
        return decode(answer, ImportResult, bytes(failed.result_data))
    except UnreadableAnswer as problem:
        problem.code = IMPORT_HAD_FAILURES
        raise
