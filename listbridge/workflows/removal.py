"""Removing an export for good, and as much of what it made in its list as a person asks for.

Options can't be removed without the list dropping every segment rule on the field, so the rules of the
segments that stay are written down in the store before, and given back; what was cut off is made good
when the removal is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal, cast, get_args

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.errors import Fatal, Skippable
from listbridge.exports.delivered import unpack_delivered
from listbridge.exports.ledger import raise_doubt, rewind
from listbridge.exports.protocol import Caretaker, Leftovers
from listbridge.exports.setup import change_setup, setup_of
from listbridge.jobs.deliver import bell_of
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import State, Workflow
from listbridge.workflows.service import StillRunning

Part = Literal["segments", "options", "field"]
PARTS: tuple[Part, ...] = get_args(Part)
LEASE_MS = 30_000
AWAIT_SECONDS = 40.0
AT_ONCE = 500


@dataclass(slots=True)
class Removal:
    """What was done, in a few words each; `problems` are the other system's words for what it refused."""

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def leftovers_of(context: Context, workflow: Workflow) -> Leftovers:
    """What the export would leave behind, without what another export into the list needs."""
    return _caretaker(context, workflow).leftovers(workflow.export.field_name, _labels(context, workflow))


def objections(context: Context, workflow: Workflow, found: Leftovers, parts: Collection[Part]) -> list[str]:
    """Why these parts can't be removed; empty when they can."""
    others = [each.id for each in _others(context, workflow)]
    setup = setup_of(context.store, workflow.export.list_id)
    strange = sorted(set(found.others) - set(setup.labels if setup else ()))
    if "field" in parts:
        if others:
            return [f"export {', '.join(others)} fills the same field; remove options or segments only"]
        if strange:
            return [f"the field has options that no export made: {', '.join(strange)}; remove options only"]
    elif "options" in parts and found.options:
        if not found.others:
            return ["a field of options needs at least one, and none would be left: remove the field"]
        if found.segments and "segments" not in parts:
            return [f"segments ask for these options ({', '.join(found.segments)}): remove segments, too"]
    return []


def remove(context: Context, workflow_id: str, parts: Collection[Part]) -> Removal:
    """End the export, remove these parts of what it leaves behind, and forget it.

    When the other system refuses a part, the export is ended and kept, so that this can be repeated.
    Raises `NotAllowed` (see `objections`), `StillRunning` and the system's `Fatal` and `Retriable`.
    """
    workflow = registry.get(context.store, workflow_id)
    caretaker, result = _caretaker(context, workflow), Removal()
    found = leftovers_of(context, workflow)
    if wrong := objections(context, workflow, found, parts):
        raise registry.NotAllowed(wrong[0])
    if workflow.state is not State.COMPLETED:
        registry.stop(context.store, workflow_id)
        rewind(context.store, workflow.export.list_id)
    if parts:
        with _nobody_delivers(context.store, workflow.export.list_id):
            _clean(context.store, workflow, caretaker, found, parts, result)
    for line in result.done:
        log.write(context.store, workflow_id, line)
    for line in result.problems:
        log.write(context.store, workflow_id, line, level="error")
    if not result.problems:
        registry.delete(context.store, workflow_id)
    return result


def _clean(
    store: Store,
    workflow: Workflow,
    caretaker: Caretaker,
    found: Leftovers,
    parts: Collection[Part],
    result: Removal,
) -> None:
    list_id = workflow.export.list_id
    _restore(store, caretaker, list_id, result)
    if store.client.exists(keys.cleanup(list_id)):
        return  # what is read of the segments now would take the place of their rules
    if "segments" in parts:
        for title, segment_id in found.segments.items():
            _try(result, f"segment {title!r} removed", partial(caretaker.remove_segment, segment_id))
    if "field" in parts and found.field_key:
        if _try(result, f"field {found.field_key} removed", partial(caretaker.remove_field, found.field_key)):
            _forget(store, list_id)
    elif "options" in parts and found.options:
        _remove_options(store, list_id, caretaker, found, result)


