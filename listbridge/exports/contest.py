"""Two people want one address: who gets it.

The one whose row went there first keeps it, as long as their profile says so and an audience has them; the
other is refused. Who is about to leave it is waited for. Of people who want each other's addresses in a
ring, the one with the least key goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from listbridge.errors import Skippable
from listbridge.exports.claims import owners, take
from listbridge.exports.decisions import (
    DUPLICATE,
    OF_THE_PERSON,
    ListSpec,
    Person,
    ReadBack,
    Send,
    address_of,
    decide,
    wanted_options,
)
from listbridge.exports.delivered import places
from listbridge.exports.ledger import Candidate, Ledger
from listbridge.store.store import Store

LONGEST_RING = 20


class Verdict(Enum):
    OURS = "ours"
    ANOTHERS = "another's"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The address that a person wants, and those that they leave for it."""

    address: str
    key: str
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contest:
    """Decides about the addresses of one list. `is_on_its_way` says of a person whether a call may still be
    at work on a row of theirs: it could reach their address after that of whoever takes it."""

    store: Store
    ledger: Ledger
    spec: ListSpec
    person_of: Callable[[Candidate], Person]
    is_on_its_way: Callable[[Candidate], bool]

    def verdicts(self, wanted: Sequence[Wanted]) -> list[tuple[Verdict, str]]:
        """Whether each of the people gets the address that they want, and who has it.

        Who gets one is about to be sent, so nobody takes what they leave; and who loses one that they would
        leave is looked at anew.
        """
        pairs = [(each.address, each.key) for each in wanted]
        sent: set[str] = set()
        taken: set[str] = set()
        found = []
        for each, owner in zip(wanted, take(self.store, self.spec.list_id, pairs), strict=True):
            verdict = self._verdict(each, owner, sent, taken)
            if verdict is Verdict.OURS:
                sent.add(each.key)
            found.append((verdict, owner))
        return found

    def _verdict(self, wanted: Wanted, owner: str, sent: set[str], taken: set[str]) -> Verdict:
        if not taken.isdisjoint(wanted.leaves):
            return Verdict.WAIT
        if owner == wanted.key:
            return Verdict.OURS
        verdict = self._against(owner, wanted.address, wanted.key)
        if verdict is not Verdict.OURS:
            return verdict
        if owner in sent:
            return Verdict.WAIT
        pair = (wanted.address, wanted.key)
        [now] = take(self.store, self.spec.list_id, [pair], before={wanted.address: owner})
        taken.add(wanted.address)
        return Verdict.OURS if now == wanted.key else Verdict.WAIT

    def _against(self, owner: str, address: str, key: str) -> Verdict:
        """Does the person get an address that `owner` has?"""
        held = self._held(owner)
        try:
            person = self.person_of(held)
        except Skippable:
            return Verdict.WAIT
        options = wanted_options(person, self.spec, held.delivered)
        goes_to = address_of(person, self.spec).lower()
        if goes_to == address and options:
            return Verdict.ANOTHERS
        if self.is_on_its_way(held):
            return Verdict.WAIT
        if held.doubt is None and held.refused is not None and held.refused.code == DUPLICATE:
            return Verdict.OURS  # they can't leave it for the one they want
        decision = decide(
            person,
            self.spec,
            held.delivered,
            held.refused,
            in_doubt=held.doubt is not None,
            raised=held.doubt_was_raised,
        )
        is_there = address in places(owner, held.delivered, held.refused, OF_THE_PERSON)
        if not (is_there and isinstance(decision, Send | ReadBack)):
            return Verdict.OURS
        return Verdict.OURS if options and self._is_first_of_ring(key, owner, goes_to) else Verdict.WAIT

    def _is_first_of_ring(self, key: str, other: str, goes_to: str) -> bool:
        """Do people want each other's addresses in a ring that comes back to this one, the least of them?

        The one whose address they want is `other`, who goes to `goes_to`.
        """
        seen = [other]
        for _ in range(LONGEST_RING):
            owner = owners(self.store, self.spec.list_id, [goes_to]).get(goes_to)
            if owner == key:
                return key < min(seen)
            if owner is None or owner in seen:
                return False
            seen.append(owner)
            try:
                goes_to = address_of(self.person_of(self._held(owner)), self.spec).lower()
            except Skippable:
                return False
        return False

    def _held(self, key: str) -> Candidate:
        [found] = self.ledger.held(self.store.part(key), [(key, None)])
        return found
