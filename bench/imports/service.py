"""The simulator with accounts of a plan: `python -m bench.imports.service`, its plan a line of JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from bench import service
from bench.imports.accounts import Plan, made
from simulator import reports, timezones

LONG = 1500
"""Of how many rows a report has to be, at least, for late ones to come while it is read."""


class Simulated(service.Simulated):
    """A running simulator; leaving the block ends it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("bench.imports.service", plan)
        self.clients: list[str] = self.told["clients"]

    @property
    def client_id(self) -> str:
        return self.clients[0]

    def refresh_token(self) -> str:
        """As if somebody had authorised a program."""
        return str(self.control("POST", "/authorization", {})["refresh_token"])


def shift(times: int) -> None:
    """Let a late row come before every second page of a long report that is read on, `times` in all."""
    rows, asked, came = reports.Report.rows, Counter[int](), Counter[int]()

    def shifting(self: reports.Report, *args: Any, **more: Any) -> Any:
        held = self._rows
        if len(held) >= LONG and hasattr(held[0], "IPAddress"):
            asked[id(self)] += 1
            if asked[id(self)] % 2 == 0 and came[id(self)] < times:
                came[id(self)] += 1
                self.add(held[len(held) // 10 * came[id(self)] % len(held)])
        return rows(self, *args, **more)

    reports.Report.rows = shifting  # type: ignore[method-assign]


def main() -> None:
    plan = msgspec.json.decode(service.plan(), type=Plan)
    for label in plan.zones:
        if label not in timezones.IANA:
            from listbridge.campaign_monitor.timezones import zone_name

            timezones.IANA[label] = zone_name(label)
    account = made(plan)
    if plan.shifts:
        shift(plan.shifts)
    service.serve(account, {"clients": list(account.clients)})


if __name__ == "__main__":
    main()
