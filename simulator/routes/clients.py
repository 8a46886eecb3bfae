"""/clients, and what belongs to the account."""

from __future__ import annotations

from operator import attrgetter

from flask import Blueprint, Response, g

from simulator import changes, subscribing, wire
from simulator.account import Campaign
from simulator.catalogue import COUNTRIES
from simulator.errors import ApiError
from simulator.paging import page_request, timestamp
from simulator.rows import lists_for_email
from simulator.timezones import IANA


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.get("/clients.json")(clients)
    api.get("/systemdate.json")(system_date)
    api.get("/timezones.json")(time_zones)
    api.get("/countries.json")(countries)
    api.get("/billingdetails.json")(billing)
    api.get("/clients/<client_id>.json")(details)
    api.get("/clients/<client_id>/lists.json")(lists)
    api.get("/clients/<client_id>/segments.json")(segments)
    api.get("/clients/<client_id>/campaigns.json")(campaigns)
    api.get("/clients/<client_id>/tags.json")(tags)
    api.get("/clients/<client_id>/listsforemail.json")(lists_for)
    api.get("/clients/<client_id>/suppressionlist.json")(suppression_list)
    api.post("/clients/<client_id>/suppress.json")(suppress)
    api.put("/clients/<client_id>/unsuppress.json")(unsuppress)


def clients() -> Response:
    visible = [one for one in wire.account().clients.values() if g.only_client in (None, one.client_id)]
    return wire.reply([{"ClientID": one.client_id, "Name": one.name} for one in visible])


def system_date() -> Response:
    # In the account's zone, which here is the first client's.
    first = next(iter(wire.account().clients.values()))
    return wire.reply({"SystemDate": wire.account().moment(first).second})


def time_zones() -> Response:
    return wire.reply(list(IANA))


def countries() -> Response:
    return wire.reply(COUNTRIES)


def billing() -> Response:
    return wire.reply({"Credits": 3021})


def details(client_id: str) -> Response:
    client = wire.client_of(client_id)
    return wire.reply(
        {
            "ApiKey": client.api_key,
            "AccessDetails": {"Username": "meridian", "AccessLevel": 23},
            "BasicDetails": {
                "ClientID": client.client_id,
                "CompanyName": client.name,
                "ContactName": f"{client.name} (contact)",
                "EmailAddress": "contact@meridian.example",
                "Country": client.country,
                "TimeZone": client.time_zone,
            },
            "BillingDetails": {
                "CanPurchaseCredits": True,
                "Credits": 500,
                "ClientPays": True,
                "BaseRatePerRecipient": 1.0,
                "MarkupPerRecipient": 0.0,
                "MarkupOnDelivery": 0.0,
                "BaseDeliveryRate": 5.0,
                "Currency": "USD",
                "BaseDesignSpamTestRate": 5.0,
            },
        }
    )


def lists(client_id: str) -> Response:
    client = wire.client_of(client_id)
    return wire.reply([{"ListID": one.list_id, "Name": one.title} for one in client.lists.values()])


def segments(client_id: str) -> Response:
    client = wire.client_of(client_id)
    return wire.reply(
        [
            {"ListID": owner.list_id, "SegmentID": segment.segment_id, "Title": segment.title}
            for owner in client.lists.values()
            for segment in owner.segments.values()
        ]
    )


def campaigns(client_id: str) -> Response:
    client, query = wire.client_of(client_id), wire.query()
    chosen = sorted(client.campaigns.values(), key=attrgetter("sent_date", "campaign_id"))
    if g.version == "v3.2":
        return wire.reply([_campaign(campaign) for campaign in reversed(chosen)])
    first, last = query.get("sentfromdate"), query.get("senttodate")
    first = timestamp(first, 920)[:10] if first else "0000"
    last = timestamp(last, 922)[:10] if last else "9999"
    if first > last:
        raise ApiError(927)
    wanted = {tag.strip() for tag in query.get("tags", "").split(",") if tag.strip()}
    # A recorded page of campaigns has size 2, below the documented floor.
    request = page_request(query, ["sentdate"], "sentdate", descending=True, smallest=1)
    chosen = [one for one in chosen if first <= one.sent_date[:10] <= last and wanted <= set(one.tags)]
    return wire.reply(wire.page([_campaign(campaign) for campaign in chosen], request, "SentDate"))


def _campaign(campaign: Campaign) -> dict[str, object]:
    view = f"https://createsend.example/t/r-{campaign.campaign_id[:16].upper()}"
    row = {
        "WebVersionURL": view,
        "WebVersionTextURL": f"{view}/t",
        "CampaignID": campaign.campaign_id,
        "Subject": campaign.subject,
        "Name": campaign.name,
        "FromName": campaign.client.name,
        "FromEmail": "hello@meridian.example",
        "ReplyTo": "hello@meridian.example",
        "SentDate": campaign.sent_date,
        "TotalRecipients": len(campaign.reports["recipients"]),
    }
    return {**row, "Tags": campaign.tags} if campaign.tags and g.version != "v3.2" else row


def tags(client_id: str) -> Response:
    used = [tag for campaign in wire.client_of(client_id).campaigns.values() for tag in campaign.tags]
    return wire.reply([{"Name": tag, "NumberOfCampaigns": used.count(tag)} for tag in sorted(set(used))])


def lists_for(client_id: str) -> Response:
    return wire.reply(lists_for_email(wire.client_of(client_id), wire.query().get("email", "")))


def suppression_list(client_id: str) -> Response:
    client = wire.client_of(client_id)
    request = page_request(wire.query(), ["email", "date"], "email")
    if request.number == 1:
        wire.account().note_look()
    order = attrgetter("date", "email") if request.order_field == "date" else attrgetter("email")
    rows = [
        {
            "SuppressionReason": entry.reason,
            "EmailAddress": entry.email,
            "Date": entry.date,
            "State": "Suppressed",
        }
        for entry in sorted(client.suppressed.values(), key=order)
    ]
    return wire.reply(wire.page(rows, request))


def suppress(client_id: str) -> Response:
    client, emails = wire.client_of(client_id), wire.body().get("emailaddresses") or []
    addresses = [str(email).strip() for email in emails]
    if not all(map(subscribing.is_email, addresses)):
        raise ApiError(1)
    for email in addresses:
        changes.suppress(wire.account(), client, email, "Unsubscribed", wire.account().moment(client))
    return wire.done()


def unsuppress(client_id: str) -> Response:
    client = wire.client_of(client_id)
    if client.suppressed.pop(wire.query().get("email", "").lower(), None) is None:
        raise ApiError(176)
    return wire.done()
