"""How the deliveries to a list stand: what waits, since when, how far a look at everybody has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from listbridge.exports.delivered import unpack_delivered
from listbridge.store import keys
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

DOUBTS_LOOKED_AT = 20
"""People in doubt per partition, those first who are due first, among whom the oldest is looked for."""

_FIRST_MOMENT = 1_000_000_000_000_000
"""A lower sequence number is no moment in microseconds: it was given before they were moments."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """A look at everybody that is going on: `done` of `people`, since when (epoch ms).

    `rate` is people a second, `seconds_left` None while nothing can be said.
    """

    started_at: int
    people: int
    done: int
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ListStanding:
    """In people, all partitions together; `oldest_at` (epoch ms) is None when nothing waits.

    `waiting` have changed and were not looked at since; `in_doubt` have a row whose outcome is not known.
    """

    waiting: int
    in_doubt: int
    delivered: int
    refused: int
    oldest_at: int | None
    backfill: Backfill | None

    def lag_seconds(self, now: int) -> float:
        """For how long the oldest change has waited; 0 when nothing waits."""
        return 0.0 if self.oldest_at is None else max(now - self.oldest_at, 0) / 1000

    @property
    def refused_share(self) -> float:
        """The refused among all whom the list was told of, 0 to 1."""
        people = self.delivered + self.refused
        return self.refused / people if people else 0.0


def standing_of(store: Store, list_id: str, now: int) -> ListStanding:
    """How the list stands; a look at everybody counts as waiting since it began, whenever people changed."""
    rewound = store.client.hgetall(keys.rewound(list_id))
    began, people = int(rewound.get(b"at", 0)), int(rewound.get(b"people", 0))
    cursors = _cursors(store, list_id)
    waiting, old, delivered, refused, in_doubt = _counts(store, list_id, cursors, began)
    oldest = _oldest_change(store, cursors, began) + _oldest_doubt(store, list_id)
    return ListStanding(
        waiting,
        in_doubt,
        delivered,
        refused,
        min(oldest, default=None),
        backfill(began, people, old, now) if old else None,
    )


def backfill(began: int, people: int, left: int, now: int) -> Backfill:
    """The progress of a look at everybody that has `left` people to go."""
    done, seconds = max(people - left, 0), max(now - began, 1) / 1000
    rate = done / seconds
    return Backfill(began, max(people, left), done, rate, left / rate if rate else None)


def moment(sequence: float) -> int | None:
    """The moment (epoch ms) of a sequence number, None for one that tells none."""
    return int(sequence // 1000) if sequence >= _FIRST_MOMENT else None


def _cursors(store: Store, list_id: str) -> list[tuple[PartitionKeys, int]]:
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.get(part.cursor(list_id))
    return [(part, int(held or 0)) for part, held in zip(store.parts, pipe.execute(), strict=True)]


def _counts(
    store: Store, list_id: str, cursors: list[tuple[PartitionKeys, int]], began: int
) -> tuple[int, ...]:
    """Waiting; those of them from before the look at everybody began; delivered; refused; in doubt."""
    pipe = store.client.pipeline(transaction=False)
    for part, cursor in cursors:
        pipe.zcount(part.changed, f"({cursor}", "+inf")
        pipe.zcount(part.changed, f"({cursor}", began * 1000)
        pipe.hlen(part.delivered(list_id))
        pipe.hlen(part.refused(list_id))
        pipe.zcard(part.retry(list_id))
    answers = pipe.execute()
    return tuple(sum(answers[column::5]) for column in range(5))


def _oldest_change(store: Store, cursors: list[tuple[PartitionKeys, int]], began: int) -> list[int]:
    pipe = store.client.pipeline(transaction=False)
    for part, cursor in cursors:
        pipe.zrangebyscore(part.changed, f"({cursor}", "+inf", start=0, num=1, withscores=True)
    firsts = [found[0][1] for found in pipe.execute() if found]
    return [max(at, began) for at in (moment(first) or began for first in firsts)]


def _oldest_doubt(store: Store, list_id: str) -> list[int]:
    """When the rows of people in doubt were sent, or for others when they came to be due."""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.zrange(part.retry(list_id), 0, DOUBTS_LOOKED_AT - 1, withscores=True)
    found = [(part, doubts) for part, doubts in zip(store.parts, pipe.execute(), strict=True) if doubts]
    pipe = store.client.pipeline(transaction=False)
    for part, doubts in found:
        pipe.hmget(part.delivered(list_id), [key for key, _ in doubts])
    return [
        unpack_delivered(packed).at if packed else int(score)
        for (_, doubts), rows in zip(found, pipe.execute(), strict=True)
        for (_, score), packed in zip(doubts, rows, strict=True)
    ]


def shown(standing: ListStanding, now: int) -> dict[str, Any]:
    """As users see it, durations in seconds."""
    current = standing.backfill
    return {
        "delivered": standing.delivered,
        "refused": standing.refused,
        "waiting": standing.waiting,
        "in_doubt": standing.in_doubt,
        "lag_seconds": round(standing.lag_seconds(now), 1),
        "backfill": None
        if current is None
        else {
            "people": current.people,
            "done": current.done,
            "people_per_second": round(current.rate, 1),
            "seconds_left": None if current.seconds_left is None else round(current.seconds_left),
        },
    }
