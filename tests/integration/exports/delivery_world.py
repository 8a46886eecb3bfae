"""A list in memory, people who act at any step, and what a deliverer needs beside: one world to test in.

Every effect of a deliverer, a write to the store or a call to the list, is a step. A plan says what
happens at which step: a fault, a crash, or somebody who acts.
"""

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace

import msgspec

from listbridge.errors import Fatal, Retriable, Skippable
from listbridge.exports.brakes import Held
from listbridge.exports.engine import Deliverer
from listbridge.exports.ledger import Ledger, delivered_to, lags, raise_doubt
from listbridge.exports.protocol import SINGLE, Outcome, OutcomeKind, Prepared, Sent, Way
from listbridge.exports.terms import OPTED_OUT, Feed, ListSpec, Person
from listbridge.profiles.commit import Commit, versions_and_offsets, write
from listbridge.profiles.membership import Membership
from listbridge.store.store import Store

LIST = "l1"
LABELS = {"a": "A", "b": "B", "c": "C"}
FIELD = "[F]"
PREPARED = Prepared(FIELD, {})
START = 1_700_000_000_000
STEP_MS = 7_000
MINUTE = 60_000
LONGEST_DELIVERY = 1000
FEED = Feed("w1", running=True, started_at=START - MINUTE, audiences=LABELS, existing_users=True)


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Subscriber:
    state: str
    at: int
    options: set
    name: str = ""


@dataclass
class Known:
    """What the streams tell of one person."""

    audiences: dict = field(default_factory=dict)
    status: tuple | None = None
    opted_in_at: int | None = None
    bio: str = "x"


@dataclass
class Clock:
    now: int = START

    def __call__(self):
        return self.now


class CountingStore(Store):
    """A store whose scripts are steps of the world; `written` counts those of one delivery."""

    world = None
    written = 0

    def script(self, source, keys, args):
        args = list(args)
        self.written += 1
        assert self.written < LONGEST_DELIVERY, "a delivery never ends"
        if self.world is None:
            return super().script(source, keys, args)
        return self.world.step(lambda: super(CountingStore, self).script(source, keys, args))


