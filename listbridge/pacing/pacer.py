"""Waiting for permits: short waits in place, ready to stop; long ones put the workflow to sleep."""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from listbridge.errors import Retriable
from listbridge.pacing.budget import Budget, Outcome, Quota, Reservation

logger = logging.getLogger(__name__)

SHORT_WAIT_SECONDS = 2.0
PATIENT_WAIT_SECONDS = 60.0
STEP_SECONDS = 0.25
"""How often somebody who waits looks whether to stop."""
STOPPED_REST_SECONDS = 0.5


class Paced(Retriable):
    """Nothing to do: the account's budget is used up for now and the workflow sleeps until it is back."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class _Permit:
    call: str
    epoch: int
    waited_seconds: float


class Pacer:
    """The permits of one client's calls; one object serves all threads, each of which makes one at a time.

    `patient`: queue for longer, and behind those who are not. `stopping` ends every wait.
    """

    def __init__(
        self, budget: Budget, *, patient: bool = False, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.budget = budget
        self._patient = patient
        self._stopping = stopping
        self._longest = PATIENT_WAIT_SECONDS if patient else SHORT_WAIT_SECONDS
        self._local = threading.local()

    def before(self) -> None:
        """Return when the call may be made. Raises `Paced` for a long wait, or when asked to stop."""
        self._local.permit = self._wait(secrets.token_hex(8))

    def after(
        self, outcome: Outcome, *, rest_seconds: float | None = None, quota: Quota | None = None
    ) -> None:
        """The thread's call has ended. If the store can't be told, its slot comes back later."""
        permit: _Permit = self._local.permit
        try:
            self.budget.settle(
                permit.call,
                permit.epoch,
                outcome,
                waited_seconds=permit.waited_seconds,
                rest_seconds=rest_seconds,
                quota=quota,
            )
        except redis.RedisError as error:
            logger.warning("a call's outcome could not be told to the budget: %s", type(error).__name__)

    def _wait(self, call: str) -> _Permit:
        began, had_turn, attempts = time.monotonic(), False, 0
        while True:
            waited = time.monotonic() - began
            asked = self.budget.reserve(
                call,
                longest_seconds=max(self._longest - waited, 0),
                patient=self._patient,
                had_turn=had_turn,
            )
            if asked.why in ("rest", "queue") or (asked.why == "full" and waited > self._longest):
                raise _paced(asked)
            had_turn = had_turn or asked.why in ("turn", "full")
            attempts += 1
            self._pause(call, asked, _poll_seconds(attempts) if asked.why == "full" else asked.wait_seconds)
            if asked.granted and self._still_holds(asked):
                return _Permit(call, asked.epoch, time.monotonic() - began)

    def _still_holds(self, asked: Reservation) -> bool:
        """Who has waited asks whether the account was refused meanwhile: then the permit is out of date."""
        return asked.wait_seconds < STEP_SECONDS or self.budget.epoch() == asked.epoch

    def _pause(self, call: str, asked: Reservation, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stopping():
                if asked.granted:
                    self.budget.settle(call, asked.epoch, Outcome.UNUSED)
                raise Paced("stopped while it waited for the account's budget", STOPPED_REST_SECONDS)
            time.sleep(min(left, STEP_SECONDS))


def _paced(asked: Reservation) -> Paced:
    if asked.why == "full":
        return Paced("the account has as many calls in flight as it may", SHORT_WAIT_SECONDS)
    held = "rests" if asked.why == "rest" else "has no call left"
    return Paced(f"the account {held} for {asked.wait_seconds:.0f} s more", asked.wait_seconds)


def _poll_seconds(attempts: int) -> float:
    """Until a slot is looked for again: longer each time, and never the same for two."""
    longest = min(0.02 * float(2 ** min(attempts, 4)), STEP_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - to spread
