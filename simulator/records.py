"""The whole state as one document, for a reckoning that trusts neither side."""

from __future__ import annotations

from typing import Any

from simulator.account import Account, Campaign, SubscriberList
from simulator.timezones import IANA


def records(account: Account) -> dict[str, Any]:
    """Everything, JSON-ready: clients, lists with their people, campaigns, report rows as the API gives
    them, every webhook event with what became of it, who opted out, and which API writes made somebody
    Active again who had opted out. Dates are naive in the client's zone; `at` is RFC 3339 in UTC.
    """
    clients = list(account.clients.values())
    lists = [owner for client in clients for owner in client.lists.values()]
    campaigns = [campaign for client in clients for campaign in client.campaigns.values()]
    return {
        "now": account.clock.now().isoformat(),
        "clients": [
            {
                "client_id": client.client_id,
                "name": client.name,
                "time_zone": IANA[client.time_zone],
                "time_zone_label": client.time_zone,
                "suppressed": [
                    {"email": entry.email, "reason": entry.reason, "date": entry.date}
                    for entry in client.suppressed.values()
                ],
            }
            for client in clients
        ],
        "lists": [_list(owner) for owner in lists],
        "campaigns": [_campaign(campaign) for campaign in campaigns],
        "reports": {
            campaign.campaign_id: {name: list(report.rows()) for name, report in campaign.reports.items()}
            for campaign in campaigns
        },
        "journeys": [
            {
                "journey_id": journey.journey_id,
                "list_id": journey.owner.list_id,
                "name": journey.name,
                "emails": [
                    {
                        "email_id": email.email_id,
                        "name": email.name,
                        "reports": {name: list(report.rows()) for name, report in email.reports.items()},
                    }
                    for email in journey.emails
                ],
            }
            for client in clients
            for journey in client.journeys.values()
        ],
        "webhook_events": [
            {
                "webhook_id": record.webhook_id,
                "list_id": record.list_id,
                "url": record.url,
                "event": record.event,
                "cause": record.cause,
                "delivered": record.delivered,
            }
            for record in account.webhook_events
        ],
        "opt_outs": list(account.opt_outs),
        "added_after_opt_out": list(account.added_after_opt_out),
    }


def _list(owner: SubscriberList) -> dict[str, Any]:
    return {
        "list_id": owner.list_id,
        "name": owner.title,
        "client_id": owner.client.client_id,
        "fields": [
            {"name": field.name, "key": field.key, "type": field.data_type, "options": list(field.options)}
            for field in owner.fields
        ],
        "segments": [
            {"segment_id": segment.segment_id, "title": segment.title, "rule_groups": segment.groups}
            for segment in owner.segments.values()
        ],
        "subscribers": [
            {
                "email": person.email,
                "name": person.name,
                "state": person.state,
                "date": person.date,
                "joined": person.joined,
                "values": {key: list(chosen) for key, chosen in person.values.items()},
            }
            for person in owner.subscribers.values()
        ],
    }


def _campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "client_id": campaign.client.client_id,
        "sent_date": campaign.sent_date,
        "lists": [owner.list_id for owner in campaign.lists],
        "segments": [segment.segment_id for segment in campaign.segments],
        # Every list of which somebody received it, through a segment too.
        "list_ids": sorted({list_id for _, list_id in campaign.audience}),
    }
