"""Versions of the mappings: a record of each in the store, and which one is active.

A version takes over the numbers of the definitions that the one before it has, and gives every other
definition a number that was never used. So a definition that comes back after it was away starts anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import msgspec

from listbridge.aggregation import MappingError, Program
from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings.differences import Difference, differences
from listbridge.mappings.sources import MappingText, UnfitMappings, compiled
from listbridge.store import keys
from listbridge.store.store import Store, StoreError, now_ms

_ACTIVE = "active"

# KEYS: the versions; ARGV: the active version, its record (both empty for none), the new version, its record
# -> 1 when it is active or was, made so now or by an earlier try of this very call; 0 when another was first
_ACTIVATE = """
if redis.call('HGET', KEYS[1], ARGV[3]) == ARGV[4] then return 1 end
if (redis.call('HGET', KEYS[1], 'active') or '') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], 'active', ARGV[3])
return 1
"""

# KEYS: the versions; ARGV: a version, its record as it was read, as it is to be
# -> 1 when that is so, -1 when the record was another by then, 0 when the version isn't active
_AMEND = """
if redis.call('HGET', KEYS[1], 'active') ~= ARGV[1] then return 0 end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held == ARGV[3] then return 1 end
if held ~= ARGV[2] then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class NoActiveMappings(StoreError):
    """The store has no active mappings: start `listbridge up` or a worker, which makes the configured ones
    active, or run `listbridge mapping apply`."""


class NoSuchVersion(StoreError):
    """There is no such version of the mappings: `listbridge mapping history` lists them."""


class UnusableMappings(StoreError):
    """This release can't use the active mappings as they were meant: apply some that it can."""


class Overtaken(StoreError):
    """Somebody else made mappings active in the meantime: look at those, then apply again."""


class Counted(msgspec.Struct, frozen=True):
    """A definition's number in packed profiles, and since when it counts (epoch ms; None: all events)."""

    number: int
    since: int | None = None


class Version(msgspec.Struct, frozen=True):
    """A version of the mappings; `fields` is by definition id, `last_number` the greatest ever given."""

    number: int
    activated_at: int
    texts: tuple[MappingText, ...]
    fields: dict[str, Counted]
    last_number: int
    changes: dict[str, list[str]]
    """Field names by what became of them: added, removed, anew, shown."""


@dataclass(frozen=True)
class Plan:
    """What applying mappings would do. `base` is the active version (None in an empty store) and its
    record as it was read; the plan holds as long as that is so."""

    base: Version | None
    record: bytes
    texts: tuple[MappingText, ...]
    program: Program
    differences: tuple[Difference, ...]

    @property
    def is_empty(self) -> bool:
        """Would nothing change, not even a comment?"""
        return self.base is not None and not self.differences and same_texts(self.base.texts, self.texts)


def plan(store: Store, texts: Sequence[MappingText]) -> Plan:
    """Check mappings and compare them with the active ones.

    Raises `MappingError` and `UnfitMappings` for mappings that can't be used.
    """
    program = compiled(texts)
    base, record = _active(store)
    found = _differences(base, program) if base else []
    return Plan(base, record, tuple(texts), program, tuple(found))


def activate(store: Store, planned: Plan) -> Version:
    """Make the planned mappings active. Raises `Overtaken` when the plan's base no longer is.

    A plan that is empty makes no version.
    """
    if planned.base is not None and planned.is_empty:
        return planned.base
    made = _next_version(planned, now_ms())
    before = str(planned.base.number) if planned.base else ""
    args = [before, planned.record, str(made.number), msgspec.json.encode(made)]
    if not store.script(_ACTIVATE, [keys.MAPPING], args):
        now = _active(store)[0]
        which = f"version {now.number}" if now else "another version"
        raise Overtaken(
            f"{which} of the mappings was made active in the meantime, and nothing was changed; "
            "`listbridge mapping history` says what it changed, then apply again"
        )
    return made


def establish(store: Store, texts: Sequence[MappingText]) -> None:
    """Make the mappings the first version of a store that has none."""
    with suppress(Overtaken):
        planned = plan(store, texts)
        if planned.base is None:
            activate(store, planned)


def is_established(store: Store) -> bool:
    """Has the store active mappings?"""
    return bool(store.client.hexists(keys.MAPPING, _ACTIVE))