class World:
    """The list (a Destination), the people and the clock; `plan` maps steps to what happens there.

    `undone` is who was added again against an opt-out that stood when the list was asked last.
    A row of somebody `bad` is refused, or the whole call is, with the error `whole`.
    """

    call_seconds = 5.0

    def __init__(
        self,
        store,
        clock,
        *,
        people=3,
        limit=2,
        append=False,
        spec=None,
        bad=(),
        whole=None,
        plan=None,
        in_flight=1,
    ):
        self.in_flight, self.on_their_way = in_flight, set()
        self.batch_limit = limit
        self.store, self.clock, self.append = store, clock, append
        store.written = 0
        self.spec = spec or ListSpec(LIST, (FEED,), tuple(LABELS.values()), FIELD, fields={"bio": "[Bio]"})
        self.keys = [f"p{number}@example.com" for number in range(people)]
        self.bad, self.whole = {self.keys[number] for number in bad}, whole
        self.plan = dict(plan or {})
        self.subscribers = {}
        self.known = defaultdict(Known)
        self.news = []
        self.steps, self.calls, self.undone, self.flagged, self.stored = 0, [], [], [], set()
        self.moment, self.asked_at, self.left_at = 0, defaultdict(int), defaultdict(int)
        self.lock = threading.RLock()

    # Steps

    def step(self, effect, *, is_call=False):
        with self.lock:
            self.clock.now += STEP_MS
            happening = self.plan.pop(self.steps, None)
            self.steps += 1
            self.moment += 1
            if callable(happening):
                happening(self)
            elif happening == "crash before":
                raise Crash
            elif is_call and happening == "too many calls":
                raise Retriable
            elif is_call and happening == "key revoked":
                raise Fatal
            elif is_call and happening == "lost":
                problem = Retriable()
                problem.may_have_been_applied = True
                raise problem
            answer = effect()
            if happening == "crash after":
                raise Crash
            if is_call and happening == "cut":
                problem = Retriable()
                problem.may_have_been_applied = True
                raise problem
            return answer

    # The list, as a Destination

    def prepare(self, _setup):
        return PREPARED

    def clock_offset_ms(self):
        return 0

    def still_offers(self, _prepared, _labels):
        return True

    def state_of(self, email):
        return self.step(lambda: self._state(email), is_call=True)

    def _state(self, email):
        self.asked_at[email] = self.moment
        found = self.subscribers.get(email)
        return (found.state, found.at - found.at % MINUTE) if found else None

    def send(self, _prepared, rows, flags):
        assert len(rows) <= self.batch_limit
        assert len({row.email for row in rows}) == len(rows)
        assert len(rows) == 1 or flags.way not in SINGLE
        people = {row.key for row in rows}
        with self.lock:
            assert self.on_their_way.isdisjoint(people)
            self.on_their_way |= people
        try:
            return self.step(lambda: self._send(rows, flags), is_call=True)
        finally:
            with self.lock:
                self.on_their_way -= people

    def _send(self, rows, flags):
        self.calls.append((rows, flags))
        if self.whole and any(row.email in self.bad for row in rows):
            raise self.whole("a row is not acceptable")
        outcomes = [self._store(row, flags) for row in rows]
        return Sent(outcomes, added=0, updated=0)

    def _store(self, row, flags):
        if row.email in self.bad:
            return Outcome(row.key, OutcomeKind.REFUSED, "invalid", "not an address")
        held = self.subscribers.get(row.email)
        if flags.way is Way.UNSUBSCRIBE:
            return self._unsubscribe(row, held)
        if flags.way is Way.UPDATE and held is None:
            return Outcome(row.key, OutcomeKind.REFUSED, "not_in_list", "")
        if held is not None and held.state in OPTED_OUT:
            if not flags.resubscribe:
                return Outcome(row.key, OutcomeKind.REFUSED, held.state, "opted out")
            self.flagged.append(row.key)
            later = held.at // MINUTE < self.opt_in_of(row.key) // MINUTE
            if not later and self.left_at[row.key] <= self.asked_at[row.key]:
                self.undone.append(row.key)
        if held is None or held.state in OPTED_OUT:
            options = held.options if held else set()
            held = self.subscribers[row.email] = Subscriber("active", self.clock.now, options)
            minute = self.clock.now - self.clock.now % MINUTE
            self.news.append((row.key, ("active", minute), set(), "ours"))
        kept = held.options if self.append or not row.options else held.options - set(LABELS.values())
        held.options = (kept | set(row.options)) - set(row.cleared)
        self.stored.add(row.key)
        return Outcome(row.key, OutcomeKind.STORED)

    def opt_in_of(self, key):
        """What counts as the person's last opt-in, by what the export says: stated or by entering."""
        (feed,) = self.spec.feeds
        entered = max(self.known[key].audiences.values(), default=0)
        return entered if feed.resubscribe == "always" else self.known[key].opted_in_at or 0

    def _unsubscribe(self, row, held):
        if held is not None and held.state == "active":
            held.state, held.at = "unsubscribed", self.clock.now
            minute = self.clock.now - self.clock.now % MINUTE
            self.news.append((row.key, ("unsubscribed", minute), set(held.options), "ours"))
        return Outcome(row.key, OutcomeKind.STORED)

    # People

    def act(self, who, what, options=(), *, told=True):
        """Somebody acts on the list by themselves; a webhook tells of it at once, or with `tell`."""
        key = self.keys[who]
        held = self.subscribers.get(key)
        if what == "subscribe":
            options = held.options if held else set()
            self.subscribers[key] = Subscriber("active", self.clock.now, options)
        elif held is None or held.state != "active":
            return
        elif what == "edit":
            held.options = set(options)
        else:
            held.state, held.at = what, self.clock.now
            self.left_at[key] = self.moment
        held = self.subscribers[key]
        self.news.append(
            (key, (held.state, self.clock.now - self.clock.now % MINUTE), set(held.options), what)
        )
        if told:
            self.tell()

    def tell(self):
        """The webhooks that are under way arrive."""
        news, self.news = self.news, []
        for key, status, options, what in news:
            before = self.known[key].status
            if before is None or before[1] <= status[1]:
                self.known[key].status = status
                self.commit(key)
            held = delivered_to(self.store, LIST, [key]).get(key)
            if held and what in ("edit", "subscribe") and set(held.options) != options:
                quietly(self.store, lambda key=key: raise_doubt(self.store, LIST, [key], self.clock.now))

    def enter(self, who, slug, *, opted_in_at=None):
        known = self.known[self.keys[who]]
        known.audiences[slug] = self.clock.now
        known.opted_in_at = opted_in_at or known.opted_in_at
        self.commit(self.keys[who])

    def leave(self, who, slug):
        self.known[self.keys[who]].audiences.pop(slug, None)
        self.commit(self.keys[who])

    def write(self, who, bio):
        self.known[self.keys[who]].bio = bio
        self.commit(self.keys[who])

    def commit(self, key):
        """Write a profile as the fold does."""
        part = self.store.part(key)
        ((version, _),) = versions_and_offsets(self.store, [part])
        packed = msgspec.msgpack.encode(self.known[key])
        quietly(self.store, lambda: write(self.store, [Commit(part, version, profiles={key: packed})]))

    def person_of(self, candidate):
        if candidate.packed_profile == b"broken":
            raise Skippable("the stored profile has a wrong checksum")
        known = msgspec.msgpack.decode(candidate.packed_profile, type=Known)
        entered = {slug: Membership(at, at) for slug, at in known.audiences.items()}
        status = tuple(known.status) if known.status else None
        fields = {"email": candidate.key, "bio": known.bio}
        return Person(candidate.key, fields, entered, status, known.opted_in_at)

    # Deliveries

    def deliver(self, *, token="t", spec=None, in_flight=None, still_mine=lambda: True):
        """One delivery by a fresh deliverer; its problem, if it ended with one."""
        self.store.written = 0
        ledger = Ledger(self.store, LIST, token)
        ledger.take_over()
        deliverer = Deliverer(
            self.store, ledger, self, self.person_of, still_mine, in_flight=in_flight or self.in_flight
        )
        deliverer.run(spec or self.spec, PREPARED, stop=lambda: False)
        return deliverer.result

    def attempt(self, number=0):
        """A delivery that may end in any way, its steps counted from 0; -> how it ended."""
        self.store.world, self.steps = self, 0
        try:
            self.deliver(token=f"t{number}")
        except (Crash, Retriable, Fatal, Held) as ending:
            return type(ending).__name__
        finally:
            self.store.world = None
        return "done"

    def settle(self, spec=None):
        """Faults end, webhooks arrive, time passes, until nothing is left to deliver."""
        self.plan.clear()
        self.tell()
        for _ in range(20):
            self.clock.now += 11 * MINUTE
            self.deliver(spec=spec)
            if not any(lags(self.store, LIST, self.clock.now + 11 * MINUTE)):
                return
        raise AssertionError("deliveries never come to rest")

    # What must be

    def options_of(self, who):
        held = self.subscribers.get(self.keys[who])
        return sorted(held.options) if held and held.state == "active" else None

    def wanted(self, key):
        return {LABELS[slug] for slug in self.known[key].audiences}

    def check(self):
        """The list equals the model for everybody who is active, and nobody is missing.

        Who was never in an audience, or never stored, may have been given our labels by hand.
        """
        for key in self.keys:
            held = self.subscribers.get(key)
            if key in self.bad or (held and held.state in OPTED_OUT) or len(self.known[key].bio) > 250:
                continue
            if self.wanted(key) or key in self.stored:
                assert (held.options if held else set()) == self.wanted(key), key
            assert held or not self.wanted(key), key
        assert self.undone == []


def quietly(store, effect):
    """An effect that is not the deliverer's, and so no step."""
    world, store.world = store.world, None
    try:
        return effect()
    finally:
        store.world = world


def with_feed(spec, **changes):
    return replace(spec, feeds=(replace(spec.feeds[0], **changes),))
