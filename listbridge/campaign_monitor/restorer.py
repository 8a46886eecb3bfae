"""Takes back what a trial did to one person of a Campaign Monitor list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.errors import InvalidRequest
from listbridge.campaign_monitor.list_setup import ALL_LISTS
from listbridge.campaign_monitor.models import Consent, FieldValue, ImportRow, Subscriber
from listbridge.exports.protocol import Listed


class CampaignMonitorRestorer:
    """One list's."""

    def __init__(self, client: CampaignMonitor, list_id: str) -> None:
        self._client = client
        self._list_id = list_id

    def put_back(self, before: Listed, keys: Sequence[str], *, mobile: bool = False) -> None:
        """One PUT without switches. An empty mobile number takes the present one away; none leaves it."""
        held = before.row if isinstance(before.row, Subscriber) else None
        row = ImportRow(
            email_address=before.address,
            consent_to_track=cast(Consent, (held and held.consent_to_track) or "Unchanged"),
            name=before.name,
            custom_fields=tuple(value for key in keys for value in _values(key, before.values.get(key, ()))),
            mobile_number=((held and held.mobile_number) or "") if mobile else None,
        )
        self._client.update_subscriber(self._list_id, before.address, row)

    def delete(self, address: str) -> None:
        self._client.delete_subscriber(self._list_id, address)

    def unsubscribe(self, address: str) -> None:
        if self._client.list(self._list_id).unsubscribe_setting == ALL_LISTS:
            raise InvalidRequest(
                "unsubscribing from this list takes people off all lists of the client: delete the person "
                "instead, or leave them"
            )
        self._client.unsubscribe(self._list_id, address)


def _values(key: str, held: Sequence[str]) -> Iterator[FieldValue]:
    """A PUT replaces all that a field of many options holds."""
    if not held:
        yield FieldValue(key=key, value="", clear=True)
    for value in held:
        yield FieldValue(key=key, value=value)
