"""What was sent: campaigns, and the automated e-mails of journeys, with the counts of their summaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from listbridge.campaign_monitor.models import Campaign, CampaignSummary

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

    def cursor(self, report: str, list_id: str) -> str:
        """The name of the position in a report, for one list."""
        return f"{self.kind}:{self.campaign.campaign_id}:{report}:{list_id}"


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
