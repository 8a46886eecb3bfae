"""Forgetting a person: their addresses, what is done in other systems, and the erasure here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.erasure.erasing import AWAIT_SECONDS, Erased, Eraser
from listbridge.errors import Fatal
from listbridge.identity import person_key
from listbridge.jobs.deliver import bell_of
from listbridge.profiles.reading import profile_of
from listbridge.store import keys
from listbridge.systems import system_of
from listbridge.workflows import registry


class NoAddress(Fatal):
    """What was given can't be an e-mail address: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done in the other systems, in every client that a workflow works for."""

    delete_from_lists: bool = False
    suppress: bool = False


def keys_of(context: Context, address: str) -> tuple[str, ...]:
    """The keys of the person with an address, that address's first. Raises `NoAddress`.

    Those of an erasure that was broken off are among them, though what told of them may be gone.
    """
    key = person_key(address)
    if key is None:
        raise NoAddress(f"{address!r} is no e-mail address: nothing was changed")
    found = profile_of(context.store, context.programs, key, history=context.archive) or {}
    known = {key: None, found.get("key", key): None, **dict.fromkeys(found.get("linked", ()))}
    for packed in cast(set[bytes], context.store.client.smembers(keys.ERASING)):
        begun = msgspec.json.decode(packed, type=list[str])
        if not known.keys().isdisjoint(begun):
            known |= dict.fromkeys(begun)
    return tuple(known)


def find(context: Context, people: Sequence[str]) -> list[Erased]:
    """Where the people with these keys are; changes nothing."""
    eraser = _eraser(context)
    return [eraser.find(person) for person in people]


def forget(
    context: Context,
    people: Sequence[str],
    wishes: Wishes | None = None,
    *,
    patience_seconds: float = AWAIT_SECONDS,
) -> list[Erased]:
    """Erase the person with these keys everywhere; the proof of each key.

    It waits for deliveries that are under way, and for the archive, for `patience_seconds` at most.

    Raises `ErasureError`, `StorageError`, and the other system's problems: then start it again.
    """
    eraser, asked = _eraser(context, patience_seconds), wishes or Wishes()
    begun = msgspec.json.encode(sorted(people))
    context.store.client.sadd(keys.ERASING, begun)
    done = [eraser.erase(person, partial(_outside, context, person, asked)) for person in people]
    if all(each.complete for each in done):
        context.store.client.srem(keys.ERASING, begun)
        for packed in cast(set[bytes], context.store.client.smembers(keys.ERASING)):
            if {*msgspec.json.decode(packed, type=list[str])} <= {*people}:
                context.store.client.srem(keys.ERASING, packed)
    return done


def _eraser(context: Context, patience_seconds: float = AWAIT_SECONDS) -> Eraser:
    exports = registry.list_all(context.store, "export")
    lists = sorted({workflow.export.list_id for workflow in exports})
    deliveries = [bell_of(each) for each in lists]
    return Eraser(context.archive, context.programs, deliveries, patience_seconds=patience_seconds)


def _outside(context: Context, person: str, wishes: Wishes) -> Mapping[str, int]:
    done: dict[str, int] = {}
    if not (wishes.delete_from_lists or wishes.suppress):
        return done
    clients = {
        (workflow.authorization_id, workflow.config.client_id)
        for workflow in registry.list_all(context.store)
    }
    for authorization_id, client_id in sorted(clients):
        authorization = authorizations.get(context.store, authorization_id)
        remover = system_of(authorization).remover(context, authorization, client_id)
        if wishes.delete_from_lists:
            done["deleted from lists"] = done.get("deleted from lists", 0) + remover.delete(person)
        if wishes.suppress:
            remover.suppress(person)
            done["suppressed in clients"] = done.get("suppressed in clients", 0) + 1
    return done
