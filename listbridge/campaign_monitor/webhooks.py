"""Webhooks of lists: one per list and import, found again, and what the receiver has to know of them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.webhooks import WebhookEvent
from listbridge.campaign_monitor.errors import NotVisible
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.models import Webhook
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store

EVENTS: tuple[WebhookEvent, ...] = ("Subscribe", "Deactivate", "Update")


class Receiver(msgspec.Struct, kw_only=True):
    """What the receiver knows of an import. Tokens are SHA-256 sums; several can be valid at once.

    `token` is the current one, encrypted: the webhook's URL has to be made again from it.
    """

    client_id: str
    client_name: str
    zone: str
    lists: dict[str, str]
    token: str
    tokens: list[str]

    def admits(self, token: str) -> bool:
        """Is this one of the valid tokens? In constant time."""
        offered = digest(token)
        return any([hmac.compare_digest(offered, valid) for valid in self.tokens])  # noqa: C419 - a list: all are compared

    @property
    def account(self) -> Account:
        return Account(self.client_id, self.client_name, ZoneInfo(self.zone), self.lists)


_decode = msgspec.json.Decoder(Receiver).decode


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def receiver(store: Store, workflow_id: str) -> Receiver | None:
    """The receiver of an import, or None when there is none."""
    held = cast(bytes | None, store.client.get(keys.receiver(workflow_id)))
    return _decode(held) if held else None


class Registrar:
    """Keeps one webhook per list for one import."""

    def __init__(
        self, store: Store, box: Secrets, client: CampaignMonitor, workflow_id: str, public_url: str
    ) -> None:
        self._store = store
        self._box = box
        self._client = client
        self._workflow_id = workflow_id
        self._public_url = public_url

    def register(self, account: Account) -> list[str]:
        """Make the webhooks that are missing, wake those that were switched off; -> what was done."""
        token = self._token(account)
        if not self._public_url:
            return [
                "no webhooks: LISTBRIDGE_PUBLIC_URL is not set, so changes are seen only when lists are read"
            ]
        url = f"{self._public_url}{self._path}{token}"
        return [self._register(list_id, name, url) for list_id, name in account.lists.items()]

    def remove(self) -> None:
        """Delete this import's webhooks, and forget its tokens."""
        held = receiver(self._store, self._workflow_id)
        for list_id in held.lists if held else ():
            try:
                for hook in self._own(list_id):
                    self._client.delete_webhook(list_id, hook.webhook_id)
            except NotVisible:
                continue  # the list is gone, and its webhooks with it
        self._store.client.delete(keys.receiver(self._workflow_id))

    @property
    def _path(self) -> str:
        return f"/webhooks/campaign-monitor/{self._workflow_id}/"

    def _own(self, list_id: str) -> list[Webhook]:
        """The webhooks of a list that are this import's, also those with an older address or token."""
        return [hook for hook in self._client.webhooks(list_id) if self._path in hook.url]

    def _token(self, account: Account) -> str:
        """The current token; what the receiver knows is brought up to date."""
        held = receiver(self._store, self._workflow_id)
        token = self._box.decrypt(held.token) if held else secrets.token_urlsafe(32)
        known = Receiver(
            client_id=account.client_id,
            client_name=account.client_name,
            zone=account.zone.key,
            lists=dict(account.lists),
            token=held.token if held else self._box.encrypt(token),
            tokens=held.tokens if held else [digest(token)],
        )
        self._store.client.set(keys.receiver(self._workflow_id), msgspec.json.encode(known))
        return token

    def _register(self, list_id: str, name: str, url: str) -> str:
        found: Webhook | None = None
        for hook in self._own(list_id):
            if hook.url == url and found is None:
                found = hook
            else:
                self._client.delete_webhook(list_id, hook.webhook_id)
        if found is None:
            self._client.create_webhook(list_id, url, EVENTS)
            return f"webhook of {name} made"
        if found.status == "Active":
            return f"webhook of {name} is there"
        self._client.activate_webhook(list_id, found.webhook_id)
        return f"webhook of {name} had been switched off and is active again"
