"""What a list was told of somebody under an address that they left, handed on to their newest address.

A list's delivery state stands under people's keys. When two keys turn out to be one person, the entry of
the one that is left goes to the other, as one that may be at the old address (`Delivered.earlier`), and
that person is in doubt: from there on it is a move like any other. Three steps, each safe to repeat:

1. claims on addresses pass to the heir (only in lists that have claims);
2. the heir's entry takes in what the other says, and the heir stands in the retry set;
3. the other's entry, refusal and doubt go.

Whatever dies between two of them, the other's entry still stands, and either of the two is looked at
again: the other because its change is not behind the cursor yet, or the heir because it is in doubt. Both
entries then say the same of the old address, and taking in twice changes nothing. Nobody whose row is on
its way is an heir or inherited from: the record of its outcome would write over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from msgspec.structs import replace as struct_replace

from listbridge.exports.claims import take
from listbridge.exports.delivered import Delivered, pack, places
from listbridge.exports.ledger import Candidate, Ledger, LostLease
from listbridge.exports.terms import OF_THE_PERSON, ListSpec, Person
from listbridge.profiles.commit import touch
from listbridge.store.store import Store

# KEYS: fence, delivered, retry; ARGV: token, key, packed as read, new packed, due
# -> 1 when it is written, now or before; 0 when another deliverer has the list; 2 when it was not as read
_TAKE_IN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local held = redis.call('HGET', KEYS[2], ARGV[2]) or ''
if held ~= ARGV[3] and held ~= ARGV[4] then return 2 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
local score = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[2]) or '0')
if score < tonumber(ARGV[5]) then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[2]) end
return 1
"""

# KEYS: fence, delivered, refused, retry; ARGV: token, key, packed as read -> as above
_GIVE_UP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local held = redis.call('HGET', KEYS[2], ARGV[2]) or ''
if held ~= ARGV[3] and held ~= '' then return 2 end
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
return 1
"""

CHANGES = "what the list was told of somebody changed again and again"
TRIES = 3
"""A webhook may note something in the same entry meanwhile."""


def has_something(candidate: Candidate) -> bool:
    """Is there something to hand on?"""
    told, refused, doubt = candidate.delivered, candidate.refused, candidate.doubt
    return told is not None or refused is not None or doubt is not None


def heir(candidate: Candidate, others: Sequence[Candidate], field: str) -> Candidate:
    """The candidate as they are once they have inherited from the others; `field` is the audience field."""
    told = candidate.delivered
    for other in others:
        told = _taken_in(candidate.key, told, other, field)
    in_doubt = any(has_something(other) for other in others)
    doubt = candidate.doubt if candidate.doubt is not None or not in_doubt else 0.0
    return replace(candidate, delivered=told, delivered_packed=pack(told) if told else b"", doubt=doubt)


def _taken_in(key: str, own: Delivered | None, other: Candidate, field: str) -> Delivered | None:
    """The entry of `key` with what `other` says: their row is at one of its addresses, or was."""
    told = other.delivered
    there = places(other.key, told, other.refused, OF_THE_PERSON)
    if own is None:
        if not there:
            return None
        own = Delivered(0, None, (), {}, field=field)
        if told is not None:
            own = struct_replace(told, address="", known=other.in_list, tries=0)
    at = own.address or key
    earlier = tuple(dict.fromkeys(each for each in (*own.earlier, *there) if each != at))
    vacated = own.vacated and (told is None or told.vacated)
    return struct_replace(own, earlier=earlier, vacated=vacated)


def is_news(store: Store, list_id: str, key: str, person: Person) -> bool:
    """Is who is who another by now than when this key was looked at last?"""
    noted = cast(bytes | None, store.client.hget(store.part(key).relatives(list_id), key))
    return noted is None or noted.decode() != person.who_is_who


def ring_relatives(store: Store, list_id: str, key: str, person: Person) -> None:
    """Have everybody looked at whom another answer to who is who concerns, once for each answer.

    Whose address somebody else took has lost what is known of it, and hears of it by this alone. It is noted
    last, so whatever dies, they are rung again.
    """
    touch(store, [each for each in (person.key, *person.relatives) if each != key])
    store.client.hset(store.part(key).relatives(list_id), key, person.who_is_who)


def look_everywhere(
    store: Store, ledger: Ledger, spec: ListSpec, person: Person, candidate: Candidate, now: int
) -> None:
    """Doubt where the row of somebody is whom the list was told of: it may have been renamed there, between
    any of their addresses."""
    for _ in range(TRIES):
        told = candidate.delivered
        if told is None or spec.by_address:
            return
        part, at = store.part(person.key), told.address or person.key
        earlier = tuple(dict.fromkeys(each for each in (*told.earlier, *person.others) if each != at))
        new = pack(struct_replace(told, earlier=earlier))
        if _take_in(store, ledger, spec.list_id, candidate, new, now):
            return
        [candidate] = ledger.held(part, [(person.key, None)])
    raise LostLease(CHANGES)


def _take_in(store: Store, ledger: Ledger, list_id: str, candidate: Candidate, new: bytes, due: int) -> bool:
    part = store.part(candidate.key)
    names = [part.fence(list_id), part.delivered(list_id), part.retry(list_id)]
    args = [ledger.token, candidate.key, candidate.delivered_packed, new, due]
    return _done(store.script(_TAKE_IN, names, args))


def inherit(
    store: Store, ledger: Ledger, spec: ListSpec, key: str, others: Sequence[Candidate], now: int
) -> None:
    """Hand on what the list was told of `others` to `key`, who is in doubt then.

    Raises `LostLease`; also when an entry changes again and again, so that the next delivery tries anew.
    """
    for other in others:
        if not has_something(other):
            continue
        if spec.by_address:
            there = places(other.key, other.delivered, other.refused, OF_THE_PERSON)
            pairs = [(address, key) for address in there]
            take(store, spec.list_id, pairs, before=dict.fromkeys(there, other.key))
        _hand_on(store, ledger, spec, key, other, now)


def _hand_on(store: Store, ledger: Ledger, spec: ListSpec, key: str, other: Candidate, now: int) -> None:
    part, old_part = store.part(key), store.part(other.key)
    list_id = spec.list_id
    due = max(now, int(other.doubt or 0))
    for _ in range(TRIES):
        [to] = ledger.held(part, [(key, None)])
        new = _taken_in(key, to.delivered, other, spec.field_key)
        if new is not None and not _take_in(store, ledger, list_id, to, pack(new), due):
            continue
        names = [each(list_id) for each in (old_part.fence, old_part.delivered)]
        names += [each(list_id) for each in (old_part.refused, old_part.retry)]
        if _done(store.script(_GIVE_UP, names, [ledger.token, other.key, other.delivered_packed])):
            return
        [other] = ledger.held(old_part, [(other.key, None)])
    raise LostLease(CHANGES)


def _done(answer: Any) -> bool:
    """Is it written? Raises `LostLease`."""
    if not answer:
        raise LostLease("another deliverer has taken over this list")
    return int(answer) == 1
