"""Opt-outs that spread: who unsubscribes from one list of a client is unsubscribed from another that we feed.

Level-triggered: everybody who changed is looked at, and a verdict is kept of each opt-out, so that a kill
anywhere repeats a look and no more. The list is asked first: who subscribed there in a later minute stays,
and whoever left by themselves needs no call. What we did ourselves is no opt-out of a person, and so spreads
no further.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from listbridge.errors import Deferred, Retriable, Skippable
from listbridge.exports.brakes import UNSUBSCRIBED, Brake
from listbridge.exports.delivered import unpack_delivered
from listbridge.exports.protocol import Destination, Flags, OutcomeKind, Prepared, Row, Way
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store, now_ms

LEFT = "unsubscribed"
MINUTE_MS = 60_000
OURS_MS = 15 * MINUTE_MS
"""How far from what we noted of an unsubscription of ours the list's time of it can lie."""
LOOKED_AT_ONCE = 500
ASKED_AT_ONCE = 40

Statuses = Mapping[str, tuple[str, int]]
"""List -> a person's status there and its time (epoch ms), as the streams tell it."""
What = Literal["begun", "unsubscribed", "out", "stays", "absent"]


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """What became of an opt-out of `since` (epoch ms) from the list `origin`, when (system's clock).

    `begun`: nobody knows yet; `unsubscribed`: by us; `out`: they had left by themselves; `stays`: they have
    subscribed in a later minute; `absent`: the list does not have them.
    """

    since: int
    origin: str
    what: What
    at: int


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Verdict).decode


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person's newest opt-out from another list of the client (epoch ms)."""

    key: str
    since: int
    origin: str


@dataclass(slots=True)
class SpreadResult:
    """People: unsubscribed by us, and those who stay because they subscribed later."""

    unsubscribed: int = 0
    stay: int = 0


def opt_out_of(store: Store, key: str, statuses: Statuses, family: Collection[str]) -> OptOut | None:
    """The newest opt-out of a person from one of the client's lists that they made themselves."""
    left = [(since, each) for each, (word, since) in statuses.items() if word == LEFT and each in family]
    for since, list_id in sorted(left, reverse=True):
        if not _was_ours(store, key, list_id, since):
            return OptOut(key, since, list_id)
    return None


def _was_ours(store: Store, key: str, list_id: str, since: int) -> bool:
    """Were they unsubscribed from a list by us: by spreading, or because they left an audience?"""
    part = store.part(key)
    pipe = store.client.pipeline(transaction=False)
    pipe.hget(part.spread(list_id), key)
    pipe.hget(part.delivered(list_id), key)
    verdict, told = pipe.execute()
    begun = []
    if verdict and (held := unpack(verdict)).what in ("begun", "unsubscribed"):
        begun.append(held.at)
    if told and (row := unpack_delivered(told)).left:
        begun += [at for at, _ in row.writes[-1:]]
    return any(abs(since - at) <= OURS_MS for at in begun)


def lags(store: Store, list_id: str) -> bool:
    """Is there anybody who changed and was not looked at?"""
    pipe = store.client.pipeline(transaction=False)
    for part in store.parts:
        pipe.get(part.spread_cursor(list_id))
        pipe.zrevrange(part.changed, 0, 0, withscores=True)
    answers = pipe.execute()
    return any(
        last and int(last[0][1]) > int(held or 0)
        for held, last in zip(answers[::2], answers[1::2], strict=True)
    )


