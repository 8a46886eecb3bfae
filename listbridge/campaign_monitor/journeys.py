"""The reports of a journey's automated e-mails: rows like a campaign's, without a list.

Shapes as recorded in createsend-python (test/fixtures/journey_email_*).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from .models import Model
from .reports import Bounce, Click, Open, ReportRow, Sent, Unsubscribe

JourneyReportName = Literal["recipients", "opens", "clicks", "bounces", "unsubscribes"]


class JourneyRow(Model, frozen=True):
    """A person of an automated e-mail."""

    email_address: str


class JourneyRecipient(JourneyRow, frozen=True):
    """Someone whom the e-mail was sent to, and when."""

    date: str = msgspec.field(name="SentDate")


class JourneyOpen(JourneyRow, frozen=True):
    """One opening."""

    date: str
    ip_address: str | None = ""
    latitude: float | None = None
    longitude: float | None = None
    city: str | None = ""
    region: str | None = ""
    country_code: str | None = ""
    country_name: str | None = ""


class JourneyClick(JourneyOpen, frozen=True, kw_only=True):
    """One click on a link."""

    url: str


class JourneyBounce(JourneyRow, frozen=True):
    """A bounce, `Soft` or `Hard`."""

    bounce_type: str
    date: str
    reason: str | None = ""


class JourneyUnsubscribe(JourneyRow, frozen=True):
    """Someone unsubscribed through the e-mail."""

    date: str
    ip_address: str | None = ""


JOURNEY_ROWS: Mapping[JourneyReportName, type[JourneyRow]] = {
    "recipients": JourneyRecipient,
    "opens": JourneyOpen,
    "clicks": JourneyClick,
    "bounces": JourneyBounce,
    "unsubscribes": JourneyUnsubscribe,
}
"""Report -> its rows. All have a date, recipients too, so all can be read since one."""

_BECOMES: Mapping[type[JourneyRow], type[ReportRow]] = {
    JourneyRecipient: Sent,
    JourneyOpen: Open,
    JourneyClick: Click,
    JourneyBounce: Bounce,
    JourneyUnsubscribe: Unsubscribe,
}


def of_list(row: JourneyRow, list_id: str) -> ReportRow:
    """The row as a campaign's report would have it, sent through a list."""
    return _BECOMES[type(row)](list_id=list_id, **msgspec.structs.asdict(row))
