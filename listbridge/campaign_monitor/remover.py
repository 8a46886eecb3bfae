"""Takes one person out of a Campaign Monitor client's lists, or keeps them from being mailed."""

from __future__ import annotations

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.errors import Skippable

DELETED = "Deleted"


class CampaignMonitorRemover:
    """One client's."""

    def __init__(self, client: CampaignMonitor, client_id: str) -> None:
        self._client = client
        self._client_id = client_id

    def delete(self, address: str) -> int:
        """Delete the person from all lists of the client; -> from how many. Safe to repeat.

        The service keeps who was deleted, in the state Deleted: its own erasure is asked for in its
        privacy tools.
        """
        done = 0
        for each in self._client.lists_for_email(self._client_id, address):
            if each.subscriber_state == DELETED:
                continue
            try:
                self._client.delete_subscriber(each.list_id, address)
            except Skippable:
                continue  # somebody else has deleted them meanwhile
            done += 1
        return done

    def suppress(self, address: str) -> None:
        """Have the client never send to the address. Safe to repeat."""
        self._client.suppress(self._client_id, [address])
