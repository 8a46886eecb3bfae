"""/campaigns: the reports of sent campaigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, g

from simulator import wire
from simulator.changes import reader_of
from simulator.paging import page_request, since
from simulator.reports import REPORTS

_CLIENTS = {
    "Gmail": ("Gmail", "Gmail"),
    "Apple Mail": ("Apple Mail", "Apple Mail 16"),
    "Outlook": ("Microsoft Outlook", "Outlook 2021"),
    "": ("Undetectable", "Undetectable"),
}


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.get("/campaigns/<campaign_id>/summary.json")(summary)
    api.get("/campaigns/<campaign_id>/listsandsegments.json")(lists_and_segments)
    api.get("/campaigns/<campaign_id>/emailclientusage.json")(email_client_usage)
    for name in REPORTS:
        api.get(f"/campaigns/<campaign_id>/{name}.json", endpoint=f"report_{name}")(_report(name))


def summary(campaign_id: str) -> Response:
    campaign = wire.campaign_of(campaign_id)
    reports = campaign.reports
    view = f"https://createsend.example/t/r-{campaign_id[:16].upper()}"
    figures: dict[str, Any] = {
        "Name": campaign.name,
        "Recipients": len(reports["recipients"]),
        "TotalOpened": len(reports["opens"]),
        "Clicks": len(reports["clicks"].people()),
        "Unsubscribed": len(reports["unsubscribes"]),
        "Bounced": len(reports["bounces"]),
        "UniqueOpened": len(reports["opens"].people()),
        "Mentions": 0,
        "Forwards": 0,
        "Likes": 0,
        "WebVersionURL": view,
        "WebVersionTextURL": f"{view}/t",
        "WorldviewURL": f"https://client.createsend.example/reports/wv/r/{campaign_id[:16].upper()}",
        "SpamComplaints": len(reports["spam"]),
    }
    if g.version == "v3.2":
        del figures["Name"]
    return wire.reply(figures)


def lists_and_segments(campaign_id: str) -> Response:
    campaign = wire.campaign_of(campaign_id)
    return wire.reply(
        {
            "Lists": [{"ListID": owner.list_id, "Name": owner.title} for owner in campaign.lists],
            "Segments": [
                {"ListID": one.owner.list_id, "SegmentID": one.segment_id, "Title": one.title}
                for one in campaign.segments
            ],
        }
    )


def email_client_usage(campaign_id: str) -> Response:
    readers = wire.campaign_of(campaign_id).reports["opens"].people()
    usage = Counter(_CLIENTS[reader_of(email)] for email in readers)
    return wire.reply(
        [
            {
                "Client": client,
                "Version": version,
                "Percentage": round(100 * count / len(readers), 2),
                "Subscribers": count,
            }
            for (client, version), count in usage.most_common()
        ]
    )


def _report(name: str) -> Callable[[str], Response]:
    dated = name != "recipients"
    orders = ["email", "list", "date"] if dated else ["email", "list"]

    def view(campaign_id: str) -> Response:
        campaign, query = wire.campaign_of(campaign_id), wire.query()
        request = page_request(query, orders, "date" if dated else "email")
        start = since(query) if dated else None
        rows = campaign.reports[name].rows(request.order_field, start, inclusive=wire.inclusive())
        return wire.reply(wire.page(rows, request))

    return view
