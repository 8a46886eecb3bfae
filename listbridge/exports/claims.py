"""Whose row an address is, in one list: the address's partition keeps the claim.

Only lists whose rows may go to other addresses than people's keys have claims. A claim outlasts the move
to another address, so that what a webhook tells of the old one is still known to be about the person;
it passes to who wants the address next.

How an address passes on. What is kept of a person is in their own partition, the claim in the address's, so
the two are never written at once. A person

- *stands* at the address their row went to, and while a move is in doubt at the earlier ones (`places`):
  our options may be there because of them;
- *leaves* when the row is renamed, or written elsewhere and cleared here, and the outcome is recorded;
- has *vacated* (`Delivered.vacated`) when the list has confirmed that our options are cleared at all their
  addresses. They are asked to where somebody else waits for the place of one who can't leave it for the
  address that they want, where people want each other's addresses in a ring (the one with the least key),
  and where a refusal would end a move that is half made.

Who may write what, and when:

1. A claim is taken from nobody of whom options may stand at the address, also not when they have opted out
   there: they may subscribe again. So when it passes, no option of ours is there, and nothing is to be
   cleared by the one who loses it.
2. Options are written to an address only by who has its claim, after the plan with the address is written to
   their record. A row is renamed or cleared only by who has the claim and stands there.
3. While a place is not confirmed (the move to it, or the first row, is in doubt), a row there is renamed only
   if it holds options of ours: by 1 and 2 these are the person's own. Else what another person left there
   would be taken along.
4. An address that has only refused the person is no place of theirs, whatever it holds: the row was there
   before them. An opt-out there holds for the person; a row there is neither renamed nor cleared for them.

Crashes. Between claim and plan: the claim is of somebody who doesn't stand there; the next one who wants the
address takes it, and no row is there to be lost. Between plan and record: the person is in doubt, stands at
the old and the new addresses, and keeps their claims (1) until the list has been asked for all of them.
While they vacate: some of their addresses may be cleared; they are in doubt at all of them, and whatever
their profile says next starts from there. After they vacated: nothing of theirs is in the list, and they are
looked at once more at once, so that who waits for an address that became free meanwhile is not overlooked.

Who is refused because of an address, or because of the person who has it, hears of both: of the address when
it becomes free or something becomes known of it, of the person when their profile changes (`wait_for` takes
either). Hearing of it uses the wish up; who is refused again states it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from listbridge.exports.delivered import places, unpack_delivered
from listbridge.exports.ledger import due_again
from listbridge.store.store import Store

CLAIMED_AT_ONCE = 1000

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


def claim_places(store: Store, list_id: str) -> None:
    """Claim for everybody who was told something the addresses where their rows are: from now on rows of this
    list may go to other addresses than people's keys. Repeatable."""
    for part in store.parts:
        waiting: list[tuple[str, str]] = []
        for key, packed in store.client.hscan_iter(part.delivered(list_id), count=1000):
            person = key.decode()
            waiting += [(each, person) for each in places(person, unpack_delivered(packed), None, ())]
            if len(waiting) >= CLAIMED_AT_ONCE:
                take(store, list_id, waiting)
                waiting = []
        take(store, list_id, waiting)


def wait_for(store: Store, list_id: str, address: str, key: str) -> None:
    """Have the person tried again when the address becomes free, or there is news of it (or of that key)."""
    store.client.zadd(store.part(address).claimants(list_id), {f"{address} {key}": 0})


def waiting(store: Store, list_id: str, addresses: Iterable[str]) -> list[tuple[str, str]]:
    """Who waits for these addresses: (address, person); some may want another one by now."""
    asked = list(dict.fromkeys(addresses))
    pipe = store.client.pipeline(transaction=False)
    for address in asked:
        pipe.zrangebylex(store.part(address).claimants(list_id), f"[{address} ", f"({address}!")
    answers = pipe.execute() if asked else []
    return [
        (address, each.decode().removeprefix(f"{address} "))
        for address, found in zip(asked, answers, strict=True)
        for each in found
    ]


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
