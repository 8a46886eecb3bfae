"""The budget of one account: a permit for each call, spaced by what the account was seen to allow.

A permit is a reservation: it says how long to wait for its own moment, so that callers who wait do
not ask again all at once (GCRA, the generic cell rate algorithm, with the reservation kept). The rate
starts at the ceiling, falls by a share with each refusal and grows slowly with success; where the
answers tell a quota, the calls that are left are spread over the rest of its window. The number of
calls in flight is bounded; the slot of a caller that died comes back when its time is over.

Importers are patient: they queue for their turn at 80 % of the rate before they take a permit, and
leave a quarter of the slots, so that an export finds a permit at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from listbridge.pacing.scripts import RESERVE, SETTLE
from listbridge.store import keys
from listbridge.store.store import Store


@dataclass(frozen=True, slots=True)
class Limits:
    """What a budget keeps to, whatever it learns: rates in calls a second, calls in flight.

    `call_seconds` is the longest that a call can take: after it a slot is free again without a word.
    """

    most: float = 500.0
    least: float = 0.2
    in_flight: int = 16
    call_seconds: float = 130.0


class Outcome(StrEnum):
    """How a call ended: answered; refused for its pace; failed otherwise, or unused, which teach nothing."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer tells: `left` calls of `limit` in the window that ends in `reset_seconds`."""

    limit: int
    left: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """A permit for in `wait_seconds`, or why there is none.

    `why`: `turn`: wait, then ask again; `full`: too many calls are in flight; `rest`: the account
    rests; `queue`: the wait would be longer than was asked for.
    """

    granted: bool
    wait_seconds: float
    epoch: int
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account's budget stands: counters since its first call, and what holds now."""

    calls: int
    refused: int
    waited_seconds: float
    calls_per_second: float
    """The rate allowed now."""
    in_flight: int
    rests_seconds: float
    """How long nobody calls, 0 for not at all."""


class Budget:
    """The budget of the account of that name. `clock` (epoch microseconds) stands in for the server's."""

    def __init__(
        self, store: Store, account: str, limits: Limits, *, clock: Callable[[], int] | None = None
    ) -> None:
        self.account = account
        self.limits = limits
        self._store = store
        self._clock = clock

    def reserve(
        self, call: str, *, longest_seconds: float, patient: bool = False, had_turn: bool = False
    ) -> Reservation:
        """A permit and a slot for the call of that unique name, if it takes no longer than that.

        Run again because the reply was lost, it costs one permit that nobody uses.
        """
        limits = self.limits
        args = [
            *self._common(call),
            limits.in_flight,
            int(limits.call_seconds * 1e6),
            int(patient),
            int(had_turn),
            int(longest_seconds * 1e6),
        ]
        granted, wait, epoch, why = cast(list[Any], self._store.script(RESERVE, self._keys(), args))
        return Reservation(bool(granted), wait / 1e6, epoch, why.decode())

    def settle(
        self,
        call: str,
        epoch: int,
        outcome: Outcome,
        *,
        waited_seconds: float = 0.0,
        rest_seconds: float | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Give the slot back and learn from the answer; `epoch` is that of the reservation.

        A refusal slows down only those who called since the last one that counted: calls that were
        in flight together count once.
        """
        args = [
            *self._common(call),
            epoch,
            outcome,
            int(waited_seconds * 1000),
            "" if rest_seconds is None else int(rest_seconds * 1e6),
        ]
        args += (
            [max(quota.limit, 1), quota.left, max(int(quota.reset_seconds * 1e6), 1000)]
            if quota
            else ["", "", ""]
        )
        self._store.script(SETTLE, self._keys(), args)

    def epoch(self) -> int:
        """How many refusals have counted."""
        return int(cast(bytes | None, self._store.client.hget(keys.pace(self.account), "epoch")) or 0)

    def _common(self, call: str) -> list[Any]:
        least = min(self.limits.least, self.limits.most)
        return ["" if self._clock is None else self._clock(), self.limits.most, least, call]

    def _keys(self) -> list[str]:
        return [keys.pace(self.account), keys.flights(self.account)]


# KEYS: an account's budget -> its fields and values, and the time of the server that has it
_STATE = "return {redis.call('HGETALL', KEYS[1]), redis.call('TIME')}"


def describe(store: Store, account: str, limits: Limits) -> Standing:
    """How the account's budget stands, as seen by a process with these limits."""
    flat, (seconds, micros) = store.script(_STATE, [keys.pace(account)], [])
    state = {name.decode(): float(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    now = max(int(seconds) * 1e6 + int(micros) + state.get("skew", 0), state.get("seen", 0))
    rate = max(min(state.get("rate", limits.most), limits.most), min(limits.least, limits.most))
    if now < state.get("reset_at", 0) and now - state["told_at"] <= 2 * state["window"]:
        rate = min(rate, max(state["left"], 0) / (state["reset_at"] - now) * 1e6)
    return Standing(
        calls=int(state.get("calls", 0)),
        refused=int(state.get("refused", 0)),
        waited_seconds=state.get("waited_ms", 0) / 1000,
        calls_per_second=rate,
        in_flight=store.client.zcount(keys.flights(account), f"({now:.0f}", "+inf"),
        rests_seconds=max(state.get("hold_until", 0) - now, 0) / 1e6,
    )
