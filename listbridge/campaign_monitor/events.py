"""What Campaign Monitor tells, as events: rows of lists and reports, and deliveries of webhooks.

Vendor words become ours in the tables below. What makes an event itself (its identity) is all of
its stable content: not the place that is looked up from an IP address, nor anything that depends on
the zone; the time goes in as the text that the API gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date as date_type
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.models import Campaign, StoredValue, Subscriber
from listbridge.campaign_monitor.reports import Bounce, Click, DatedRow, Open, ReportRow, Sent, Unsubscribe
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.identity import person_key
from listbridge.streams.events import Event, Unreadable
from listbridge.streams.schemas import CM_ACTIVITY, CM_USER

STATUSES: Mapping[str, str] = {
    "Active": "active",
    "Unconfirmed": "unconfirmed",
    "Unsubscribed": "unsubscribed",
    "Bounced": "bounced",
    "Deleted": "deleted",
    "Spam": "unsubscribed",  # only in an old forum answer (topic 636): the person wants no mail
    "Suppressed": "unsubscribed",  # the same
}
"""The API's State -> status in cm_user; any other word becomes itself in lower case."""

DEACTIVATIONS: Mapping[str, str] = {
    "Unsubscribed": "unsubscribe",
    "Bounced": "bounce",
    "Deleted": "delete",
    "Spam": "spam",
}
"""The State of a Deactivate webhook -> status in cm_activity; any other word in lower case."""

OPTED_OUT = frozenset({"unsubscribed", "deleted"})
"""Statuses that stand against any other one of their minute."""

AFTER_ITS_MINUTE_MS = 1
"""How much later than its minute an opt-out's status is put: nobody knows the order within a minute, what is
told late is received last, and in doubt the opt-out is to be the latest."""

SELF = "self"
"""The origin of what was our own write."""

