"""The mode `calls`: how many calls a change costs, ours and the official client's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final

from bench.exports.people import FIELD
from bench.exports.world import World, imports_of, since, world
from bench.service import API_KEY
from listbridge.exports.setup import setup_of

CHANGES: Final = 10
BATCH: Final = 1000
OURS: Final = "listbridge"


@dataclass(frozen=True)
class Calls:
    """One case: `changes` of `people` cost `imports`, `rows` in them, and `others` (a set-up, looks at the
    suppression list). `bound` is what the imports may be; `extrapolated`: a part was measured."""

    engine: str
    case: str
    people: int
    changes: int
    imports: int
    rows: int
    others: int
    bound: int | None
    wall_s: float
    extrapolated: bool = False


def run(people: int, *, say: Callable[[str], None]) -> list[Calls]:
    found: list[Calls] = []
    with world() as here:
        day = timedelta(days=1)
        here.export()
        here.enter(range(people), ago=day)
        found.append(_delivery(here, "new people", people, people, ceil(people / BATCH)))
        here.enter(range(people), *range(1, CHANGES + 1), ago=timedelta(hours=1))
        case = f"{CHANGES} changes of each in one window"
        found.append(_delivery(here, case, people, CHANGES * people, ceil(people / BATCH)))
        here.enter(range(people), CHANGES, ago=timedelta(minutes=5))
        found.append(_delivery(here, "events that change no row", people, people, 0))
        old = people // 4
        here.export(1, queue_autoresponders=True)
        here.enter(range(old, people), CHANGES)
        case = "new people, two groups of flags"
        bound = ceil(old / BATCH) + ceil((people - old) / BATCH)
        found.append(_delivery(here, case, people, people, bound, number=1))
        for each in found:
            say(f"{each.case}: {each.imports} imports of {each.rows:,} rows (bound {each.bound})")
        found += _official(here, people)
    return found


def _delivery(here: World, case: str, people: int, changes: int, bound: int, *, number: int = 0) -> Calls:
    here.simulated.note()
    before = here.simulated.calls()
    answer = here.deliver(number)
    calls = since(before, here.simulated.calls())
    rows = sum(count for _, count in here.simulated.note().imports)
    imports = imports_of(calls)
    others = calls.get("total", 0) - imports
    return Calls(OURS, case, people, changes, imports, rows, others, bound, answer["wall_s"])


def _official(here: World, people: int) -> list[Calls]:
    """The same changes by the official client, into a list of its own."""
    arguments = official_arguments(here)
    case = f"{CHANGES} changes of each in one window"
    changes = CHANGES * people
    batches = here.job("batches", arguments | {"people": people, "changes": CHANGES})
    part = min(people, 500)
    single = here.job("one by one", arguments | {"people": part})
    one, wall = "createsend, one by one", single["wall_s"] * changes / part
    return [
        Calls(
            "createsend, batches",
            case,
            people,
            changes,
            imports=batches["calls"],
            rows=changes,
            others=0,
            bound=None,
            wall_s=batches["wall_s"],
        ),
        Calls(
            one,
            case,
            people,
            changes,
            imports=single["calls"] * changes // part,
            rows=changes,
            others=0,
            bound=None,
            wall_s=wall,
            extrapolated=True,
        ),
    ]


def official_arguments(here: World) -> dict[str, Any]:
    """What the official client needs to write to a list that is prepared as ours was."""
    prepared = setup_of(here.context.store, here.simulated.lists[0])
    key = prepared.field_key if prepared else FIELD
    return {
        "api_url": here.simulated.api_url,
        "api_key": API_KEY,
        "list_id": here.simulated.lists[0],
        "key": key,
    }
