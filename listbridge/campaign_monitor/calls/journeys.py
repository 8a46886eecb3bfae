"""Calls about journeys and the reports of their automated e-mails (createsend-python, `journey_email`)."""

from __future__ import annotations

from typing import get_args

import msgspec

from ..errors import InvalidRequest
from ..journeys import JOURNEY_ROWS, JourneyReportName, JourneyRow, of_list
from ..models import JourneySummary, NamedJourney, Page
from ..reports import ReportRow
from .caller import MAX_PAGE_SIZE, Caller, Direction, page_query


class JourneyCalls(Caller):
    """Journeys, and what people did with their e-mails."""

    def journeys(self, client_id: str) -> tuple[NamedJourney, ...]:
        """All journeys of a client, each with the list that starts it."""
        return self._value("GET /clients/{client}/journeys", tuple[NamedJourney, ...], client_id)

    def journey_summary(self, journey_id: str) -> JourneySummary:
        """A journey's e-mails with their totals."""
        return self._value("GET /journeys/{journey}", JourneySummary, journey_id)

    def journey_report(
        self,
        email_id: str,
        report: JourneyReportName,
        list_id: str,
        *,
        date: str | None = None,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
        order_direction: Direction = "asc",
    ) -> Page[ReportRow]:
        """A page of an automated e-mail's report; the rows say no list, so they get the journey's.

        All reports, recipients too, are ordered by date and can be asked for since one (`YYYY-MM-DD HH:MM`
        in the client's zone). Raises `InvalidRequest` for a report that journeys don't have.
        """
        endpoint = f"GET /journeys/email/{{email}}/{report}"
        if report not in JOURNEY_ROWS:
            known = ", ".join(get_args(JourneyReportName))
            raise InvalidRequest(f"journeys have no report {report!r}, only {known}", endpoint=endpoint)
        query = page_query(endpoint, page, page_size, None, order_direction) | {"date": date}
        found: Page[JourneyRow] = self._page(endpoint, JOURNEY_ROWS[report], email_id, query=query)
        rows = [of_list(row, list_id) for row in found.results]
        return Page(**msgspec.structs.asdict(found) | {"results": rows})
