"""The webhook sender: batches of events, retries, and giving up after a week of failures."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from itertools import islice
from typing import Any

import msgspec
import requests

from simulator.account import Account, Webhook
from simulator.calls import Calls
from simulator.faults import Faults

BATCH = 1000
PATIENCE = timedelta(days=7)
INACTIVE = "Inactive"
HEADERS = {"Content-Type": "application/json; charset=utf-8"}


def payload(list_id: str, events: list[dict[str, Any]]) -> bytes:
    """The body of one POST."""
    return msgspec.json.encode({"Events": events, "ListID": list_id})


def post(url: str, body: bytes, timeout: float) -> requests.Response:
    """POST a body. Raises `requests.RequestException` without an answer."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, headers=HEADERS, timeout=timeout, allow_redirects=False)


class WebhookSender:
    """A thread that flushes every `webhook_flush_seconds` (real time) what waits for the webhooks."""

    def __init__(self, account: Account, calls: Calls, faults: Faults) -> None:
        self._account, self._calls, self._faults = account, calls, faults
        self._stop = threading.Event()
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="webhook-sender", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more; waits for the POST that is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.wait(self._account.switches.webhook_flush_seconds):
            with self._account.lock:
                self._account.settle()
            self.flush()

    def pending(self) -> int:
        """How many events wait to be delivered."""
        with self._account.lock:
            return sum(len(hook.waiting) for hook in self._webhooks())

    def flush(self) -> None:
        """Send what waits and isn't backing off, each webhook until it has nothing or fails."""
        with self._sending:
            with self._account.lock:
                now = time.monotonic()
                due = [hook for hook in self._webhooks() if hook.waiting and hook.retry_at <= now]
            for hook in due:
                while not self._stop.is_set() and self._deliver(hook):
                    pass

    def _webhooks(self) -> list[Webhook]:
        lists = [owner for client in self._account.clients.values() for owner in client.lists.values()]
        return [hook for owner in lists for hook in owner.webhooks.values() if hook.status == "Active"]

    def _deliver(self, hook: Webhook) -> bool:
        """Send one batch; True if it was taken and more may wait."""
        with self._account.lock:
            batch = list(islice(hook.waiting, BATCH))
        if not batch or hook.status != "Active":
            return False
        body = payload(hook.list_id, [record.event for record in batch])
        taken = self._post(hook, body, len(batch))
        if taken and self._faults.for_webhook(f"POST {hook.url}") is not None:
            self._post(hook, body, len(batch))
        with self._account.lock:
            if not taken:
                self._failed(hook)
                return False
            for record in batch:
                record.delivered = True
                hook.waiting.popleft()
            hook.failures, hook.failing_since = 0, None
            return True

    def _post(self, hook: Webhook, body: bytes, events: int) -> bool:
        self._calls.count_post(events)
        try:
            return post(hook.url, body, self._account.switches.webhook_timeout_seconds).ok
        except requests.RequestException:
            return False

    def _failed(self, hook: Webhook) -> None:
        now = self._account.clock.now()
        hook.failures += 1
        hook.failing_since = hook.failing_since or now
        switches = self._account.switches
        pause = min(
            switches.webhook_retry_seconds * 2 ** min(hook.failures - 1, 16),
            switches.webhook_retry_longest_seconds,
        )
        hook.retry_at = time.monotonic() + pause
        if now - hook.failing_since > PATIENCE:
            hook.status = INACTIVE
