"""The three ledgers: what was acknowledged, what streams and profiles hold, what the list holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.demo.command import all_profiles
from cli.demo.comparison import Differences, compare_lists, compare_profiles
from cli.demo.reckoning import Expected, expected_audiences, expected_profiles
from faults.keeping import Kept, all_gaps, evidence
from faults.races import added_after_opt_out
from faults.world import FIELD, World
from listbridge.store.store import Store
from listbridge.streams.log import totals

MINUTE_MS = 60_000
CLOCK_SLIP_MS = 2_000

COUNTED = ("cm_email_event", "audience_enters")
"""Fields that count every activity event by its word, and every enter."""


@dataclass
class Verdict:
    """What a comparison found. `acknowledged`: all events that should be counted so far."""

    acknowledged: int
    lost: int
    doubled: int
    people: int
    """Whose profile differs in any field."""
    rows: int
    """People whose row in a list differs."""
    undone: int
    """Opt-outs after which a person was added again."""
    raced: int = 0
    """People who opted out while a row for them was on its way; see `races`."""
    examples: list[str] = field(default_factory=list)
    kept: Kept = field(default_factory=dict)
    """What is known of those who differ."""

    def differences(self, excused: Collection[str] = ()) -> dict[str, int]:
        """What is other than it should be, but for the excused fields."""
        found = {name: getattr(self, name) for name in ("lost", "doubled", "people", "rows", "undone")}
        return {name: count for name, count in found.items() if count and name not in excused}

    @property
    def is_clean(self) -> bool:
        return not self.differences()


def compare(world: World) -> Verdict:
    """All three, of an installation that is at rest."""
    ledger = world.ledger
    records = world.stage.control("GET", "/records")
    _leave_out(records, world.unreadable)
    audiences = expected_audiences(ledger.events)
    expected = expected_profiles(records, ledger.events)
    _allow_repairs(expected, records, repair_minutes(world.stage.context.store, records))
    held = all_profiles(world.stage.context)
    profiles = compare_profiles(expected, audiences, held)
    lists = compare_lists(records, world.feeds, audiences, FIELD)
    activity = sum(sum(each.fields.get(COUNTED[0], {}).values()) for each in expected.values())
    lost, doubled = _counts(expected, held)
    # Exits are in no count of a profile; the streams have them.
    appended = sum(each.appended for each in totals(world.stage.context.store, "audience"))
    appended -= world.poisoned
    lost = max(lost, len(ledger.events) - appended)
    doubled = max(doubled, appended - len(ledger.events))
    wrong: dict[str, list[str]] = {}
    for found in (profiles, lists):
        for key, names in found.wrong.items():
            wrong.setdefault(key, []).extend(names)
    added = [each for each in added_after_opt_out(records) if each not in world.races]
    undone = [each for each in added if not each.was_a_race]
    raced = [each for each in added if each.was_a_race]
    world.races.update(raced)
    for each in added:
        wrong.setdefault(each.email.lower(), []).append("added after an opt-out")
    return Verdict(
        acknowledged=activity + len(ledger.events),
        lost=lost,
        doubled=doubled,
        people=profiles.people,
        rows=lists.people,
        undone=len(undone),
        raced=len(raced),
        examples=[
            *_told(profiles, "profile"),
            *_told(lists, "list"),
            *(f"an opt-out undone: {each}" for each in undone),
            *(f"a race, open for {each.open_ms} ms: {each}" for each in raced),
        ],
        kept=evidence(world, records, expected, wrong) if wrong else {},
    )


def repair_minutes(store: Store, records: Mapping[str, Any]) -> set[int]:
    """The minutes (epoch ms) as of which readings after gaps may have told names and fields.

    It is the one before a gap's end, by a clock that is known to the second.
    """
    ends = {each.until for one in records["lists"] for each in all_gaps(store, one["list_id"])}
    moments = {end - MINUTE_MS + slip for end in ends for slip in (-CLOCK_SLIP_MS, CLOCK_SLIP_MS)}
    return {at - at % MINUTE_MS for at in moments}


def _allow_repairs(expected: Mapping[str, Expected], records: Mapping[str, Any], minutes: set[int]) -> None:
    """Whoever is active may have been told again as of such a minute, with the name in the list."""
    for each in records["lists"]:
        for person in each["subscribers"]:
            known = expected.get(person["email"].lower())
            if known is None or person["state"] != "Active":
                continue
            told = {at for at in minutes if at >= known.updated_at}
            known.later |= told
            if told and person["name"]:
                known.acceptable.setdefault("cm_name", set()).add(person["name"])


def _counts(expected: Mapping[str, Expected], held: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """Events too few and too many, person by person and word by word."""
    lost = doubled = 0
    for key in expected.keys() | held.keys():
        should = _words(expected[key].fields if key in expected else {})
        has = _words(held[key]["fields"] if key in held else {})
        lost += (should - has).total()
        doubled += (has - should).total()
    return lost, doubled


def _words(fields: Mapping[str, Any]) -> Counter[str]:
    return Counter(fields.get(COUNTED[0], {})) + Counter(entered=fields.get(COUNTED[1], 0))


def _leave_out(records: dict[str, Any], addresses: set[str]) -> None:
    for each in records["lists"]:
        each["subscribers"] = [p for p in each["subscribers"] if p["email"] not in addresses]
    told = records["webhook_events"]
    records["webhook_events"] = [e for e in told if e["event"]["EmailAddress"] not in addresses]


def _told(found: Differences, what: str) -> list[str]:
    return [f"{what} {line}" for line in found.examples]