MINUTE = len("2010-12-14 11:32")
_EPOCH_DAY = date_type(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Account:
    """The names and the zone of one client, which rows don't carry. `lists` maps ids to names."""

    client_id: str
    client_name: str
    zone: ZoneInfo
    lists: Mapping[str, str] = field(default_factory=dict)


def status_of(state: str) -> str:
    """The status in cm_user for a State of the API."""
    return STATUSES.get(state, state.lower())


def minute_of(text: str) -> str:
    """A time of the API without its seconds, which are always 00 where they are given at all."""
    return text[:MINUTE]


def day_of(text: str) -> int:
    """The day of a time of the API by the client's own clock, counted from 1 January 1970."""
    return _day(text[: len("2010-12-14")])


@lru_cache(maxsize=4096)
def _day(text: str) -> int:
    return date_type.fromisoformat(text).toordinal() - _EPOCH_DAY


def custom_values(values: Iterable[StoredValue]) -> dict[str, str]:
    """Custom fields by comparable key; the values of a field of many options are sorted and joined."""
    held: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for item in values:
        if item.value:
            key = field_key(item.key)
            if key in held:
                several.setdefault(key, [held[key]]).append(item.value)
            else:
                held[key] = item.value
    return held | {key: ", ".join(sorted(texts)) for key, texts in several.items()} if several else held


def status_event(account: Account, list_id: str, person: Subscriber) -> Event | Unreadable:
    """A row of a list's state as an event of cm_user."""
    key = person_key(person.email_address)
    if key is None:
        return _unreadable(CM_USER, person)
    joined = person.list_joined_date
    return status(
        account,
        list_id,
        key,
        address=person.email_address,
        state=person.state,
        date=person.date,
        name=person.name,
        fields=custom_values(person.custom_fields),
        joined_at=to_epoch_ms(joined, account.zone) if joined else None,
    )


def status(
    account: Account,
    list_id: str,
    key: str,
    *,
    address: str,
    state: str,
    date: str,
    name: str | None,
    fields: dict[str, str],
    joined_at: int | None = None,
    origin: str | None = None,
) -> Event:
    """Somebody's state in a list at a time, whoever tells it; an opt-out is the latest of its minute."""
    word = status_of(state)
    return Event(
        CM_USER,
        key,
        to_epoch_ms(date, account.zone) + (AFTER_ITS_MINUTE_MS if word in OPTED_OUT else 0),
        (list_id, key, state, minute_of(date), name or "", sorted(fields.items())),
        {
            **_who(account, list_id, address),
            "name": name,
            "state": state,
            "status": word,
            "custom_fields": fields or None,
            "joined_at": joined_at,
            "origin": origin,
        },
        day_of(date),
    )


def opt_out(
    account: Account, list_id: str, key: str, *, address: str, word: str, date: str, **values: Any
) -> Event:
    """One opt-out is one event, whoever tells it: list, person, status and minute."""
    return Event(
        CM_ACTIVITY,
        key,
        to_epoch_ms(date, account.zone),
        ("deactivate", list_id, key, word, minute_of(date)),
        {**_who(account, list_id, address), "event": "deactivate", "status": word, **values},
        day_of(date),
    )


def subscription(
    account: Account, list_id: str, key: str, *, address: str, date: str, **values: Any
) -> Event:
    """Somebody became active in a list: one event a minute, whoever tells it."""
    return Event(
        CM_ACTIVITY,
        key,
        to_epoch_ms(date, account.zone),
        ("subscribe", list_id, key, minute_of(date)),
        {**_who(account, list_id, address), "event": "subscribe", "state": "Active", **values},
        day_of(date),
    )


Numbering = Callable[[tuple[object, ...]], int]


def numbering() -> Numbering:
    """Counts equal rows: the first of equals is 0, the next 1. A minute's rows must be taken together."""
    counts: dict[tuple[object, ...], int] = {}

    def number(row: tuple[object, ...]) -> int:
        counts[row] = counts.get(row, -1) + 1
        return counts[row]

    return number


def report_event(
    account: Account, campaign: Campaign, report: str, row: ReportRow, number: Numbering
) -> Event | Unreadable:
    """A row of a campaign's report as an event of cm_activity."""
    key = person_key(row.email_address)
    if key is None:
        return _unreadable(CM_ACTIVITY, row)
    values = {"campaign_id": campaign.campaign_id, "campaign_name": campaign.name}
    if report in _OPT_OUT_REPORTS and isinstance(row, DatedRow):
        word, state = _OPT_OUT_REPORTS[report]
        ip = row.ip_address if isinstance(row, Unsubscribe) else None
        return opt_out(
            account,
            row.list_id,
            key,
            address=row.email_address,
            word=word,
            date=row.date,
            state=state,
            ip=ip,
            **values,
        )
    date = row.date if isinstance(row, DatedRow) else campaign.sent_date
    event, identity, more = _activity(row, number, campaign.campaign_id, key)
    return Event(
        CM_ACTIVITY,
        key,
        to_epoch_ms(date, account.zone),
        (event, campaign.campaign_id, row.list_id, key, *identity),
        _who(account, row.list_id, row.email_address) | values | {"event": event} | more,
        day_of(date),
    )


_OPT_OUT_REPORTS = {"unsubscribes": ("unsubscribe", "Unsubscribed"), "spam": ("spam", "Spam")}


def _activity(
    row: ReportRow, number: Numbering, campaign_id: str, key: str
) -> tuple[str, tuple[object, ...], dict[str, Any]]:
    """The event word, the part of the identity that follows the person, and the row's own values."""
    match row:
        case Open():
            url = row.url if isinstance(row, Click) else None
            same = (row.date, row.ip_address or "", url or "")
            identity = (*same, number((campaign_id, row.list_id, key, *same)))
            values = {
                "url": url,
                "ip": row.ip_address,
                "city": row.city,
                "region": row.region,
                "cc": row.country_code,
                "country": row.country_name,
                "latitude": row.latitude,
                "longitude": row.longitude,
            }
            return "open" if url is None else "click", identity, values
        case Bounce():
            return "bounce", (row.date,), {"status": row.bounce_type.lower(), "reason": row.reason}
        case Sent():
            return "sent", (row.date,), {}
        case _:
            return "sent", (), {}


PLACES = ("ip", "latitude", "longitude")


def without_places(event: Event) -> Event:
    """The same event, by its identity too, without the IP address and the coordinates."""
    return msgspec.structs.replace(
        event, values={name: value for name, value in event.values.items() if name not in PLACES}
    )


def _who(account: Account, list_id: str, address: str) -> dict[str, Any]:
    return {
        "email": address,
        "list_id": list_id,
        "list_name": account.lists.get(list_id),
        "client_id": account.client_id,
        "client_name": account.client_name,
    }


def _unreadable(stream: str, row: msgspec.Struct) -> Unreadable:
    return Unreadable(stream, msgspec.json.encode(row), "the e-mail address is not readable")
