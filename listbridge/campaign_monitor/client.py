"""The Campaign Monitor API, version 3.3."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from listbridge.errors import Retriable

from .calls.campaigns import CampaignCalls
from .calls.clients import ClientCalls
from .calls.journeys import JourneyCalls
from .calls.lists import ListCalls
from .calls.segments import SegmentCalls
from .calls.subscribers import SubscriberCalls
from .calls.webhooks import WebhookCalls
from .errors import ApiError
from .http import AfterCall, Auth, BeforeCall, Transport

BASE_URL = "https://api.createsend.com/api/v3.3"
CLOCK_REST_SECONDS = 2.0
"""How long at least the service is not asked for its clock again after it did not tell."""


class CampaignMonitor(
    ClientCalls, ListCalls, SegmentCalls, SubscriberCalls, WebhookCalls, CampaignCalls, JourneyCalls
):
    """A client of the API; one object serves all threads, each over its own connection.

    Every method is one HTTP call: nothing is retried inside. It raises an `ApiError`: `FatalError`,
    `RetriableError` or `SkippableError`, see `errors`. `before_call` gets the endpoint's template
    and may wait or raise, which is where pacing goes; `after_call` gets a `CallRecord` of each call.
    Timeouts are in seconds; a whole answer may take the read timeout after its first byte.
    """

    def __init__(
        self,
        auth: Auth,
        *,
        base_url: str = BASE_URL,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
        before_call: BeforeCall | None = None,
        after_call: AfterCall | None = None,
    ) -> None:
        transport = Transport(
            auth,
            base_url,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            before_call=before_call,
            after_call=after_call,
        )
        super().__init__(transport)
        self._ask_clock_at = 0.0

    @property
    def clock_offset_ms(self) -> int | None:
        """The service's clock minus ours by the last answer, in milliseconds; None before the first.

        The service tells whole seconds, so this is too low by up to one second plus the way.
        """
        return self._transport.clock_offset_ms

    def asked_offset_ms(self) -> int | None:
        """The service's clock minus ours as it is now, in milliseconds.

        Where nothing is known of it, or our clock was moved since, the service is asked, one call; if that
        fails, the answer is None, and it is not asked again for a while, nor sooner than it took to fail.
        """
        if self._transport.known_offset_ms is None and time.monotonic() >= self._ask_clock_at:
            began = time.monotonic()
            with suppress(Retriable, ApiError):
                self.system_date()
            ended = time.monotonic()
            self._ask_clock_at = ended + max(CLOCK_REST_SECONDS, ended - began)
        return self._transport.known_offset_ms

    def close(self) -> None:
        """Close the calling thread's connections; other threads' close when their thread ends."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
