"""The reports of a sent campaign: their rows, and what each can be ordered by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .models import Model

ReportName = Literal["recipients", "opens", "clicks", "bounces", "unsubscribes", "spam"]


class ReportRow(Model, frozen=True):
    """A person of a campaign and the list through which it was sent to them."""

    email_address: str
    list_id: str


class Recipient(ReportRow, frozen=True):
    """Someone whom the campaign was sent to, at the campaign's `sent_date`."""


class DatedRow(ReportRow, frozen=True):
    """A row with a time: naive, in the client's zone, to the minute."""

    date: str


class Sent(DatedRow, frozen=True):
    """Someone whom an automated e-mail was sent to, which can happen again."""


class SpamComplaint(DatedRow, frozen=True):
    """Someone marked the campaign as spam."""


class Bounce(DatedRow, frozen=True):
    """`bounce_type` is `Soft` or `Hard`; it does not follow from the address or the reason."""

    bounce_type: str
    reason: str | None = ""


class Unsubscribe(DatedRow, frozen=True):
    """Someone unsubscribed through the campaign."""

    ip_address: str | None = ""


class Open(DatedRow, frozen=True):
    """One opening. The place is looked up by the service from the address and may be missing."""

    ip_address: str | None = ""
    latitude: float | None = None
    longitude: float | None = None
    city: str | None = ""
    region: str | None = ""
    country_code: str | None = ""
    country_name: str | None = ""


class Click(Open, frozen=True, kw_only=True):
    """One click on a link; equal rows within a minute are separate clicks."""

    url: str


@dataclass(frozen=True)
class Report:
    """What a report's rows are. `takes_date`: whether it can be read since a time."""

    row: type[ReportRow]
    order_fields: tuple[str, ...]
    takes_date: bool

    @property
    def default_order(self) -> str:
        """By date where there is one, so that what arrives during the read is at the end."""
        return "date" if self.takes_date else "email"


_BY_DATE = ("email", "list", "date")

REPORTS: dict[ReportName, Report] = {
    "recipients": Report(Recipient, ("email", "list"), takes_date=False),
    "opens": Report(Open, _BY_DATE, takes_date=True),
    "clicks": Report(Click, _BY_DATE, takes_date=True),
    "bounces": Report(Bounce, _BY_DATE, takes_date=True),
    "unsubscribes": Report(Unsubscribe, _BY_DATE, takes_date=True),
    "spam": Report(SpamComplaint, _BY_DATE, takes_date=True),
}
