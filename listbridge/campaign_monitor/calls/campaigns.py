"""Calls about sent campaigns and their reports."""

from __future__ import annotations

from ..errors import InvalidRequest
from ..models import CampaignSummary, ListsAndSegments, Page
from ..reports import REPORTS, ReportName, ReportRow
from .caller import MAX_PAGE_SIZE, Caller, Direction, page_query


class CampaignCalls(Caller):
    """Campaigns and what people did with them."""

    def campaign_summary(self, campaign_id: str) -> CampaignSummary:
        """A campaign's totals."""
        return self._value("GET /campaigns/{campaign}/summary", CampaignSummary, campaign_id)

    def campaign_lists_and_segments(self, campaign_id: str) -> ListsAndSegments:
        """The lists and segments that a campaign was sent to."""
        return self._value("GET /campaigns/{campaign}/listsandsegments", ListsAndSegments, campaign_id)

    def report(
        self,
        campaign_id: str,
        report: ReportName,
        *,
        date: str | None = None,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
        order_field: str | None = None,
        order_direction: Direction = "asc",
    ) -> Page[ReportRow]:
        """A page of a campaign's report; its rows are `REPORTS[report].row`.

        `date` asks for what happened since a time, `YYYY-MM-DD HH:MM` in the client's zone (see
        `timezones.to_text`); sources differ on whether that minute counts, so overlap. Raises
        `InvalidRequest` for a date or an order that the report doesn't take.
        """
        kind = REPORTS[report]
        endpoint = f"GET /campaigns/{{campaign}}/{report}"
        order = order_field or kind.default_order
        if order not in kind.order_fields:
            raise InvalidRequest(f"{report} are ordered by {', '.join(kind.order_fields)}", endpoint=endpoint)
        if date is not None and not kind.takes_date:
            raise InvalidRequest(f"{report} have no date", endpoint=endpoint)
        query = page_query(endpoint, page, page_size, order, order_direction) | {"date": date}
        return self._page(endpoint, kind.row, campaign_id, query=query)
