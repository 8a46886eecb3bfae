"""How far each resource has been read, and whether it has to be read again. Decisions are pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from listbridge.imports.protocol import Resource
from listbridge.store import keys
from listbridge.store.store import Store


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a resource has been read, and when its end was reached last (epoch ms; 0: never).

    `complete_from` is when the last reading began that reached the end; it stays while another goes on.
    `whole_from` is the same of the last reading from the very beginning, and `whole_began` when one began
    that has not ended. `basis` is the resource's own at the last complete reading, empty while one goes on,
    and `rows` how many rows it was said to have then. `began` is when the reading began that goes on (0:
    none); what of it was read before a break is as old as that, and so is all of it once it has ended.
    """

    position: str
    finished_at: int = 0
    complete_from: int = 0
    whole_from: int = 0
    whole_began: int = 0
    basis: str = ""
    rows: int = 0
    began: int = 0


class Look(StrEnum):
    """What a run does with a resource: reads on from the position, from the beginning, or not at all."""

    ON = "on"
    WHOLE = "whole"
    SKIP = "skip"


def together(cursors: Sequence[Cursor | None]) -> Cursor:
    """The cursor of a resource that is kept under several names: what holds of all of them."""
    held = [each or Cursor("") for each in cursors]
    return Cursor(
        held[0].position,
        min(each.finished_at for each in held),
        min(each.complete_from for each in held),
        min(each.whole_from for each in held),
        min(each.whole_began for each in held),
        held[0].basis if len({each.basis for each in held}) == 1 else "",
        min(each.rows for each in held),
        min((each.began for each in held if each.began), default=0),
    )


def look(resource: Resource, held: Cursor, now: int) -> Look:
    """Decide by what is known of the resource and by its cursor; times are epoch ms."""
    if not held.complete_from:
        return Look.ON
    if not held.whole_began and held.whole_from < resource.whole_after <= now:
        return Look.WHOLE
    unchanged = bool(resource.basis) and resource.basis == held.basis
    # Below 0 the clock was ahead when the reading began.
    return Look.SKIP if unchanged and 0 <= now - held.complete_from < resource.rest_ms else Look.ON


def cursors(store: Store, account: str) -> dict[str, Cursor]:
    """How far each resource of the account has been read, by cursor name."""
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.cursors(account)))
    return {name.decode(): _decode(value.decode()) for name, value in held.items()}


def cursor_of(store: Store, account: str, name: str) -> Cursor:
    """How far one resource has been read."""
    held = cast(bytes | None, store.client.hget(keys.cursors(account), name))
    return _decode(held.decode()) if held else Cursor("")


def save(store: Store, account: str, resource: Resource, cursor: Cursor) -> None:
    """Keep the cursor under all the resource's names."""
    times = (cursor.finished_at, cursor.complete_from, cursor.whole_from, cursor.whole_began)
    value = "\t".join([cursor.position, *map(str, times), cursor.basis, str(cursor.rows), str(cursor.began)])
    store.client.hset(keys.cursors(account), mapping=dict.fromkeys(resource.cursors, value))


def _decode(value: str) -> Cursor:
    position, finished_at, *more = value.split("\t")
    if len(more) < 5:
        # Kept before readings from the beginning were: the first one was such a reading.
        complete_from = int(more[0]) if more else 0
        return Cursor(position, int(finished_at), complete_from, complete_from)
    complete_from, whole_from, whole_began = map(int, more[:3])
    began = int(more[5]) if len(more) > 5 else 0
    return Cursor(
        position, int(finished_at), complete_from, whole_from, whole_began, more[3], int(more[4]), began
    )
