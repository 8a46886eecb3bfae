"""Opt-outs that spread: who unsubscribes from one list of a client is unsubscribed from another that we feed.

Level-triggered: everybody who changed is looked at, and a verdict is kept of each opt-out, so that a kill
anywhere repeats a look and no more. The list is asked first: who subscribed there in a later minute stays,
and whoever left by themselves needs no call. What we did ourselves is no opt-out of a person, and so spreads
no further.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, cast

import msgspec

from listbridge.errors import Deferred, Retriable, Skippable
from listbridge.exports.brakes import UNSUBSCRIBED, Brake
from listbridge.exports.claims import owners
from listbridge.exports.delivered import places, unpack_delivered
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
What = Literal["begun", "unsubscribed", "out", "stays", "absent", "refused"]
FIRST_AGAIN_MS, LAST_AGAIN_MS = 60 * MINUTE_MS, 24 * 60 * MINUTE_MS
"""How long a refused unsubscription rests: as long as it has been refused for, within these."""
UNSETTLED = frozenset({"begun", "refused"})
GONE = frozenset({"not_in_list", "suppressed", "deleted", "unsubscribed", "bounced"})
"""Refusals that say that nobody mails them there any more."""


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """What became of an opt-out of `since` (epoch ms) from the list `origin`, when (system's clock).

    `begun`: nobody knows yet; `unsubscribed`: by us; `out`: they had left by themselves; `stays`: they have
    subscribed in a later minute; `absent`: the list does not have them; `refused`: the list has them, and
    the system refuses to take them off, since `at`: it is tried again. `who`: a fingerprint of who was who
    around them, empty for somebody whose address never changed.
    """

    since: int
    origin: str
    what: What
    at: int
    who: str = ""


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Verdict).decode


@dataclass(frozen=True, slots=True)
class Known:
    """A person by the newest of their addresses, their `others`, and their statuses under all of them.

    `who`: a fingerprint of who is who around them.
    """

    key: str
    others: tuple[str, ...] = ()
    statuses: Statuses = field(default_factory=dict)
    who: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.others)


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person's newest opt-out from another list of the client (epoch ms). See `Known`."""

    key: str
    since: int
    origin: str
    others: tuple[str, ...] = ()
    who: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.others)


@dataclass(slots=True)
class SpreadResult:
    """People: unsubscribed by us, those who stay because they subscribed later, and those whom the system
    refused to take off, each with its code."""

    unsubscribed: int = 0
    stay: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def joined(newest: str, told: Mapping[str, Statuses]) -> Statuses:
    """The statuses of a person under all their addresses.

    Who left a list under any of them has left it, until the newest is in it since a later minute.
    """
    own = told.get(newest, {})
    found: dict[str, tuple[str, int]] = {}
    for list_id in {each for statuses in told.values() for each in statuses}:
        here = [statuses[list_id] for statuses in told.values() if list_id in statuses]
        latest = own.get(list_id) or max(here, key=lambda status: status[1])
        left = max((status for status in here if status[0] == LEFT), default=latest)
        stays = list_id in own and _minute(own[list_id][1]) > _minute(left[1])
        found[list_id] = latest if stays else left
    return found


def opt_out_of(
    store: Store, key: str, statuses: Statuses, family: Collection[str], others: tuple[str, ...] = ()
) -> OptOut | None:
    """The newest opt-out of a person from one of the client's lists that they made themselves."""
    left = [(since, each) for each, (word, since) in statuses.items() if word == LEFT and each in family]
    for since, list_id in sorted(left, reverse=True):
        if not _was_ours(store, (key, *others), list_id, since):
            return OptOut(key, since, list_id, others)
    return None


def _was_ours(store: Store, keys: Sequence[str], list_id: str, since: int) -> bool:
    """Were they unsubscribed from a list by us: by spreading, or because they left an audience?"""
    pipe = store.client.pipeline(transaction=False)
    for key in keys:
        part = store.part(key)
        pipe.hget(part.spread(list_id), key)
        pipe.hget(part.delivered(list_id), key)
    answers = pipe.execute()
    begun = []
    for verdict in filter(None, answers[::2]):
        if (held := unpack(verdict)).what in ("begun", "unsubscribed", "refused"):
            begun.append(held.at)
    for told in filter(None, answers[1::2]):
        if (row := unpack_delivered(told)).left:
            begun += [at for at, _ in row.writes[-1:]]
    return any(abs(since - at) <= OURS_MS for at in begun)


