"""A change of address that a webhook tells, as events of both addresses.

Both events have one content, so whichever of them a caller that failed half-way left out, the repeated
delivery adds.
"""

from __future__ import annotations

from listbridge.campaign_monitor.events import Account, day_of, minute_of
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.identity import person_key
from listbridge.profiles.links import MOVED_FROM, MOVED_TO
from listbridge.streams.events import Event
from listbridge.streams.schemas import LINKS


def link_events(account: Account, list_id: str, key: str, old_address: str | None, date: str) -> list[Event]:
    """The events of somebody who is at `key` now and was at `old_address`; none if that is the same.

    `date` is the webhook's, in the client's zone. Raises `ValueError` for one that can't be understood.
    """
    old = person_key(old_address)
    if old is None or old == key:
        return []
    return [
        _told(account, list_id, old, MOVED_TO, key, date),
        _told(account, list_id, key, MOVED_FROM, old, date),
    ]


def _told(account: Account, list_id: str, key: str, event: str, other: str, date: str) -> Event:
    return Event(
        LINKS,
        key,
        to_epoch_ms(date, account.zone),
        (event, list_id, key, other, minute_of(date)),
        {
            "email": key,
            "event": event,
            "other": other,
            "list_id": list_id,
            "client_id": account.client_id,
        },
        day_of(date),
    )
