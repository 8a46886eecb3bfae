"""What was sent: campaigns, and the automated e-mails of journeys, with the counts of their summaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from listbridge.campaign_monitor.journeys import JOURNEY_ROWS
from listbridge.campaign_monitor.models import Campaign, CampaignSummary, JourneyEmail, JourneySummary
from listbridge.campaign_monitor.reports import REPORTS, ReportName

Kind = Literal["campaign", "journey"]


class Counted(msgspec.Struct, frozen=True):
    """The counts of a summary, and when they were read (epoch ms)."""

    at: int
    counts: dict[str, int]


class Mailing(msgspec.Struct, frozen=True):
    """Something that was sent to `lists`. `sent_at` is epoch ms, 0 for what is sent again and again."""

    kind: Kind
    campaign: Campaign
    lists: tuple[str, ...]
    sent_at: int
    counted: Counted

    @property
    def name(self) -> str:
        return self.campaign.name

    @property
    def reports(self) -> tuple[ReportName, ...]:
        """Those that there are of it."""
        return tuple(each for each in REPORTS if self.kind == "campaign" or each in JOURNEY_ROWS)

    def takes_date(self, report: ReportName) -> bool:
        """Can the report be read since a time?"""
        return self.kind == "journey" or REPORTS[report].takes_date

    def cursor(self, report: str, list_id: str) -> str:
        """The name of the position in a report, for one list."""
        return f"{self.kind}:{self.campaign.campaign_id}:{report}:{list_id}"


def automated(journey: JourneySummary, email: JourneyEmail, list_id: str, at: int) -> Mailing:
    """An automated e-mail as a mailing: its rows carry its id and name where a campaign's carry theirs."""
    campaign = Campaign(email.email_id, f"{journey.name}: {email.name}", "", total_recipients=email.sent)
    counts = {
        "recipients": email.sent,
        "opens": email.opened,
        "openers": email.unique_opened,
        "clickers": email.clicked,
        "bounces": email.bounced,
        "unsubscribes": email.unsubscribed,
    }
    return Mailing("journey", campaign, (list_id,), 0, Counted(at, counts))


def counts_of(summary: CampaignSummary) -> Mapping[str, int]:
    """A campaign's counts under our names."""
    return {
        "recipients": summary.recipients,
        "opens": summary.total_opened,
        "openers": summary.unique_opened,
        "clickers": summary.clicks,
        "bounces": summary.bounced,
        "unsubscribes": summary.unsubscribed,
        "complaints": summary.spam_complaints,
    }
