"""Brakes: counts of people at which an export pauses itself and waits for a person.

Counted are people, each once however often an attempt is repeated: a sorted set by person for each
kind, scored with the time. What would go beyond a limit is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store

LEAVING = "leaving"
UNSUBSCRIBED = "unsubscribed"
REFUSED = "refused"
NEW = "new_subscribers"
CANARY = "canary"
SWALLOWED = "swallowed"
"""Not a brake: changes of membership that no row showed."""

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WINDOWS_MS: Mapping[str, int] = {LEAVING: HOUR_MS, UNSUBSCRIBED: HOUR_MS, REFUSED: HOUR_MS, NEW: DAY_MS}

_WORDS: Mapping[str, str] = {
    LEAVING: "would have left all audiences",
    UNSUBSCRIBED: "have been or would be unsubscribed",
    REFUSED: "were or would be refused",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """One export's limits. `shares`: kind -> share of the list within an hour, for `least_people` or more;
    `new` people in a day; `canary` people since `canary_since` (epoch ms). None and 0: no limit."""

    shares: Mapping[str, float] = field(default_factory=dict)
    least_people: int = 1
    new: int | None = None
    canary: int = 0
    canary_since: int = 0

    @property
    def kinds(self) -> set[str]:
        """What has to be counted."""
        found = {*self.shares}
        if self.new is not None:
            found.add(NEW)
        return found | {CANARY} if self.canary else found


NO_LIMITS = Limits()


class Limited(Protocol):
    """An export with limits."""

    @property
    def workflow_id(self) -> str: ...
    @property
    def running(self) -> bool: ...
    @property
    def limits(self) -> Limits: ...


class Held(Exception):
    """Exports wait for a person: `holds` maps workflows to the kind of limit and the words for it."""

    def __init__(self, holds: Mapping[str, tuple[str, str]]) -> None:
        super().__init__("; ".join(words for _, words in holds.values()))
        self.holds = dict(holds)


class Brake:
    """The limits of all exports into one list. `add` counts people before they are sent."""

    def __init__(self, store: Store, list_id: str, feeds: Iterable[Limited]) -> None:
        self._store = store
        self._list = list_id
        feeds = list(feeds)
        self._limits = {feed.workflow_id: feed.limits for feed in feeds if feed.running}
        self._canaries_since = [feed.limits.canary_since for feed in feeds if feed.limits.canary]
        self._counts: dict[str, int] = {}
        self._people: dict[str, int] = {}
        """Workflow -> the people of its canary."""
        self._now = self._told = self._sent = 0
        self.kinds = frozenset(kind for each in self._limits.values() for kind in each.kinds)

    def tidy(self, now: int) -> None:
        """Drop what no limit looks at any more."""
        before = {kind: now - window for kind, window in WINDOWS_MS.items()}
        before |= {SWALLOWED: now - 2 * DAY_MS, CANARY: min(self._canaries_since, default=now)}
        pipe = self._store.client.pipeline(transaction=False)
        for part in self._store.parts:
            for kind, at in before.items():
                pipe.zremrangebyscore(part.tracked(kind, self._list), "-inf", f"({at}")
        pipe.execute()

    def look(self, now: int) -> None:
        """Read the counts. Raises `Held` when a limit is passed, or a canary complete."""
        self._now, self._sent = now, 0
        if not self.kinds:
            return
        windows = [kind for kind in WINDOWS_MS if kind in self.kinds]
        canaries = {id_: each.canary_since for id_, each in self._limits.items() if each.canary}
        pipe = self._store.client.pipeline(transaction=False)
        for part in self._store.parts:
            pipe.hlen(part.delivered(self._list))
            for kind in windows:
                pipe.zcount(part.tracked(kind, self._list), now - WINDOWS_MS[kind], "+inf")
            for since in canaries.values():
                pipe.zcount(part.tracked(CANARY, self._list), since, "+inf")
        answers, step = pipe.execute(), 1 + len(windows) + len(canaries)
        sums = [sum(answers[at::step]) for at in range(step)]
        self._told = sums[0]
        self._counts = dict(zip(windows, sums[1 : 1 + len(windows)], strict=True))
        self._people = dict(zip(canaries, sums[1 + len(windows) :], strict=True))
        self._check()
        full = {id_: self._canary_words(id_) for id_ in canaries if self._left_of(id_) <= 0}
        if full:
            raise Held(full)

    def room(self, most: int) -> int:
        """How many people may be sent before a canary is complete, `most` at most."""
        return min([most, *(self._left_of(id_) for id_ in self._people)])

    def add(self, part: PartitionKeys, found: Mapping[str, Mapping[str, int]], *, told: int = 0) -> None:
        """Count people of a partition: kind -> person -> when (epoch ms); so many are to be `told` something.

        Raises `Held` before counting.
        """
        self._sent += told
        watched = {kind: people for kind, people in found.items() if people and kind in self.kinds}
        if not watched:
            return
        pipe = self._store.client.pipeline(transaction=False)
        for kind, people in watched.items():
            pipe.zmscore(part.tracked(kind, self._list), list(people))
        for (kind, people), scores in zip(watched.items(), pipe.execute(), strict=True):
            if kind != CANARY:
                oldest = self._now - WINDOWS_MS[kind]
                late = (
                    at >= oldest and not (s or 0) >= oldest
                    for at, s in zip(people.values(), scores, strict=True)
                )
                self._counts[kind] += sum(late)
        self._check()
        for kind, people in watched.items():
            track(self._store, part, self._list, kind, people)

    def _check(self) -> None:
        holds = {id_: found for id_, each in self._limits.items() if (found := self._passed(each))}
        if holds:
            raise Held(holds)

    def _passed(self, limits: Limits) -> tuple[str, str] | None:
        for kind, share in limits.shares.items():
            people = self._counts[kind]
            size = self._told + (people + self._sent if kind == REFUSED else 0)
            if people >= limits.least_people and people > share * size:
                words = f"{people} people {_WORDS[kind]} within an hour"
                return kind, f"{words}, more than {share:.0%} of the list's {size}"
        if limits.new is not None and self._counts[NEW] > limits.new:
            people = self._counts[NEW]
            return (
                NEW,
                f"at least {people} people would be added within a day; max_new_subscribers is {limits.new}",
            )
        return None

    def _left_of(self, workflow_id: str) -> int:
        return self._limits[workflow_id].canary - self._people[workflow_id]

    def _canary_words(self, workflow_id: str) -> tuple[str, str]:
        return CANARY, f"{self._people[workflow_id]} people were sent as a canary: look at them in the list"


def track(store: Store, part: PartitionKeys, list_id: str, kind: str, people: Mapping[str, int]) -> int:
    """Note when something happened to people (epoch ms); -> for how many that is news."""
    name = part.tracked(kind, list_id)
    return int(store.client.zadd(name, dict(people), gt=True, ch=True)) if people else 0  # type: ignore[arg-type]
