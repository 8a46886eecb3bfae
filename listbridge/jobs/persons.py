"""A person as the decisions about a list need them: from all profiles that are theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from listbridge import authorizations
from listbridge.aggregation import Program
from listbridge.context import Context
from listbridge.errors import Skippable
from listbridge.exports.claims import owners
from listbridge.exports.delivered import places
from listbridge.exports.ledger import Candidate
from listbridge.exports.moves import GONE
from listbridge.exports.spread import Known
from listbridge.exports.terms import MINUTE_MS, OF_THE_PERSON, OPTED_IN_FIELD, Person
from listbridge.exports.values import lookup
from listbridge.jobs.feeds import opt_ins_of
from listbridge.jobs.spread import family_of, left_elsewhere, statuses_of
from listbridge.profiles.codec import CorruptProfile, Profile
from listbridge.profiles.links import MOVED_TO
from listbridge.profiles.membership import exits, memberships, told_of
from listbridge.profiles.people import Whole, read_several, together, unpacked, whole
from listbridge.profiles.views import fields_of
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import now_ms
from listbridge.systems import system_of
from listbridge.workflows import registry
from listbridge.workflows.models import Workflow


def person_reader(
    context: Context, workflow: Workflow, list_id: str, feeds: Sequence[Workflow]
) -> Callable[[Candidate], Person]:
    """Makes a person of what is held of them. It raises `Skippable` for a profile that is damaged."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    status_field = system_of(authorization).status_field
    deciding = registry.deciding(feeds)
    relatives = family_of(context, deciding) - {list_id}

    def read(candidate: Candidate) -> Person:
        program, person = _whole(context, candidate)
        profile = together(program, person)
        number = program.fields[status_field].number
        own = person.profiles.get(person.key, Profile()).states.get(number, {}).get(list_id)
        opted_in = program.fields.get(OPTED_IN_FIELD)
        fields = fields_of(program, profile)
        email_field = deciding[0].export.email_field if deciding else "email"
        known = _under_addresses(
            context,
            list_id,
            status_field,
            candidate,
            person,
            lookup(fields, email_field) if email_field != "email" else None,
            (own[2], own[0]) if own else None,
            by_address=email_field != "email",
        )
        statuses = profile.states.get(number, {})
        return Person(
            key=person.key,
            fields=fields,
            memberships=memberships(program, profile.states),
            status=known.status,
            opted_in_at=profile.states.get(opted_in.number) if opted_in else None,
            told=told_of(program, profile.states),
            active_in=frozenset(each for each, held in statuses.items() if held[2] == "active") - {list_id},
            opt_ins=opt_ins_of(feeds, fields, now_ms()),
            left=exits(program, profile.states),
            elsewhere=known.elsewhere,
            lost=known.lost,
            left_elsewhere=left_elsewhere(
                context,
                status_field,
                relatives,
                Known(person.key, person.others, statuses_of(program, person, status_field)),
                lookup(fields, email_field),
            ),
            others=person.others,
            relatives=person.relatives,
            who_is_who=person.fingerprint,
        )

    return read


def _whole(context: Context, candidate: Candidate) -> tuple[Program, Whole]:
    """All of a person's addresses. Raises `Skippable`."""
    program, profile = context.program, Profile()
    try:
        if candidate.packed_profile:
            program, profile = unpacked(context.programs, candidate.packed_profile)
    except CorruptProfile:
        raise _damaged() from None
    return whole(context.store, context.programs, candidate.key, program, profile, _refuse_damaged)


def _refuse_damaged(_program: Program, _part: PartitionKeys, _key: str) -> Profile:
    raise _damaged()


def _damaged() -> Skippable:
    return Skippable("the stored profile has a wrong checksum; the next fold repairs it")


@dataclass(frozen=True, slots=True)
class _Known:
    """A person's status at their present address and at others, and which of them became another's."""

    status: tuple[str, int] | None
    elsewhere: dict[str, tuple[str, int]]
    lost: frozenset[str]


def _under_addresses(
    context: Context,
    list_id: str,
    status_field: str,
    candidate: Candidate,
    person: Whole,
    address: object,
    own: tuple[str, int] | None,
    *,
    by_address: bool,
) -> _Known:
    """What the streams tell of the addresses at which the list may have a person: each is a key itself.

    `address`: where their row is to go, if not to their key.
    """
    key, store = person.key, context.store
    wanted = address.lower() if isinstance(address, str) else key
    told = places(key, candidate.delivered, candidate.refused, OF_THE_PERSON)
    others = [each for each in dict.fromkeys((*told, *person.others)) if each != wanted]
    if not others and wanted == key:
        return _Known(own, {}, frozenset())
    if by_address:
        has = owners(store, list_id, others)
        lost = frozenset(address for address, owner in has.items() if owner not in person.keys)
    else:
        lost = frozenset(others).difference(person.keys)
    asked = [each for each in (wanted, *others) if each != key]
    found = {key: own} if own is not None else {}
    for each, packed in read_several(store, asked).items():
        if status := _status_in(context, packed, status_field, list_id):
            found[each] = status
        if each == wanted and (each in person.keys or _is_believed_at(each, candidate)):
            gone = _renamed(context, packed, list_id)
            if gone is not None and gone[1] >= _last_told(candidate, found.get(each)):
                found[each] = gone
    elsewhere = {each: status for each, status in found.items() if each != wanted and each not in lost}
    return _Known(found.get(wanted), elsewhere, lost)


def _renamed(context: Context, packed: bytes, list_id: str) -> tuple[str, int] | None:
    """The status of an address from which this very list has changed its row to another one: the row is not
    there any more, and a new one would be that of somebody who left the address. None where it has not."""
    try:
        program, profile = unpacked(context.programs, packed)
    except CorruptProfile:
        return None
    definition = program.fields.get(MOVED_TO)
    moved = profile.states.get(definition.number) if definition is not None else None
    at = max((held[0] for held in (moved or {}).values() if held[2] == list_id), default=0)
    return (GONE, at) if at else None


def _is_believed_at(address: str, candidate: Candidate) -> bool:
    told = candidate.delivered
    return told is not None and not told.earlier and (told.address or candidate.key) == address


def _last_told(candidate: Candidate, status: tuple[str, int] | None) -> int:
    """When somebody said last that a row is at the address: the streams, or we to the list."""
    told = candidate.delivered
    written = told.writes[-1][0] if told is not None and told.writes else 0
    return max(written - written % MINUTE_MS, status[1] if status is not None else 0)


def _status_in(context: Context, packed: bytes, status_field: str, list_id: str) -> tuple[str, int] | None:
    try:
        program, profile = unpacked(context.programs, packed)
    except CorruptProfile:
        return None  # the list's own answer decides
    held = profile.states.get(program.fields[status_field].number, {}).get(list_id)
    return (held[2], held[0]) if held else None
