"""Reading what is held of one person in an export's list, for their story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import msgspec

from listbridge import authorizations
from listbridge.aggregation import Program
from listbridge.aggregation.kinds import rfc3339
from listbridge.context import Context
from listbridge.errors import Fatal, Skippable
from listbridge.exports.claims import owners
from listbridge.exports.decisions import decide, opt_in
from listbridge.exports.history import unframed
from listbridge.exports.ledger import Candidate, Ledger
from listbridge.exports.setup import Setup, setup_of
from listbridge.exports.terms import Decision, Feed, ListSpec, Person
from listbridge.identity import person_key
from listbridge.jobs.persons import person_reader
from listbridge.jobs.preparing import spec_of
from listbridge.profiles.codec import CorruptProfile, Profile
from listbridge.profiles.membership import FIELD, memberships
from listbridge.profiles.people import newest_address, unpacked
from listbridge.standing.lists import moment
from listbridge.standing.story import Known, Told, shown, tell
from listbridge.store.keys import PartitionKeys
from listbridge.store.store import Store
from listbridge.streams.events import owner
from listbridge.streams.log import entries
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY, CM_USER
from listbridge.systems import system_of
from listbridge.workflows import registry
from listbridge.workflows.models import Workflow

ENTRIES_READ = 2_000
"""The newest entries of a partition's stream among which a person's events are looked for."""
ENTRIES_A_PAGE = 50
EVENTS_TOLD = 50


class NoAddress(Fatal):
    """Nobody can have this address: write it as in name@example.com."""


def why(context: Context, workflow: Workflow, address: str) -> dict[str, Any]:
    """The person's story, the row that the list was last told, and their audiences.

    Raises `NoAddress`, and `NotAllowed` for an import.
    """
    if workflow.kind != "export":
        raise registry.NotAllowed(f"{workflow.id} is an import; only exports deliver people")
    key = person_key(address)
    if key is None:
        raise NoAddress(f"{address!r} is no e-mail address: {NoAddress.__doc__}")
    known = _known(context, workflow, _person_at(context, workflow.export.list_id, key))
    key, told = known.person.key, known.delivered
    row = (
        None
        if told is None
        else {
            "address": told.address or key,
            "name": told.name,
            "options": list(told.options),
            "values": told.values,
            "field": told.field,
        }
    )
    head = {
        "email": key,
        "workflow": workflow.id,
        "list_id": workflow.export.list_id,
        "audiences": sorted(
            slug for slug in known.feed.audiences if known.person.membership(slug, known.feed) is not None
        ),
        "profile_updated_at": rfc3339(known.updated_at) if known.updated_at else None,
        "last_row": row,
        "retry_at": rfc3339(known.doubt) if known.doubt is not None else None,
    }
    return head | shown(tell(known))


def _person_at(context: Context, list_id: str, key: str) -> str:
    """The key of the person whose row has the address, where the address itself is nobody's key here; of
    somebody with several the newest."""
    store = context.store
    key = newest_address(store, context.programs, key)
    [held] = Ledger(store, list_id, "").held(store.part(key), [(key, None)])
    if held.delivered is not None or held.refused is not None:
        return key
    return owners(store, list_id, [key]).get(key, key)


def _known(context: Context, workflow: Workflow, key: str) -> Known:
    store, list_id = context.store, workflow.export.list_id
    part = store.part(key)
    candidate, history, changed_at = _held(store, part, list_id, key)
    setup = setup_of(store, list_id)
    feeds = registry.exports_to(store, list_id) or [workflow]
    feeds = feeds if workflow in feeds else [*feeds, workflow]
    spec = spec_of(context, list_id, feeds, _with_all_mapped(setup, feeds))
    person = _person(context, workflow, feeds, candidate)
    profile, program = _profile(context, candidate)
    feed = next(feed for feed in spec.feeds if feed.workflow_id == workflow.id)
    system = system_of(authorizations.get(store, workflow.authorization_id))
    return Known(
        feed=feed,
        person=person,
        delivered=candidate.delivered,
        refused=candidate.refused,
        doubt=None if candidate.doubt is None else int(candidate.doubt),
        doubt_raised=candidate.doubt_was_raised,
        changed_at=changed_at,
        decision=_decision(workflow.id, person, spec, candidate),
        suppressed=system.is_suppressed(store, workflow.export.client_id, key),
        updated_at=profile.updated_at,
        opted_in_at=_opted_in_at(person, spec, feed),
        left=_left(program, profile),
        history=unframed(history),
        told=sorted(_events(store, part, list_id, key), key=lambda each: (each.at, each.received)),
    )


def _with_all_mapped(setup: Setup | None, feeds: list[Workflow]) -> Setup:
    """The set-up; what was not prepared yet stands under its name."""
    held = setup or Setup(field_key="", labels=(), mapped={}, fingerprint="")
    names = {each.field: each.field for feed in feeds for each in feed.export.mapped()}
    return msgspec.structs.replace(held, mapped=names | held.mapped)


def _held(store: Store, part: PartitionKeys, list_id: str, key: str) -> tuple[Candidate, bytes, int | None]:
    """What is held, the history, and the time of a change that was not looked at (0: not known when)."""
    [candidate] = Ledger(store, list_id, "").held(part, [(key, None)])
    pipe = store.client.pipeline(transaction=False)
    pipe.hget(part.history(list_id), key)
    pipe.zscore(part.changed, key)
    pipe.get(part.cursor(list_id))
    history, sequence, cursor = pipe.execute()
    waits = sequence is not None and sequence > int(cursor or 0)
    return candidate, history or b"", (moment(sequence) or 0) if waits else None


def _person(context: Context, workflow: Workflow, feeds: list[Workflow], candidate: Candidate) -> Person:
    try:
        return person_reader(context, workflow, workflow.export.list_id, feeds)(candidate)
    except Skippable:
        return Person(candidate.key, {}, {})


def _profile(context: Context, candidate: Candidate) -> tuple[Profile, Program]:
    try:
        if candidate.packed_profile:
            program, profile = unpacked(context.programs, candidate.packed_profile)
            return profile, program
    except CorruptProfile:
        pass  # the story says what else is known
    return Profile(), context.program


def _left(program: Program, profile: Profile) -> dict[str, int]:
    """When the person left the audiences that they were in and are not in."""
    held = profile.states.get(program.fields[FIELD].number, {})
    inside = memberships(program, profile.states)
    return {slug: at for slug, (at, _, _) in held.items() if slug not in inside}


def _decision(own: str, person: Person, spec: ListSpec, candidate: Candidate) -> Decision:
    """What the engine would decide now, or once the export is resumed."""
    feeds = tuple(replace(feed, running=True) if feed.workflow_id == own else feed for feed in spec.feeds)
    return decide(
        person,
        replace(spec, feeds=feeds),
        candidate.delivered,
        candidate.refused,
        in_doubt=candidate.doubt is not None,
        raised=candidate.doubt_was_raised,
    )


def _opted_in_at(person: Person, spec: ListSpec, feed: Feed) -> int | None:
    """The opt-in that this export goes by, or would."""
    return opt_in(person, replace(spec, feeds=(replace(feed, running=True, stale=False),)))


def _events(store: Store, part: PartitionKeys, list_id: str, key: str) -> list[Told]:
    """The person's newest events that this list's story needs, as far as the streams still hold them."""
    found: list[Told] = []
    for stream in (AUDIENCE, CM_USER, CM_ACTIVITY):
        lines = (msgspec.json.decode(line) for line in _lines_of(store, part, stream, key))
        wanted = (told for body in lines if (told := _told(stream, list_id, body)) is not None)
        found += [told for told, _ in zip(wanted, range(EVENTS_TOLD), strict=False)]
    return found


def _told(stream: str, list_id: str, body: dict[str, Any]) -> Told | None:
    at, received = body["_time"], body["_received"]
    if stream == AUDIENCE:
        slug, entered = body.get("audience", ""), body.get("event") == "enter"
        return Told(at, received, "", slug, entered)
    if body.get("list_id") != list_id or body.get("origin") == "self":
        return None
    if stream == CM_USER:
        by = "an import" if "joined_at" in body else "a webhook"
        return Told(at, received, f"{body.get('status')} in the list, as {by} told {rfc3339(received)}")
    if body.get("event") != "deactivate":
        return None
    by = "a campaign's report" if "campaign_id" in body else "a webhook"
    return Told(at, received, f"{body.get('status')}: as {by} told {rfc3339(received)}")


def _lines_of(store: Store, part: PartitionKeys, stream: str, key: str) -> Iterator[bytes]:
    """The person's events among the newest entries of the partition, newest first."""
    last, mark = "+", msgspec.json.encode(key)[1:-1].lower()
    for _ in range(ENTRIES_READ // ENTRIES_A_PAGE):
        raw = store.client.xrevrange(part.stream(stream), max=last, count=ENTRIES_A_PAGE)
        page = entries(cast(Any, raw))
        for _, _, body in page:
            for line in reversed(body.split(b"\n")):
                if mark in line.lower() and owner(line) == key:
                    yield line
        if len(page) < ENTRIES_A_PAGE:
            return
        last = f"({page[-1][0].decode()}"
