"""An API with a limit, and callers of it, in a time that passes only as they wait for one another."""

import heapq
import itertools
from dataclasses import dataclass, field

from listbridge.pacing import Budget, Limits, Outcome, Quota

START_US = 1_700_000_000_000_000
CALL_US = 30_000


@dataclass
class Api:
    """Fixed windows of `window` microseconds; `limit_at` tells the limit of a moment since the start."""

    limit_at: object
    window: int = 2_000_000
    tells: bool = False
    counted: dict = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0

    def call(self, at):
        number, limit = at // self.window, self.limit_at(at)
        used = self.counted.get(number, 0)
        allowed = used < limit
        self.counted[number] = used + allowed
        self.accepted += allowed
        self.refused += not allowed
        left = max(limit - used - 1, 0)
        reset = (number + 1) * self.window - at
        return allowed, Quota(limit, left, reset / 1e6) if self.tells else None


@dataclass
class Clock:
    """Microseconds since the start, and how far the server's clock is off."""

    now: int = 0
    off: int = 0

    def __call__(self):
        return START_US + self.now + self.off


def run(store, api, *, callers, seconds, clock=None, limits=None, patient=0, jumps=(), account="a"):
    """Callers that call again and again; -> (when, caller) of each call. `jumps`: (when, by) of the clock."""
    clock = clock or Clock()
    budget = Budget(store, account, limits or Limits(in_flight=64), clock=clock)
    calls, order, jumps = [], itertools.count(), sorted(jumps)
    agenda = [(clock.now, next(order), "ask", caller, None) for caller in range(callers)]
    had_turn = dict.fromkeys(range(callers), False)
    end = clock.now + seconds * 1_000_000
    while agenda and agenda[0][0] < end:
        at, _, what, caller, held = heapq.heappop(agenda)
        while jumps and jumps[0][0] <= at:
            clock.off += jumps.pop(0)[1]
        clock.now = at
        name = f"call-{caller}"
        if what == "ask":
            is_patient = caller < patient
            got = budget.reserve(
                name, longest_seconds=60, patient=is_patient, had_turn=is_patient and had_turn[caller]
            )
            wait = int(got.wait_seconds * 1e6) or (0 if got.granted else 20_000)
            had_turn[caller] = not got.granted and (had_turn[caller] or got.why in ("turn", "full"))
            step = ("call", got.epoch) if got.granted else ("ask", None)
            heapq.heappush(agenda, (at + wait, next(order), step[0], caller, step[1]))
        elif what == "call":
            if budget.epoch() != held:
                heapq.heappush(agenda, (at, next(order), "ask", caller, None))
                continue
            calls.append((at, caller))
            answer = api.call(at)
            heapq.heappush(agenda, (at + CALL_US, next(order), "answer", caller, (held, answer)))
        else:
            epoch, (allowed, quota) = held
            outcome = Outcome.ANSWERED if allowed else Outcome.REFUSED
            rest = quota.reset_seconds if quota and not allowed else None
            budget.settle(name, epoch, outcome, quota=quota, rest_seconds=rest)
            heapq.heappush(agenda, (at, next(order), "ask", caller, None))
    return calls


def most_within(calls, seconds):
    """The greatest number of calls in any stretch of so many seconds."""
    times = sorted(at for at, _ in calls)
    most = low = 0
    for high, at in enumerate(times):
        while at - times[low] >= seconds * 1_000_000:
            low += 1
        most = max(most, high - low + 1)
    return most
