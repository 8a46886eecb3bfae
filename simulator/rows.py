"""Subscribers as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator import values
from simulator.account import Account, Client, Subscriber, SubscriberList
from simulator.paging import PageRequest, cut, envelope, since


def subscriber_row(
    account: Account,
    target: SubscriberList,
    person: Subscriber,
    *,
    version: str = "v3.3",
    reads_with: bool = True,
    tracking: bool = False,
    mobile: bool = True,
    sms: bool = False,
) -> dict[str, Any]:
    """One row; before v3.3 rows have no ListJoinedDate, and segments never say ReadsEmailWith."""
    row: dict[str, Any] = {"EmailAddress": person.email, "Name": person.name, "Date": person.date}
    if version != "v3.2":
        row["ListJoinedDate"] = person.joined
    row["State"] = person.state
    row["CustomFields"] = values.read(target.fields, person.values, account.switches.bracketed_keys)
    if reads_with:
        row["ReadsEmailWith"] = person.reads_with
    if tracking:
        row["ConsentToTrack"] = target.client.consent.get(person.email.lower(), "")
    if mobile and person.mobile:
        row["MobileNumber"] = person.mobile
        if sms:
            row["ConsentToSendSms"] = person.sms_consent
    return row


def subscriber_page(
    account: Account,
    target: SubscriberList,
    people: Sequence[Subscriber],
    query: Mapping[str, str],
    request: PageRequest,
    version: str,
    *,
    reads_with: bool = True,
) -> dict[str, Any]:
    """A page of people (ascending by the order asked for), after the `date` filter."""
    start = since(query)
    if start is not None:
        how = account.switches.date_filter
        start = start[:10] if how == "day" else start
        inclusive = how == "inclusive"
        people = [one for one in people if one.date > start or (inclusive and one.date == start)]
    rows = [
        subscriber_row(
            account,
            target,
            person,
            version=version,
            reads_with=reads_with,
            tracking=query.get("includetrackingpreference", "").lower() == "true",
            sms=query.get("includesmspreference", "").lower() == "true",
        )
        for person in cut(people, request)
    ]
    return envelope(rows, len(people), request, empty_pages=account.switches.empty_page_count)


def lists_for_email(client: Client, email: str) -> list[dict[str, str]]:
    """Every list of the client in which the address has any state."""
    return [
        {
            "ListID": owner.list_id,
            "ListName": owner.title,
            "SubscriberState": person.state,
            "DateSubscriberAdded": person.joined,
        }
        for owner in client.lists.values()
        if (person := owner.find(email)) is not None
    ]