def _remove_options(
    store: Store, list_id: str, caretaker: Caretaker, found: Leftovers, result: Removal
) -> None:
    rules = caretaker.rules_on(found.field_key)
    if rules:
        kept = {segment_id: held.decode() for segment_id, held in rules.items()}
        store.client.set(keys.cleanup(list_id), msgspec.json.encode(kept))
    # Before the options go: who is in doubt for nothing costs a row, who is not would be missed for good.
    setup = setup_of(store, list_id)
    if setup is not None:
        labels = tuple(label for label in setup.labels if label not in found.options)
        change_setup(store, list_id, labels=labels, fingerprint="")
    people = _told_of(store, list_id, frozenset(found.options))
    while chunk := list(islice(people, AT_ONCE)):
        raise_doubt(store, list_id, chunk, now_ms())
    line = f"options removed: {', '.join(found.options)}"
    _try(result, line, partial(caretaker.replace_options, found.field_key, found.others))
    _restore(store, caretaker, list_id, result)


def _restore(store: Store, caretaker: Caretaker, list_id: str, result: Removal) -> None:
    """Give segments the rules back that a replacement of options took from them; what a person has to make
    possible first is kept for the next time."""
    held = cast(bytes | None, store.client.get(keys.cleanup(list_id)))
    if held is None:
        return
    left: dict[str, str] = {}
    for segment_id, rules in sorted(msgspec.json.decode(held, type=dict[str, str]).items()):
        try:
            caretaker.restore(segment_id, rules.encode())
        except (Fatal, Skippable) as problem:
            result.problems.append(f"not done: rules of a segment given back: {problem}")
            if isinstance(problem, Fatal):
                left[segment_id] = rules
    if left:
        store.client.set(keys.cleanup(list_id), msgspec.json.encode(left))
    else:
        store.client.delete(keys.cleanup(list_id))


def _try(result: Removal, line: str, effect: Callable[[], None]) -> bool:
    """One step; what the other system refuses for good is a problem of this step only."""
    try:
        effect()
    except Fatal as problem:
        result.problems.append(f"not done: {line}: {problem}")
        return False
    result.done.append(line)
    return True


def _told_of(store: Store, list_id: str, labels: frozenset[str]) -> Iterator[str]:
    """Who was last told one of these labels: the list does not hold it any more."""
    for part in store.parts:
        for key, packed in store.client.hscan_iter(part.delivered(list_id), count=1000):
            if not labels.isdisjoint(unpack_delivered(packed).options):
                yield key.decode()


def _forget(store: Store, list_id: str) -> None:
    """The field is gone, and with it all that the list was told. Refusals stay: opt-outs are among them."""
    for part in store.parts:
        for name in (part.delivered, part.retry, part.cursor, part.history, part.claims, part.claimants):
            store.client.unlink(name(list_id))
    store.client.delete(keys.list_setup(list_id), keys.rewound(list_id), keys.adoption(list_id))


@contextmanager
def _nobody_delivers(store: Store, list_id: str) -> Iterator[None]:
    """Hold the list's lease. Raises `StillRunning` when a delivery does not end."""
    lease, deadline = Lease(store, bell_of(list_id), LEASE_MS), time.monotonic() + AWAIT_SECONDS
    while not lease.acquire():
        if time.monotonic() > deadline:
            raise StillRunning("a delivery to the list has not ended; try again in a minute")
        time.sleep(0.1)
    try:
        with lease.kept():
            yield
    finally:
        lease.release()


def _caretaker(context: Context, workflow: Workflow) -> Caretaker:
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).caretaker(context, authorization, workflow)


def _others(context: Context, workflow: Workflow) -> list[Workflow]:
    feeds = registry.exports_to(context.store, workflow.export.list_id)
    return [each for each in feeds if each.id != workflow.id]


def _labels(context: Context, workflow: Workflow) -> list[str]:
    """The labels that the export has or had and no other export into the list has or had."""
    needed = {label for each in _others(context, workflow) for label in _labels_of(each)}
    return sorted(_labels_of(workflow) - needed)


def _labels_of(workflow: Workflow) -> set[str]:
    """The labels of its audiences, with those that an edit replaced or took out."""
    edits = workflow.edits
    before = {label for labels in edits.labels.values() for label in labels}
    return {*workflow.export.audiences.values(), *before, *edits.retired}
