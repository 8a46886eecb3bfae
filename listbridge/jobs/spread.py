"""Opt-outs of a client's other lists, carried into one list before it is delivered to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from listbridge import authorizations
from listbridge.aggregation import Program
from listbridge.context import Context
from listbridge.exports.brakes import Brake
from listbridge.exports.protocol import Destination
from listbridge.exports.spread import Known, Spreader, SpreadResult, Statuses, joined, lags, opt_out_of
from listbridge.jobs.feeds import delivers, limits_of
from listbridge.profiles.codec import CorruptProfile
from listbridge.profiles.people import Whole, not_now, unpacked, whole
from listbridge.store.store import Store, now_ms
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import Workflow

CLIENT = "client"


def spreading(context: Context, feeds: Sequence[Workflow]) -> list[Workflow]:
    """Those of the exports into a list that go by the opt-outs of the client's other lists, and deliver.

    None while another time zone of the client waits to be confirmed: times can't be compared then.
    """
    now = now_ms()
    found = [each for each in feeds if each.export.opt_out_scope == CLIENT and delivers(each, now)]
    return [each for each in found if not _unconfirmed_zone(context, each)]


def _unconfirmed_zone(context: Context, workflow: Workflow) -> bool:
    try:
        authorization = authorizations.get(context.store, workflow.authorization_id)
    except authorizations.NoSuchAuthorization:
        return True  # a delivery tells of it in words
    return bool(system_of(authorization).zones(context.store, workflow.export.client_id)[1])


def is_behind(context: Context, list_id: str, workflows: Sequence[Workflow]) -> bool:
    """Has somebody changed since opt-outs were carried into the list, if they are?"""
    return bool(spreading(context, registry.feeding(workflows, list_id))) and lags(context.store, list_id)


def family_of(context: Context, feeds: Sequence[Workflow]) -> frozenset[str]:
    """The lists whose opt-outs count for a list that these exports feed; none unless one of them says so.

    They are those that imports have seen, and those that exports feed.
    """
    wanted = [each for each in feeds if each.export.opt_out_scope == CLIENT]
    if not wanted:
        return frozenset()
    first = wanted[0]
    client_id = first.export.client_id
    authorization = authorizations.get(context.store, first.authorization_id)
    fed = {
        each.export.list_id
        for each in registry.list_all(context.store, "export")
        if each.export.client_id == client_id
    }
    return system_of(authorization).family(context.store, client_id) | fed


def as_statuses(held: Mapping[str, Any]) -> Statuses:
    """List -> status and its time, of the profile's state of the status field."""
    return {list_id: (each[2], each[0]) for list_id, each in held.items()}


def statuses_in(context: Context, packed: bytes, status_field: str) -> Statuses:
    """The statuses that a packed profile tells."""
    try:
        program, profile = unpacked(context.programs, packed)
    except CorruptProfile:
        return {}  # the next fold repairs it, and that is a change
    return as_statuses(profile.states.get(program.fields[status_field].number, {}))


def known_of(context: Context, key: str, packed: bytes, status_field: str) -> Known:
    """The person whose packed profile this is, and their statuses."""
    try:
        program, profile = unpacked(context.programs, packed)
        program, person = whole(context.store, context.programs, key, program, profile, not_now)
    except CorruptProfile:
        return Known(key)  # the next fold repairs it, and that is a change
    return Known(person.key, person.others, statuses_of(program, person, status_field), person.fingerprint)


def statuses_of(program: Program, person: Whole, status_field: str) -> Statuses:
    """A person's statuses, all their addresses taken together."""
    number = program.fields[status_field].number
    told = {key: as_statuses(profile.states.get(number, {})) for key, profile in person.profiles.items()}
    return joined(person.key, told)


def left_elsewhere(
    context: Context, status_field: str, relatives: frozenset[str], known: Known, address: Any
) -> int:
    """When the person, or who has the row's address, left one of the `relatives` by themselves (epoch ms; 0:
    never)."""
    if not relatives:
        return 0
    store = context.store
    found = [opt_out_of(store, known.key, known.statuses, relatives, known.others)]
    place = address.lower() if isinstance(address, str) else known.key
    if place not in (known.key, *known.others):
        packed = cast(bytes | None, store.client.hget(store.part(place).profiles, place))
        if packed:
            found.append(opt_out_of(store, place, statuses_in(context, packed, status_field), relatives))
    return max((each.since for each in found if each is not None), default=0)


class _Limited:
    """An export as a brake needs it."""

    def __init__(self, workflow: Workflow, now: int) -> None:
        self.workflow_id = workflow.id
        self.running = delivers(workflow, now)
        self.limits = limits_of(workflow, now)


def spread(
    context: Context,
    list_id: str,
    feeds: Sequence[Workflow],
    destination: Destination,
    stop: Callable[[], bool],
) -> SpreadResult | None:
    """Unsubscribe from the list who left another list of the client since the first of these exports began.

    None when no export says so. Raises the other system's problems, and `Held` of a brake.
    """
    wanted, store, now = spreading(context, feeds), context.store, now_ms()
    if not wanted or not lags(store, list_id):
        return None
    authorization = authorizations.get(store, wanted[0].authorization_id)
    status_field = system_of(authorization).status_field

    brake = Brake(store, list_id, [_Limited(each, now) for each in feeds])
    brake.look(now)
    spreader = Spreader(
        store,
        list_id,
        destination,
        family_of(context, feeds),
        lambda key, packed: known_of(context, key, packed, status_field),
        brake,
        since=min(each.started_at for each in wanted),
        in_flight=context.settings.api_calls_in_flight,
    )
    try:
        return spreader.run(stop)
    finally:
        _tell(store, wanted, spreader.result)


def _tell(store: Store, workflows: Sequence[Workflow], result: SpreadResult) -> None:
    for code, people in Counter(result.refused.values()).items():
        line = (
            f"{people} people could not be unsubscribed ({code}), though they left another list of the "
            "client; it is tried again after an hour, later daily: take them off by hand if it goes on"
        )
        for workflow in workflows:
            log.count(store, workflow.id, {"opt_outs_refused": people})
            log.write(store, workflow.id, line)
    if not (result.unsubscribed or result.stay):
        return
    line = f"{result.unsubscribed} people unsubscribed, because they left another list of the client"
    if result.stay:
        line += f"; {result.stay} stay, because they subscribed here later"
    for workflow in workflows:
        log.count(store, workflow.id, {"opt_outs_spread": result.unsubscribed})
        log.write(store, workflow.id, line)
