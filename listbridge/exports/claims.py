"""Whose row an address is, in one list: the address's partition keeps the claim.

Only lists whose rows may go to other addresses than people's keys have claims. A claim outlasts the move
to another address, so that what a webhook tells of the old one is still known to be about the person;
it passes to who wants the address next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from listbridge.exports.ledger import due_again
from listbridge.store.store import Store

# KEYS: claims; ARGV: (address, key, from whom or '')... -> who has each address then
_TAKE = """
local found = {}
for i = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if not held or held == ARGV[i + 2] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    held = ARGV[i + 1]
  end
  found[#found + 1] = held
end
return found
"""


def owners(store: Store, list_id: str, addresses: Iterable[str]) -> dict[str, str]:
    """Address -> key of the person whose it is, for those addresses that somebody has."""
    asked = list(dict.fromkeys(addresses))
    pipe = store.client.pipeline(transaction=False)
    for address in asked:
        pipe.hget(store.part(address).claims(list_id), address)
    found = pipe.execute() if asked else []
    return {address: key.decode() for address, key in zip(asked, found, strict=True) if key}


def take(
    store: Store, list_id: str, wanted: Sequence[tuple[str, str]], *, before: Mapping[str, str] | None = None
) -> list[str]:
    """Claim addresses for people, pairs of (address, key); -> who has each of them then.

    An address that somebody has stays theirs, but where they are the one whom `before` names.
    """
    positions: dict[int, list[int]] = {}
    for position, (address, _) in enumerate(wanted):
        positions.setdefault(store.part(address).number, []).append(position)
    calls = []
    for number, found in positions.items():
        args: list[Any] = []
        for position in found:
            address, key = wanted[position]
            args += (address, key, (before or {}).get(address, ""))
        calls.append(([store.parts[number].claims(list_id)], args))
    has = [""] * len(wanted)
    answers = store.scripts(_TAKE, calls) if calls else []
    for found, answer in zip(positions.values(), answers, strict=True):
        for position, key in zip(found, answer, strict=True):
            has[position] = key.decode()
    return has


def wait_for(store: Store, list_id: str, address: str, key: str) -> None:
    """Have the person tried again when the address becomes free."""
    store.client.zadd(store.part(address).claimants(list_id), {f"{address} {key}": 0})


def set_free(store: Store, list_id: str, addresses: Iterable[str], now: int) -> None:
    """Have those tried again who are refused because of these addresses."""
    asked = list(dict.fromkeys(addresses))
    if not asked:
        return
    pipe = store.client.pipeline(transaction=False)
    for address in asked:
        pipe.zrangebylex(store.part(address).claimants(list_id), f"[{address} ", f"({address}!")
    for address, found in zip(asked, pipe.execute(), strict=True):
        if found:
            people = [each.decode().removeprefix(f"{address} ") for each in found]
            due_again(store, list_id, people, now)
            store.client.zrem(store.part(address).claimants(list_id), *found)
