"""What is kept of a round that went wrong: who differed, what should be, and all that is known of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import redis
from msgspec.structs import asdict as asdict_of

from cli.demo.reckoning import Expected
from faults.world import World
from listbridge.campaign_monitor.gaps import Gap
from listbridge.context import Context
from listbridge.erasure.document import document
from listbridge.erasure.errors import ErasureError
from listbridge.store import keys
from listbridge.store.store import Store

Kept = dict[str, Any]
MOST = 25
"""Of so many people everything is kept; of the others what differs."""


def evidence(
    world: World,
    records: Mapping[str, Any],
    expected: Mapping[str, Expected],
    wrong: Mapping[str, Collection[str]],
) -> Kept:
    """For each of the people: what differs, what it should be, what the other system's books have of them,
    and what we have: profile, events, records of lists."""
    context = world.stage.context
    found = {
        key: {
            "differs": sorted(differs),
            "should_be": asdict(expected[key]) if key in expected else None,
            "acknowledged": [each for each in world.ledger.events if each["email"].lower() == key],
            "books": books(records, key),
            "known": _known(context, key),
        }
        for key, differs in sorted(wrong.items())[:MOST]
    }
    gaps = {
        each["list_id"]: [asdict_of(gap) for gap in all_gaps(context.store, each["list_id"])]
        for each in records["lists"]
    }
    return {
        "differ": {key: sorted(differs) for key, differs in sorted(wrong.items())},
        "people": found,
        "gaps": gaps,
        "clock_moves": world.clock_moves,
        "now": records["now"],
    }


def _known(context: Context, key: str) -> Kept:
    """All that we have of a person, or why that can't be read."""
    try:
        return document(context.archive, context.programs, [key])
    except (ErasureError, OSError, redis.RedisError) as problem:
        return {"unreadable": f"{type(problem).__name__}: {problem}"}


def all_gaps(store: Store, list_id: str) -> list[Gap]:
    """All gaps of a list's webhooks, those too that end later than this process's clock says."""
    found: list[Gap] = []
    for name in (keys.gaps(), keys.gaps(list_id)):
        held = cast(list[bytes], store.client.zrange(name, 0, -1))
        found += [Gap(*map(int, each.split(b":"))) for each in held]
    return sorted(found)


def books(records: Mapping[str, Any], key: str) -> Kept:
    """All that the simulator's books have of an address."""

    def theirs(rows: Iterable[Mapping[str, Any]], name: str = "email") -> list[Any]:
        return [each for each in rows if str(each[name]).lower() == key]

    return {
        "rows": {each["list_id"]: theirs(each["subscribers"]) for each in records["lists"]},
        "webhooks": [
            each for each in records["webhook_events"] if each["event"]["EmailAddress"].lower() == key
        ],
        "reports": {
            campaign: {name: mine for name, rows in of.items() if (mine := theirs(rows, "EmailAddress"))}
            for campaign, of in records["reports"].items()
        },
        "suppressed": {each["client_id"]: theirs(each["suppressed"]) for each in records["clients"]},
        "opt_outs": theirs(records["opt_outs"]),
        "added_after_opt_out": theirs(records["added_after_opt_out"]),
    }


def keep(directory: str, fault: str, seed: int, kept: Kept) -> Path:
    """Write it down as JSON; -> where."""
    folder = Path(directory or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"listbridge-faults-{fault}-{seed}.json"
    path.write_text(json.dumps(kept, indent=1, default=_plain, sort_keys=True), encoding="utf-8")
    return path


def _plain(value: object) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
