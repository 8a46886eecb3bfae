"""Who is refused by a list, filtered, and having them tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.exports.advice import advice, known_codes
from listbridge.exports.delivered import Refused
from listbridge.exports.ledger import due_again, refused_in
from listbridge.store.store import Store, now_ms
from listbridge.systems import refusal_code
from listbridge.workflows import log, registry
from listbridge.workflows.models import ACTIVE, State, Workflow

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Which:
    """Which refusals: all of a `code` (a word, or the number that the other system gives it), those from
    `since` (epoch ms) on."""

    code: str = ""
    since: int = 0

    def takes(self, refused: Refused) -> bool:
        return (not self.code or refused.code == self.code) and refused.at >= self.since


ALL = Which()


def which(code: str | None, since: int | None) -> Which:
    """A filter of what a person wrote."""
    return Which(refusal_code(code) if code else "", since or 0)


def objection(store: Store, list_id: str, chosen: Which) -> str:
    """Why a filter can't mean anything: its code is none that we know, and nobody has it. Else empty."""
    if not chosen.code or chosen.code in known_codes():
        return ""
    held = by_code(store, list_id)
    if chosen.code in held:
        return ""
    there = ", ".join(f"{code} ({count})" for code, count in held.items()) or "nobody is refused"
    others = ", ".join(sorted(known_codes() - held.keys()))
    return f"{chosen.code!r} is no code. In this list: {there}. Others that there are: {others}"


def rejections(store: Store, list_id: str, chosen: Which = ALL) -> Iterator[tuple[str, Refused]]:
    """The refused people and why, in no order, read on while they are used."""
    return ((key, refused) for key, refused in refused_in(store, list_id) if chosen.takes(refused))


def by_code(store: Store, list_id: str) -> dict[str, int]:
    """How many are refused now, by code, the most frequent first."""
    return dict(Counter(refused.code for _, refused in rejections(store, list_id)).most_common())


def as_row(key: str, refused: Refused) -> dict[str, Any]:
    """A refusal as users see it."""
    return {
        "email": key,
        "code": refused.code,
        "message": refused.message,
        "at": rfc3339(refused.at),
        "opted_out_at": rfc3339(refused.since) if refused.since else None,
        "remedy": advice(refused.code, key),
    }


def retry(context: Context, workflow: Workflow, chosen: Which) -> int:
    """Have those who are refused tried again at the next delivery; -> how many they are.

    What is decided about each, and the switches, are the engine's at that attempt: nobody is resubscribed
    by this. Raises `NotAllowed` for an export that has ended.
    """
    if workflow.state is State.COMPLETED:
        raise registry.NotAllowed(f"export {workflow.id} has ended: it delivers nothing any more")
    store, list_id, count = context.store, workflow.export.list_id, 0
    found = (key for key, _ in rejections(store, list_id, chosen))
    while people := list(islice(found, AT_ONCE)):
        count += due_again(store, list_id, people, now_ms())
    wanted = " ".join(filter(None, (chosen.code, rfc3339(chosen.since) if chosen.since else "")))
    waits = "" if workflow.state in ACTIVE else f", once it is resumed (now {workflow.state})"
    log.write(
        store, workflow.id, f"{count} refused people{f' ({wanted})' if wanted else ''} are tried again{waits}"
    )
    return count