def active_number(store: Store) -> int:
    """The number of the active version. Raises `NoActiveMappings`."""
    held = cast(bytes | None, store.client.hget(keys.MAPPING, _ACTIVE))
    if held is None:
        raise NoActiveMappings(
            "the store has no active mappings: `listbridge mapping apply` makes the configured ones active"
        )
    return int(held)


def active(store: Store) -> Version:
    """The active version. Raises `NoActiveMappings`."""
    return version(store, active_number(store))


def version(store: Store, number: int) -> Version:
    """One version. Raises `NoSuchVersion`."""
    record = cast(bytes | None, store.client.hget(keys.MAPPING, str(number)))
    if record is None:
        raise NoSuchVersion(
            f"there is no version {number} of the mappings; `listbridge mapping history` lists them"
        )
    return _decode(record)


def history(store: Store) -> list[Version]:
    """All versions, oldest first."""
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.MAPPING))
    found = [_decode(record) for name, record in held.items() if name != _ACTIVE.encode()]
    return sorted(found, key=lambda each: each.number)


def mark_complete(store: Store, number: int, numbers: Collection[int]) -> bool:
    """Say that the definitions of these numbers count all events; False if the version isn't active."""
    while True:
        held, record = _active(store)
        if held is None or held.number != number:
            return False
        fields = {
            name: Counted(each.number) if each.number in numbers else each
            for name, each in held.fields.items()
        }
        amended = msgspec.json.encode(msgspec.structs.replace(held, fields=fields))
        answer = store.script(_AMEND, [keys.MAPPING], [str(number), record, amended])
        if answer >= 0:
            return bool(answer)


def program_of(held: Version) -> Program:
    """The version's program, with its numbers.

    Raises `UnusableMappings` when this release doesn't know what a text holds, or reads it otherwise.
    """
    where = f"version {held.number} of the mappings, made active {rfc3339(held.activated_at)},"
    remedy = (
        f"`listbridge mapping show --version {held.number} --text` prints it, "
        "`listbridge mapping apply` makes other mappings active"
    )
    try:
        program = compiled(held.texts)
    except (MappingError, UnfitMappings) as problem:
        raise UnusableMappings(f"{where} can't be used by this release: {problem}; {remedy}") from problem
    if other := {definition.id for definition in program.fields.values()} ^ held.fields.keys():
        names = ", ".join(sorted({_name(each) for each in other}))
        raise UnusableMappings(f"{where} means something else in this release ({names}); {remedy}")
    numbers = {name: each.number for name, each in held.fields.items()}
    return program.numbered(numbers, held.number)


def same_texts(a: Sequence[MappingText], b: Sequence[MappingText]) -> bool:
    """Are these the same mappings, whatever their files are called?"""
    return {each.alias: each.text for each in a} == {each.alias: each.text for each in b}


def _active(store: Store) -> tuple[Version | None, bytes]:
    """The active version, if there is one, and its record."""
    if not is_established(store):
        return None, b""
    record = cast(bytes, store.client.hget(keys.MAPPING, str(active_number(store))))
    return _decode(record), record


def _decode(record: bytes) -> Version:
    return msgspec.json.decode(record, type=Version)


def _next_version(planned: Plan, at: int) -> Version:
    base = planned.base
    fields: dict[str, Counted] = {}
    last = base.last_number if base else 0
    for definition in planned.program.fields.values():
        held = base.fields.get(definition.id) if base else None
        if held is None:
            last += 1
            held = Counted(last, at if base else None)
        fields[definition.id] = held
    changes: dict[str, list[str]] = {}
    for each in planned.differences:
        changes.setdefault(each.change, []).append(each.field)
    return Version(base.number + 1 if base else 1, at, planned.texts, fields, last, changes)


def _differences(base: Version, program: Program) -> list[Difference]:
    """What would change, also from a version that this release can't use or reads otherwise."""
    details: dict[str, Difference] = {}
    with suppress(MappingError, UnfitMappings):
        details = {each.field: each for each in differences(compiled(base.texts), program)}
    held = {_name(each): each for each in base.fields}
    found = []
    for name in sorted({*held, *program.fields}):
        detail = details.get(name)
        if name not in held or name not in program.fields:
            found.append(Difference(name, "removed" if name in held else "added"))
        elif held[name] != program.fields[name].id:
            found.append(Difference(name, "anew", detail.changes if detail else {}))
        elif detail is not None:
            found.append(detail)
    return found


def _name(definition_id: str) -> str:
    return definition_id.rpartition(":")[0]