class Spreader:
    """Carries opt-outs into one list. `statuses_of` reads them from a packed profile.

    `since`: opt-outs from before (epoch ms) are left alone. `counted` hears of each person who was
    unsubscribed, once.
    """

    def __init__(
        self,
        store: Store,
        list_id: str,
        destination: Destination,
        family: Collection[str],
        statuses_of: Callable[[bytes], Statuses],
        brake: Brake,
        *,
        since: int,
        in_flight: int,
    ) -> None:
        self.result = SpreadResult()
        self._store = store
        self._list = list_id
        self._destination = destination
        self._family = frozenset(family) - {list_id}
        self._statuses_of = statuses_of
        self._brake = brake
        self._since = since - since % MINUTE_MS
        self._in_flight = in_flight

    def run(self, stop: Callable[[], bool]) -> SpreadResult:
        """Look at everybody who changed. Raises the destination's problems, and `Held` of a brake."""
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="spread") as pool:
            for part in self._store.parts:
                for people, cursor in self._changed(part):
                    due = self._due(part, people)
                    for start in range(0, len(due), ASKED_AT_ONCE):
                        if stop():
                            return self.result
                        self._settle(pool, part, due[start : start + ASKED_AT_ONCE])
                    self._store.client.set(part.spread_cursor(self._list), cursor)
        return self.result

    def _changed(self, part: PartitionKeys) -> Iterator[tuple[list[str], int]]:
        held = cast(bytes | None, self._store.client.get(part.spread_cursor(self._list)))
        cursor = int(held or 0)
        while True:
            found = cast(
                Any,
                self._store.client.zrangebyscore(
                    part.changed, f"({cursor}", "+inf", start=0, num=LOOKED_AT_ONCE, withscores=True
                ),
            )
            if not found:
                return
            cursor = int(found[-1][1])
            yield [key.decode() for key, _ in found], cursor

    def _due(self, part: PartitionKeys, people: Sequence[str]) -> list[OptOut]:
        """The opt-outs of these people that no verdict was reached about."""
        pipe = self._store.client.pipeline(transaction=False)
        pipe.hmget(part.profiles, people)
        pipe.hmget(part.spread(self._list), people)
        profiles, verdicts = pipe.execute()
        return [
            found
            for key, packed, verdict in zip(people, profiles, verdicts, strict=True)
            if packed and (found := self._found(key, self._statuses_of(packed), verdict)) is not None
        ]

    def _found(self, key: str, statuses: Statuses, verdict: bytes | None) -> OptOut | None:
        found = opt_out_of(self._store, key, statuses, self._family)
        if found is None or found.since < self._since:
            return None
        if verdict and (held := unpack(verdict)).since >= found.since and held.what != "begun":
            return None
        return found

    def _settle(self, pool: ThreadPoolExecutor, part: PartitionKeys, some: Sequence[OptOut]) -> None:
        """Ask the list for these people, unsubscribe them, and keep what became of it."""
        now = now_ms()
        self._brake.add(part, {UNSUBSCRIBED: {each.key: now for each in some}})
        places = self._places(part, some)
        before = self._begin(part, some)
        for each, what in pool.map(lambda each: (each, self._carry(each, places[each.key])), some):
            begun = before.get(each.key)
            if what == "out" and begun is not None and begun.since == each.since:
                what = "unsubscribed"  # by the attempt before, which nobody heard the end of
            self._keep(part, each, what)
            self.result.unsubscribed += what == "unsubscribed"
            self.result.stay += what == "stays"

    def _places(self, part: PartitionKeys, some: Sequence[OptOut]) -> dict[str, tuple[str, ...]]:
        """The addresses at which the list may have each of them: their own, and where their row went to."""
        told = cast(
            list[bytes | None],
            self._store.client.hmget(part.delivered(self._list), [each.key for each in some]),
        )
        rows = {each.key: unpack_delivered(packed) for each, packed in zip(some, told, strict=True) if packed}
        return {
            each.key: tuple(
                dict.fromkeys([each.key, *([rows[each.key].address or each.key] if each.key in rows else [])])
            )
            for each in some
        }

    def _begin(self, part: PartitionKeys, some: Sequence[OptOut]) -> dict[str, Verdict]:
        """Keep that it begins, so that its webhook is known for ours; -> what had begun before."""
        name = part.spread(self._list)
        held = cast(list[bytes | None], self._store.client.hmget(name, [each.key for each in some]))
        before = {
            each.key: verdict
            for each, packed in zip(some, held, strict=True)
            if packed and (verdict := unpack(packed)).what == "begun"
        }
        for each in some:
            if each.key not in before or before[each.key].since != each.since:
                self._keep(part, each, "begun")
        return before

    def _keep(self, part: PartitionKeys, each: OptOut, what: What) -> None:
        at = now_ms() + self._destination.clock_offset_ms()
        packed = pack(Verdict(each.since, each.origin, what, at))
        self._store.client.hset(part.spread(self._list), each.key, packed)

    def _carry(self, each: OptOut, addresses: Sequence[str]) -> What:
        """Runs in a thread of its own. The strongest of what became of the addresses."""
        found = {self._carry_to(each, address) for address in addresses}
        order: tuple[What, ...] = ("unsubscribed", "stays", "out", "absent")
        return next(what for what in order if what in found)

    def _carry_to(self, each: OptOut, address: str) -> What:
        try:
            state = self._destination.state_of(address)
            if state is None:
                return "absent"
            word, since = state
            if word not in ("active", "unconfirmed"):
                return "out"
            if since - since % MINUTE_MS > each.since - each.since % MINUTE_MS:
                return "stays"
            row = Row(each.key, address, None, ())
            sent = self._destination.send(Prepared("", {}), [row], Flags(way=Way.UNSUBSCRIBE))
        except Deferred as problem:
            raise Retriable(str(problem)) from problem
        except Skippable:
            return "absent"  # no address that the system takes
        return "unsubscribed" if sent.outcomes[0].kind is OutcomeKind.STORED else "absent"
