"""The sum of a plan: people by effect and code, what would be made, the calls, what else to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import msgspec

from listbridge.exports.planning import Effect, Plan, imports_needed
from listbridge.exports.protocol import Flags

FULL_IMPORT_SECONDS = 10.0
"""How long a call with 1000 rows can take: recorded ones often took longer than 10 s."""

COLUMNS = ("email", "outcome", "code", "reason", "present", "new")


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a start would do. All counts are people unless they say otherwise; `seconds` is a range.

    `outcomes` has every `Effect`; `refused` and `notes` count by code. `other_lists` tells who of those
    added is active elsewhere, and from where that is known. `samples` has rows as `as_row` makes them.
    """

    workflow_id: str
    list_id: str
    list_title: str
    made_at: str
    outcomes: dict[str, int]
    refused: dict[str, int]
    notes: dict[str, int]
    people_in_list: dict[str, int]
    list_settings: dict[str, str | bool]
    creates: dict[str, list[str]]
    adopts: bool
    automations_may_start_for: int
    confirmation_mails: int
    other_lists: dict[str, Any]
    calls: dict[str, int]
    seconds: tuple[float, float]
    warnings: list[str]
    samples: dict[str, list[dict[str, Any]]]
    calls_made: int
    """By the plan itself."""


class Tally:
    """Counts plans as they come and keeps the first `sample` rows of each effect."""

    def __init__(self, sample: int = 0) -> None:
        self.effects: Counter[Effect] = Counter()
        self.refused: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.rows: Counter[Flags] = Counter()
        self.samples: dict[str, list[dict[str, Any]]] = {}
        self.asks = self.new = self.queued = self.elsewhere = 0
        self._sample = sample

    def add(self, plan: Plan, *, elsewhere: bool = False) -> None:
        """`elsewhere`: the person is active in another list of the client."""
        self.effects[plan.effect] += 1
        if plan.effect is Effect.REFUSED:
            self.refused[plan.code] += 1
        elif plan.code:
            self.notes[plan.code] += 1
        self.rows.update(plan.sends)
        self.new += plan.new
        self.asks += plan.asks
        self.queued += plan.queued
        self.elsewhere += elsewhere and plan.effect in (Effect.ADDED, Effect.RETURNED)
        if plan.effect is not Effect.LEFT:
            held = self.samples.setdefault(plan.effect.value, [])
            if len(held) < self._sample:
                held.append(as_row(plan))

    @property
    def added(self) -> int:
        """People who would become active or unconfirmed."""
        return self.effects[Effect.ADDED] + self.effects[Effect.RETURNED]

    def calls(self, preparing: int, adopting: int, limit: int) -> dict[str, int]:
        """The calls of a start, about: the suppression list is looked at once per import of new people."""
        found = {
            "prepare": preparing,
            "adopt": adopting,
            "look_ups": self.asks,
            "suppression": ceil(self.new / limit),
            "imports": imports_needed(self.rows, limit),
        }
        return found | {"total": sum(found.values())}

    def seconds(self, calls: Mapping[str, int], call_seconds: float, in_flight: int) -> tuple[float, float]:
        """From all calls as quick as those that the plan made to full imports as slow as recorded."""
        imports = calls["imports"]
        others = (calls["total"] - imports) * call_seconds
        slow = max(call_seconds * imports, FULL_IMPORT_SECONDS * self.rows.total() / 1000)
        return round(others + call_seconds * imports / in_flight, 1), round(others + slow / in_flight, 1)


def as_row(plan: Plan) -> dict[str, Any]:
    """A person's row as users see it; `present` and `new` are `{"name", "values": {key: [text]}}` or None."""
    shown = (
        None if held is None else {"name": held[0], "values": dict(held[1])}
        for held in (plan.before, plan.after)
    )
    values = (plan.address, plan.effect.value, plan.code, plan.reason, *shown)
    return dict(zip(COLUMNS, values, strict=True))


def warnings_of(tally: Tally, *, confirms: bool, consent: str, notes: Sequence[str]) -> list[str]:
    """What somebody should read before starting."""
    found = list(notes)
    if confirms and tally.added:
        found.append(
            f"the list confirms opt-ins: {tally.added} people would be sent a mail asking to confirm"
        )
    if tally.queued:
        found.append(f"subscription-date automations could start for {tally.queued} people")
    if consent == "Unchanged" and tally.effects[Effect.ADDED]:
        people = tally.effects[Effect.ADDED]
        found.append(
            f"consent to track is sent as Unchanged: for {people} new addresses that means consent, unless "
            "the client knows them already"
        )
    if tally.notes["drift"]:
        found.append(
            f"{tally.notes['drift']} people are otherwise in the list than it was last told; a start leaves "
            "them so"
        )
    if tally.notes["others_lost"]:
        found.append(f"{tally.notes['others_lost']} people hold options of others that a row may take away")
    if tally.notes["dropped"]:
        found.append(f"of {tally.notes['dropped']} people a value would be dropped by the API without a word")
    return found
