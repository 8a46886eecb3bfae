"""Two people want one address: who gets it.

The one whose row went there first keeps it, as long as their profile says so and an audience has them; the
other is refused. Who is about to leave it is waited for. Who can't leave it for the one that they want is
asked to vacate it, and so is, of people who want each other's addresses in a ring, the one with the least
key. Why so: see `claims`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from listbridge.errors import Skippable
from listbridge.exports.claims import owners, take, wait_for, waiting
from listbridge.exports.decisions import decide
from listbridge.exports.delivered import is_cleared, stands_at
from listbridge.exports.ledger import Candidate, Ledger, due_again
from listbridge.exports.rows import address_of, wanted_options
from listbridge.exports.terms import OPTED_OUT, Decision, ListSpec, Person, ReadBack, Refuse, Send, Skip
from listbridge.store.store import Store

LONGEST_RING = 20


class Verdict(Enum):
    OURS = "ours"
    ANOTHERS = "another's"
    WAIT = "wait"
    NOTHING = "nothing"
    """The row would clear what has become another's: nothing of this person is there."""
    VACATE = "vacate"
    """They wait for each other in a ring, and it is this one who lets the others pass."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The address that a person wants, and those that they leave for it. `clears`: to clear their row."""

    address: str
    key: str
    leaves: tuple[str, ...] = ()
    clears: bool = False


@dataclass(frozen=True, slots=True)
class Contest:
    """Decides about the addresses of one list, `now` (epoch ms).

    `is_on_its_way` says of a person whether a call may still be at work on a row of theirs: it could reach
    their address after that of whoever takes it.
    """

    store: Store
    ledger: Ledger
    spec: ListSpec
    person_of: Callable[[Candidate], Person]
    is_on_its_way: Callable[[Candidate], bool]
    now: int

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

    def are_wanted(self, addresses: Sequence[str], key: str) -> bool:
        """Does anybody but this person wait for one of the addresses, and still want it?"""
        return any(
            other != key and self._wants(self._held(other), address)
            for address, other in waiting(self.store, self.spec.list_id, addresses)
        )

    def _verdict(self, wanted: Wanted, owner: str, sent: set[str], taken: set[str]) -> Verdict:
        if not taken.isdisjoint({wanted.address, *wanted.leaves}):
            return Verdict.NOTHING if wanted.clears else Verdict.WAIT
        if owner == wanted.key:
            return Verdict.OURS
        if wanted.clears:
            return Verdict.NOTHING
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
        if person.key == key:
            return Verdict.OURS  # claimed under a key of theirs that they left, and handed on since
        if self._goes_to(person, held) == address:
            return Verdict.ANOTHERS
        if self.is_on_its_way(held):
            return Verdict.WAIT
        if not stands_at(address, owner, held.delivered):
            return Verdict.OURS
        if not self._is_refused(held, decision := self._decision(person, held)):
            if not isinstance(decision, Send | ReadBack):
                return Verdict.OURS
            return Verdict.VACATE if self._is_first_of_ring(key, owner) else Verdict.WAIT
        code = decision.code if isinstance(decision, Refuse) else held.refused.code if held.refused else ""
        if is_cleared(held.delivered, in_doubt=held.doubt is not None):
            return Verdict.OURS
        if code in OPTED_OUT:
            # Who opted out at this address may subscribe again, and then it is their row.
            here = held.refused is not None and (held.refused.address or owner) == address
            return Verdict.ANOTHERS if here else Verdict.OURS
        wait_for(self.store, self.spec.list_id, address, key)
        due_again(self.store, self.spec.list_id, [owner], self.now)
        return Verdict.WAIT

    def _decision(self, person: Person, held: Candidate) -> Decision:
        in_doubt, raised = held.doubt is not None, held.doubt_was_raised
        return decide(person, self.spec, held.delivered, held.refused, in_doubt=in_doubt, raised=raised)

    def _is_refused(self, held: Candidate, decision: Decision) -> bool:
        """Does the person stay where they are because they are refused?"""
        if held.doubt is None and held.refused is not None:
            return True  # nobody tries them again by themselves, even if there were something to send
        return isinstance(decision, Refuse) or decision == Skip("refused before")

    def _is_first_of_ring(self, key: str, other: str) -> bool:
        """Do people who stand at each other's addresses want them in a ring, the least of them this one?

        `other` stands at the one that this person wants.
        """
        seen = [other]
        for _ in range(LONGEST_RING):
            held = self._held(seen[-1])
            try:
                goes_to = self._goes_to(self.person_of(held), held)
            except Skippable:
                return False
            owner = owners(self.store, self.spec.list_id, [goes_to]).get(goes_to)
            if owner is None or owner in seen:
                return False
            held = self._held(owner)
            if not stands_at(goes_to, owner, held.delivered):
                return False
            if owner == key:
                return key < min(seen)
            seen.append(owner)
        return False

    def _wants(self, held: Candidate, address: str) -> bool:
        try:
            return self._goes_to(self.person_of(held), held) == address
        except Skippable:
            return False

    def _goes_to(self, person: Person, held: Candidate) -> str:
        """The address that the person wants, empty for nobody in an audience."""
        options = wanted_options(person, self.spec, held.delivered)
        return address_of(person, self.spec).lower() if options else ""

    def _held(self, key: str) -> Candidate:
        [found] = self.ledger.held(self.store.part(key), [(key, None)])
        return found
