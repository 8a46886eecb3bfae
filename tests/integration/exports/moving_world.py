"""A world in which people's addresses change: a list in memory by address, people by key.

Each row knows whose it is: `person` is the key whose row of ours went there. So the world can tell when a
delivery takes another person's row along, or writes for somebody who opted out under another address.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import msgspec
from delivery_world import FEED, FIELD, LABELS, LIST, MINUTE, Known, Subscriber, World, quietly

from listbridge.exports.claims import owners
from listbridge.exports.delivered import places, unpack_refused
from listbridge.exports.ledger import delivered_to, raise_doubt
from listbridge.exports.protocol import Found, Outcome, OutcomeKind, Way
from listbridge.exports.terms import OF_THE_PERSON, OPTED_OUT, ListSpec, Person
from listbridge.profiles.membership import Membership

ADDRESSES = [f"m{number}@work.example" for number in range(4)]


@dataclass
class Mailed(Known):
    mail: str = ""


@dataclass
class Addressed(Subscriber):
    """A row of the list; `person`: the key of the person whose row it is, None for nobody's of ours."""

    person: str | None = None
    others: set = field(default_factory=set)


def minute(at):
    return at - at % MINUTE


class MovingWorld(World):
    """`undone`: who was written to against an opt-out under an address of theirs; `taken`: whose row got
    another person's address."""

    def __init__(self, store, clock, **options):
        spec = ListSpec(
            LIST, (FEED,), tuple(LABELS.values()), FIELD, email_field="mail", fields={"bio": "[Bio]"}
        )
        super().__init__(store, clock, spec=spec, **options)
        self.known = defaultdict(Mailed)
        self.statuses, self.out, self.taken = {}, {}, []
        for number, key in enumerate(self.keys):
            self.known[key].mail = ADDRESSES[number]

    # The list

    def suppressed(self, _emails):
        return set()

    def look_up(self, _prepared, email):
        return self.step(lambda: self._found(email), is_call=True)

    def _found(self, email):
        self.asked_at[email] = self.moment
        held = self.subscribers.get(email)
        return Found(held.state, minute(held.at), tuple(sorted(held.options | held.others))) if held else None

    def _store(self, row, flags):
        assert not flags.resubscribe
        if flags.way is Way.MOVE:
            return self._move(row)
        held = self.subscribers.get(row.email)
        if flags.way is Way.UPDATE and held is None:
            return Outcome(row.key, OutcomeKind.REFUSED, "not_in_list", "")
        if flags.way is Way.UPDATE:  # our options go, whatever the state
            held.options = (held.options | set(row.options)) - set(row.cleared)
            held.person = None if held.person == row.key else held.person
            return Outcome(row.key, OutcomeKind.STORED)
        if held is not None and held.state in OPTED_OUT:
            return Outcome(row.key, OutcomeKind.REFUSED, held.state, "opted out")
        self._heeded(row, held)
        if held is None:
            held = self.subscribers[row.email] = Addressed("active", self.clock.now, set())
        self._write(row, held)
        return Outcome(row.key, OutcomeKind.STORED)

    def _move(self, row):
        old = row.moved_from[0]
        held = self.subscribers.get(old)
        if held is None:
            return Outcome(row.key, OutcomeKind.REFUSED, "not_in_list", "")
        if row.email in self.subscribers:
            return Outcome(row.key, OutcomeKind.REFUSED, "in_list", "")
        if held.person not in (row.key, None):
            self.taken.append((row.key, old))
        self.subscribers[row.email] = self.subscribers.pop(old)
        self._write(row, held)
        return Outcome(row.key, OutcomeKind.STORED)

    def _write(self, row, held):
        held.options = set(row.options) | (set() if row.options else held.options - set(row.cleared))
        held.person = row.key
        self.stored.add(row.key)

    def _is_held(self, key):
        """Is the person refused for an opt-out that the list really has, under an address that was theirs?

        Whether it still holds is nobody's to say once the address is another's: then the opt-out wins.
        """
        packed = self.store.client.hget(self.store.part(key).refused(LIST), key)
        refused = unpack_refused(packed) if packed else None
        row = self.subscribers.get(refused.address) if refused else None
        if row is None or refused.code not in OF_THE_PERSON:
            return False
        passed_on = owners(self.store, LIST, [refused.address]).get(refused.address) != key
        return row.state == refused.code or passed_on

    def _heeded(self, row, held):
        """Did the person opt out under another address before the list was last asked about it?"""
        if row.key not in self.out:
            return
        at, moment, address = self.out[row.key]
        subscribed_since = held is not None and minute(held.at) > minute(at)
        if subscribed_since:
            del self.out[row.key]  # that is how an opt-out of theirs ends
        if moment <= self.asked_at[address] and not subscribed_since and address != row.email:
            self.undone.append((row.key, address, row.email))

    # People

    def act(self, where, what, options=(), *, told=True):
        address = ADDRESSES[where]
        held = self.subscribers.get(address)
        if what == "subscribe":
            if held is None:
                held = self.subscribers[address] = Addressed("active", self.clock.now, set())
            elif held.state != "active":
                held.state, held.at = "active", self.clock.now
                self.out = {key: out for key, out in self.out.items() if out[2] != address}
                self.out.pop(held.person, None)
        elif held is None or held.state != "active":
            return
        elif what == "edit":
            held.options = set(options)
        else:
            held.state, held.at = what, self.clock.now
            rows = [each for each in self.subscribers.values() if each.person == held.person]
            if held.person and what in OF_THE_PERSON and len(rows) == 1:
                self.out[held.person] = (self.clock.now, self.moment, address)
        self.news.append((address, (held.state, minute(held.at)), set(held.options), what))
        if told:
            self.tell()

    def tell(self):
        news, self.news = self.news, []
        for address, status, options, what in news:
            before = self.statuses.get(address)
            if before is None or before[1] <= status[1]:
                self.statuses[address] = status
                self.commit(address)
            whose = quietly(self.store, lambda a=address: owners(self.store, LIST, [a])).get(address)
            held = delivered_to(self.store, LIST, [whose]).get(whose) if whose else None
            here = held is not None and address in (held.address, *held.earlier)
            if here and what in ("edit", "subscribe") and set(held.options) != options:
                quietly(self.store, lambda k=whose: raise_doubt(self.store, LIST, [k], self.clock.now))

    def moves(self, who, where):
        """The person's address is another one from now on."""
        self.known[self.keys[who]].mail = ADDRESSES[where]
        self.commit(self.keys[who])

    def person_of(self, candidate):
        known = (
            msgspec.msgpack.decode(candidate.packed_profile, type=Mailed)
            if candidate.packed_profile
            else Mailed()
        )
        wanted = known.mail or candidate.key
        others = places(candidate.key, candidate.delivered, candidate.refused, OF_THE_PERSON)
        asked = [each for each in others if each != wanted]
        has = quietly(self.store, lambda: owners(self.store, LIST, asked)) if asked else {}
        lost = frozenset(each for each in asked if has.get(each, candidate.key) != candidate.key)
        told = {each: self.statuses[each] for each in asked if each in self.statuses and each not in lost}
        entered = {slug: Membership(at, at) for slug, at in known.audiences.items()}
        person = Person(candidate.key, {"mail": known.mail, "bio": known.bio}, entered)
        return replace(person, status=self.statuses.get(wanted), elsewhere=told, lost=lost)

    # What must be

    def check(self):
        """Everybody in an audience is in the list once, at their newest address, unless they opted out."""
        assert self.undone == []
        assert self.taken == []
        wanted = Counter(self.known[key].mail for key in self.keys if self.known[key].audiences)
        for address, people in wanted.items():
            claimants = [key for key in self.keys if self.known[key].audiences]
            claimants = [key for key in claimants if self.known[key].mail == address]
            held = self.subscribers.get(address)
            if held is not None and held.state in OPTED_OUT:
                continue
            if held is None and self.statuses.get(address, ("", 0))[0] in OF_THE_PERSON:
                continue  # who opted out there has left with the row, and the address stays out for others
            assert len(claimants) == people
            free = [key for key in claimants if key not in self.out and not self._is_held(key)]
            if free and len(free) == people:
                assert held is not None, address
                assert held.person in free, address
                assert held.options == self.wanted(held.person), address
        for key in self.keys:
            active = [
                address
                for address, held in self.subscribers.items()
                if held.person == key and held.state == "active" and held.options
            ]
            assert len(active) <= 1, (key, active)
