"""Calls about webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..models import Webhook
from .caller import Caller

WebhookEvent = Literal["Subscribe", "Deactivate", "Update"]


class WebhookCalls(Caller):
    """Webhooks of a list. There is no call that changes one: delete it and create another."""

    def webhooks(self, list_id: str) -> tuple[Webhook, ...]:
        """The list's webhooks, active or not."""
        return self._value("GET /lists/{list}/webhooks", tuple[Webhook, ...], list_id)

    def create_webhook(self, list_id: str, url: str, events: Sequence[WebhookEvent]) -> str:
        """Create a webhook that posts JSON to `url`, active at once; return its id."""
        body = {"Events": list(events), "Url": url, "PayloadFormat": "json"}
        return self._value("POST /lists/{list}/webhooks", str, list_id, body=body)

    def activate_webhook(self, list_id: str, webhook_id: str) -> None:
        """Switch a webhook on, also one that the service switched off after a week of failures."""
        self._command("PUT /lists/{list}/webhooks/{webhook}/activate", list_id, webhook_id)

    def deactivate_webhook(self, list_id: str, webhook_id: str) -> None:
        """Switch a webhook off."""
        self._command("PUT /lists/{list}/webhooks/{webhook}/deactivate", list_id, webhook_id)

    def test_webhook(self, list_id: str, webhook_id: str) -> None:
        """Have a sample of each event posted to the URL now.

        Raises `WebhookTestFailed` when the URL doesn't answer 2xx; `result_data` says what it did.
        """
        self._command("GET /lists/{list}/webhooks/{webhook}/test", list_id, webhook_id)

    def delete_webhook(self, list_id: str, webhook_id: str) -> None:
        """Delete a webhook."""
        self._command("DELETE /lists/{list}/webhooks/{webhook}", list_id, webhook_id)