def lags(store: Store, list_id: str) -> bool:
    """Is there anybody who changed and was not looked at, or whose unsubscription is to be tried again?"""
    pipe, now = store.client.pipeline(transaction=False), now_ms()
    for part in store.parts:
        pipe.get(part.spread_cursor(list_id))
        pipe.zrevrange(part.changed, 0, 0, withscores=True)
        pipe.zrangebyscore(part.spread_again(list_id), "-inf", now, start=0, num=1)
    answers = pipe.execute()
    return any(
        again or (last and int(last[0][1]) > int(held or 0))
        for held, last, again in zip(answers[::3], answers[1::3], answers[2::3], strict=True)
    )


class Spreader:
    """Carries opt-outs into one list. `known_of` reads from a key and its packed profile whose they are.

    `since`: opt-outs from before (epoch ms) are left alone. `counted` hears of each person who was
    unsubscribed, once.
    """

    def __init__(
        self,
        store: Store,
        list_id: str,
        destination: Destination,
        family: Collection[str],
        known_of: Callable[[str, bytes], Known],
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
        self._known_of = known_of
        self._brake = brake
        self._since = _minute(since)
        self._in_flight = in_flight

    def run(self, stop: Callable[[], bool]) -> SpreadResult:
        """Look at everybody who changed, and at whom the system refused to take off for long enough.

        Raises the destination's problems, and `Held` of a brake.
        """
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="spread") as pool:
            for part in self._store.parts:
                again = self._again(part)
                if not self._look(pool, part, again, stop):
                    return self.result
                for people, cursor in self._changed(part):
                    if not self._look(pool, part, people, stop):
                        return self.result
                    self._store.client.set(part.spread_cursor(self._list), cursor)
        return self.result

    def _look(
        self, pool: ThreadPoolExecutor, part: PartitionKeys, people: Sequence[str], stop: Callable[[], bool]
    ) -> bool:
        """Settle what is due of these people; -> False where it was stopped before the end."""
        due = self._due(part, people) if people else []
        for start in range(0, len(due), ASKED_AT_ONCE):
            if stop():
                return False
            self._settle(pool, due[start : start + ASKED_AT_ONCE])
        settled = {*people} - {each.key for each in due}
        if settled:
            self._store.client.zrem(part.spread_again(self._list), *settled)
        return True

    def _again(self, part: PartitionKeys) -> list[str]:
        found = self._store.client.zrangebyscore(part.spread_again(self._list), "-inf", now_ms())
        return [key.decode() for key in cast(list[bytes], found)]

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
        """The opt-outs of these people that no verdict was reached about, each person's once."""
        packed = cast(list[bytes | None], self._store.client.hmget(part.profiles, people))
        known = [self._known_of(key, each) for key, each in zip(people, packed, strict=True) if each]
        once = {each.key: each for each in known}
        verdicts = self._verdicts([*once.values()])
        return [
            found
            for each in once.values()
            if (found := self._found(each, verdicts.get(each.key))) is not None
        ]

    def _verdicts(self, people: Sequence[Known | OptOut]) -> dict[str, Verdict]:
        """The verdicts under people's newest addresses, or the latest under others of theirs."""
        pipe = self._store.client.pipeline(transaction=False)
        for key in (key for each in people for key in each.keys):
            pipe.hget(self._store.part(key).spread(self._list), key)
        answers = iter(pipe.execute() if people else [])
        found: dict[str, Verdict] = {}
        for each in people:
            newest, *others = [
                unpack(packed) if packed else None for packed in islice(answers, len(each.keys))
            ]
            latest = max((held for held in others if held), key=lambda held: held.since, default=None)
            if (verdict := newest or latest) is not None:
                found[each.key] = verdict
        return found

    def _found(self, known: Known, verdict: Verdict | None) -> OptOut | None:
        found = opt_out_of(self._store, known.key, known.statuses, self._family, known.others)
        if found is None or found.since < self._since:
            return None
        settled = verdict is not None and verdict.what not in UNSETTLED and verdict.who == known.who
        if settled and verdict is not None and verdict.since >= found.since:
            return None
        return replace(found, who=known.who)

    def _settle(self, pool: ThreadPoolExecutor, some: Sequence[OptOut]) -> None:
        """Ask the list for these people, unsubscribe them, and keep what became of it."""
        now = now_ms()
        for part, people in self._store.by_part([each.key for each in some]):
            self._brake.add(part, {UNSUBSCRIBED: dict.fromkeys(people, now)})
        addresses = self._places(some)
        before = self._begin(some)
        for each, what in pool.map(lambda each: (each, self._carry(each, addresses[each.key])), some):
            was = before.get(each.key)
            if what == "refused":
                self._try_again(each, was)
                continue
            if was is not None and was.since == each.since and what != "unsubscribed":
                if was.what == "unsubscribed" or (was.what == "refused" and what == "out"):
                    # What we did beside a refusal, under another address, is still known to be ours.
                    self._keep(each, "unsubscribed", was.at)
                    self._forget_again(each)
                    continue
                if was.what == "begun" and what == "out":
                    what = "unsubscribed"  # by the attempt before, which nobody heard the end of
            self._keep(each, what)
            self._forget_again(each)
            self.result.unsubscribed += what == "unsubscribed"
            self.result.stay += what == "stays"

    def _forget_again(self, each: OptOut) -> None:
        self._store.client.zrem(self._store.part(each.key).spread_again(self._list), each.key)

    def _try_again(self, each: OptOut, was: Verdict | None) -> None:
        """First the time at which it is tried again: a kill in between repeats the call and no more."""
        now = self._destination.clock_offset_ms() + now_ms()
        same = was is not None and was.what == "refused" and was.since == each.since
        first = was.at if was is not None and same else now
        rest = min(max(now - first, FIRST_AGAIN_MS), LAST_AGAIN_MS)
        again = self._store.part(each.key).spread_again(self._list)
        self._store.client.zadd(again, {each.key: now_ms() + rest})
        self._keep(each, "refused", first)

    def _places(self, some: Sequence[OptOut]) -> dict[str, tuple[str, ...]]:
        """The addresses at which the list may have each of them: their own, and where their row went to or
        may be yet, if it has not become somebody else's."""
        pipe = self._store.client.pipeline(transaction=False)
        for key in (key for each in some for key in each.keys):
            pipe.hget(self._store.part(key).delivered(self._list), key)
        answers = iter(pipe.execute())
        told = {each.key: {key: next(answers) for key in each.keys} for each in some}
        rows = {
            each.key: [
                address
                for key, packed in told[each.key].items()
                if packed
                for address in places(key, unpack_delivered(packed), None, ())
            ]
            for each in some
        }
        whose = owners(self._store, self._list, [address for found in rows.values() for address in found])
        return {
            each.key: tuple(
                dict.fromkeys(
                    [*each.keys, *(at for at in rows[each.key] if whose.get(at, each.key) in each.keys)]
                )
            )
            for each in some
        }

    def _begin(self, some: Sequence[OptOut]) -> dict[str, Verdict]:
        """Keep that it begins, so that its webhook is known for ours; -> the verdicts of before.

        Whom we had unsubscribed for the same opt-out, and whose addresses are others now, we still have.
        """
        before = self._verdicts(some)
        for each in some:
            was = before.get(each.key)
            if was is None or was.since != each.since or was.what not in ("begun", "unsubscribed"):
                self._keep(each, "begun")
        return before

    def _keep(self, each: OptOut, what: What, at: int = 0) -> None:
        """Under all keys of the person, the newest last: whichever stays theirs, it is known."""
        at = at or self._destination.clock_offset_ms() + now_ms()
        packed = pack(Verdict(each.since, each.origin, what, at, each.who))
        for key in reversed(each.keys):
            self._store.client.hset(self._store.part(key).spread(self._list), key, packed)

    def _carry(self, each: OptOut, addresses: Sequence[str]) -> What:
        """Runs in a thread of its own. What counts most of what became of the addresses."""
        found = {self._carry_to(each, address) for address in addresses}
        order: tuple[What, ...] = ("refused", "unsubscribed", "stays", "out", "absent")
        return next(what for what in order if what in found)

    def _carry_to(self, each: OptOut, address: str) -> What:
        try:
            state = self._destination.state_of(address)
            if state is None:
                return "absent"
            word, since = state
            if word not in ("active", "unconfirmed"):
                return "out"
            if _minute(since) > _minute(each.since):
                return "stays"
            row = Row(each.key, address, None, ())
            sent = self._destination.send(Prepared("", {}), [row], Flags(way=Way.UNSUBSCRIBE))
        except Deferred as problem:
            raise Retriable(str(problem)) from problem
        except Skippable:
            return "absent"  # no address that the system takes
        (outcome,) = sent.outcomes
        if outcome.kind is OutcomeKind.STORED:
            return "unsubscribed"
        if outcome.code in GONE:
            return "out"
        self.result.refused[each.key] = outcome.code
        return "refused"


def _minute(at: int) -> int:
    return at - at % MINUTE_MS
