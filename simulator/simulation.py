"""One simulator in-process: an account, its faults, its counters and its webhook sender."""

from __future__ import annotations

from typing import Any

from simulator import activity, journeys, people, records
from simulator.account import Account
from simulator.calls import Calls
from simulator.faults import Faults
from simulator.generate import generate
from simulator.rates import RateLimit
from simulator.tokens import Tokens
from simulator.webhooks import WebhookSender


class Simulator:
    """Everything but HTTP; all methods may be called from any thread."""

    def __init__(self, account: Account | None = None, **plan: Any) -> None:
        """Run `account`, or one that `generate` makes of `plan`."""
        if account is not None and plan:
            raise TypeError(f"an account is served as it is, without {', '.join(plan)}")
        self.account = account or generate(**plan)
        self.calls = Calls()
        self.faults = Faults()
        self.rates = RateLimit(self.account.switches)
        self.tokens = Tokens(self.account.clock, self.account.seed)
        self.sender = WebhookSender(self.account, self.calls, self.faults)

    def act(self, action: str, list_id: str, email: str, **details: Any) -> None:
        """Let a person do something; see `people.act`."""
        with self.account.lock:
            people.act(self.account, action, list_id, email, details)

    def produce(self, rows: int, seed: int = 1) -> dict[str, int]:
        """Make new activity; see `activity.produce`."""
        with self.account.lock:
            return activity.produce(self.account, rows, seed)

    def produce_automated(self, rows: int, seed: int = 1) -> int:
        """Let people read automated e-mails; see `journeys.produce`."""
        with self.account.lock:
            return journeys.produce(self.account, rows, seed)

    def records(self) -> dict[str, Any]:
        """Everything that an independent reckoning needs; see `records.records`."""
        with self.account.lock:
            return records.records(self.account)
