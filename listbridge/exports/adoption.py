"""Adoption: what a list held before an export's first start is read once, so that only what differs is sent.

It costs a call for every thousand active people and happens when the audience field was there before
us, as another tool's or an earlier export's. Whoever holds values in the field gets the `delivered`
entry that a delivery would have left. An entry that exists is newer and stays. The reading goes on
from the page where it was broken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import cast

from listbridge.exports.delivered import adopted, pack, values_of
from listbridge.exports.ledger import Ledger, note_values
from listbridge.exports.protocol import Listed, ListReader
from listbridge.exports.setup import Setup, change_setup
from listbridge.identity import person_key
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.tombstones import gone

ACTIVE = "active"
"""Nobody else is sent a row, unless they are brought back, and then with all values."""


def adopt(
    store: Store, ledger: Ledger, reader: ListReader, list_id: str, setup: Setup, stop: Callable[[], bool]
) -> int | None:
    """Write what the list's active people hold; -> how many were new to us, None when it was stopped.

    Raises the reader's problems and `LostLease`; what was read until then is kept.
    """
    name, people = keys.adoption(list_id), 0
    position = cast(bytes | None, store.client.get(name)) or b""
    for page in reader.people(ACTIVE, position.decode()):
        people += _write(store, ledger, list_id, setup, page.people)
        store.client.set(name, page.position)
        if stop():
            return None
    change_setup(store, list_id, adopting=False)
    store.client.delete(name)
    return people


def _write(store: Store, ledger: Ledger, list_id: str, setup: Setup, people: Iterable[Listed]) -> int:
    now, found, held = now_ms(), {}, {}
    for listed in people:
        key = person_key(listed.address)
        entry = adopted(listed, setup.field_key, setup.labels, now, setup.keeps) if key else None
        if key and entry:
            found[key] = pack(entry)
            values = values_of(listed, setup.field_key)
            held[key] = {each: values[each] for each in setup.keeps if each in values}
    for key in gone(store, found):
        del found[key], held[key]
    by_part: dict[int, dict[str, bytes]] = defaultdict(dict)
    for part, members in store.by_part(found):
        by_part[part.number] = {key: found[key] for key in members}
    adopted_now = sum(ledger.adopt(store.parts[number], entries) for number, entries in by_part.items())
    note_values(store, list_id, {key: values for key, values in held.items() if values})
    return adopted_now
