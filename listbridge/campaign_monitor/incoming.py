"""Deliveries of webhooks: decode, recognise our own writes, append, and doubt what others changed.

Behind a valid token nothing is refused: a delivery that doesn't decode whole is decoded event by
event, and what can't be read is set aside. Refusing it would only bring it back for a week.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.events import (
    DEACTIVATIONS,
    SELF,
    Account,
    custom_values,
    day_of,
    minute_of,
    opt_out,
    status,
    subscription,
)
from listbridge.campaign_monitor.links import link_events
from listbridge.campaign_monitor.models import StoredValue
from listbridge.campaign_monitor.testing import LARGEST_SAMPLE, put_aside
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.exports.claims import owners
from listbridge.exports.delivered import Delivered, content
from listbridge.exports.ledger import delivered_to, note_others, raise_doubt
from listbridge.exports.setup import Setup, read_setup
from listbridge.identity import person_key
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Counts, Event, Unreadable
from listbridge.streams.log import append, quarantine
from listbridge.streams.schemas import CM_ACTIVITY

ECHO_WINDOW_MS = 120_000
"""How far a webhook's minute may lie from our write, by the system's clock, to be its echo."""

MAX_AHEAD_MS = 2 * 86_400_000
"""An event that claims to be later than this would stand as the latest for good."""

TOLD_EVERY_MS = 1000

T = TypeVar("T")
Row = tuple[str, Delivered | None, bool]
"""The person whose an address is, what the list was told of them, and whether their row is there (still)."""


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of a delivery."""

    type: str = msgspec.field(name="Type")
    date: str = msgspec.field(name="Date")
    address: str = msgspec.field(name="EmailAddress")
    old_address: str | None = msgspec.field(name="OldEmailAddress", default=None)
    name: str | None = msgspec.field(name="Name", default=None)
    state: str | None = msgspec.field(name="State", default=None)
    signup_ip: str | None = msgspec.field(name="SignupIPAddress", default=None)
    fields: tuple[StoredValue, ...] | None = msgspec.field(name="CustomFields", default=())


class _Delivery(msgspec.Struct, gc=False):
    list_id: str = msgspec.field(name="ListID")
    events: list[Told] = msgspec.field(name="Events")


class _LooseDelivery(msgspec.Struct):
    list_id: str = msgspec.field(name="ListID")
    events: list[msgspec.Raw] = msgspec.field(name="Events")


_decode = msgspec.json.Decoder(_Delivery).decode
_decode_loose = msgspec.json.Decoder(_LooseDelivery).decode
_decode_event = msgspec.json.Decoder(Told).decode
_UNREADABLE = (ValueError, RecursionError)  # msgspec's and json's errors are ValueErrors


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery holds; `told` are the readable events with the person's key."""

    list_id: str
    told: Sequence[tuple[str, Told]]
    unreadable: Sequence[Unreadable]


def receive(store: Store, account: Account, body: bytes, *, tested: bool = False) -> Counts:
    """Store a delivery. Raises only `redis.RedisError`: then it must come again.

    What looks like a sample while the list's webhooks are tested is put aside; `tested` receives it then.
    """
    delivery = decode(body)
    if delivery.told and delivery.list_id not in account.lists:
        reason = f"list {delivery.list_id} is not one of this import's"
        delivery = Delivery(delivery.list_id, (), [Unreadable(CM_ACTIVITY, body, reason)])
    pipe = store.client.pipeline(transaction=False)
    pipe.get(keys.list_setup(delivery.list_id))
    pipe.exists(keys.testing(delivery.list_id))
    packed, testing = pipe.execute()
    small = len(delivery.told) <= LARGEST_SAMPLE and delivery.list_id in account.lists
    if testing and small and not tested and put_aside(store, account, delivery.list_id, body):
        return Counts()
    setup = read_setup(packed)
    rows = _rows_of(store, delivery, setup)
    if setup is not None:
        note_others(store, delivery.list_id, _others(delivery, setup, rows))
    unreadable = list(delivery.unreadable)
    doubted: list[str] = []
    counts = append(store, _events(account, delivery, setup, rows, unreadable, doubted))
    if delivery.told:
        _note_told(store, delivery.list_id)
    counts.add(quarantine(store, unreadable))
    everybody = setup is not None and setup.adopting
    raise_doubt(store, delivery.list_id, doubted, now_ms(), everybody=everybody)
    return counts


def _events(
    account: Account,
    delivery: Delivery,
    setup: Setup | None,
    rows: Mapping[str, Row],
    unreadable: list[Unreadable],
    doubted: list[str],
) -> Iterator[Event]:
    """The events of a delivery; what can't be one and whose rows are in doubt is added to the lists."""
    for key, told in delivery.told:
        try:
            person, held, here = rows.get(key, (key, None, True))
            ours = is_echo if here else is_parting_echo
            own = held is not None and ours(account, told, setup, held)
            found = events_of(account, delivery.list_id, key, told, own=own)
            if not own:
                found += link_events(account, delivery.list_id, key, told.old_address, told.date)
        except ValueError as error:
            unreadable.append(Unreadable(CM_ACTIVITY, msgspec.json.encode(told), str(error)))
            continue
        yield from found
        if setup is None or own or not here:
            continue
        if differs(told, setup, held) or _unread(told, setup, held):
            doubted.append(person)


def _note_told(store: Store, list_id: str) -> None:
    """Write down that the list's webhooks come, once a second: whoever asks reckons in minutes."""
    now = now_ms()
    if abs(now - store.told.get(list_id, 0)) >= TOLD_EVERY_MS:
        store.client.set(keys.told(list_id), now)
        store.told[list_id] = now


def decode(body: bytes) -> Delivery:
    """A delivery's events, whole if it can be, else one by one."""
    try:
        whole = _decode(body)
    except _UNREADABLE:
        return _decode_singly(body)
    return _with_keys(whole.list_id, whole.events, [])


def _decode_singly(body: bytes) -> Delivery:
    try:
        loose = _decode_anyhow(_decode_loose, body)
    except _UNREADABLE as error:
        return Delivery("", (), [Unreadable(CM_ACTIVITY, body, f"not a delivery: {error}")])
    told: list[Told] = []
    unreadable: list[Unreadable] = []
    for raw in loose.events:
        try:
            told.append(_decode_anyhow(_decode_event, bytes(raw)))
        except _UNREADABLE as error:
            unreadable.append(Unreadable(CM_ACTIVITY, bytes(raw), f"not an event: {error}"))
    return _with_keys(loose.list_id, told, unreadable)


def _decode_anyhow(decode: Callable[[bytes], T], body: bytes) -> T:
    """Decode as it is, or else with what has no UTF-8 form replaced by U+FFFD.

    A name that a system cut in the middle of an emoji is half a surrogate pair; that is no reason
    to miss an opt-out.
    """
    try:
        return decode(body)
    except _UNREADABLE:
        text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
        return decode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())


def _with_keys(list_id: str, events: Iterable[Told], unreadable: list[Unreadable]) -> Delivery:
    told = []
    for event in events:
        key = person_key(event.address)
        if key is None:
            reason = "the e-mail address is not readable"
            unreadable.append(Unreadable(CM_ACTIVITY, msgspec.json.encode(event), reason))
        else:
            told.append((key, event))
    return Delivery(list_id, told, unreadable)


def events_of(account: Account, list_id: str, key: str, told: Told, *, own: bool) -> list[Event]:
    """The activity that a webhook's event is, and the state that it tells.

    Raises `ValueError` for a type or a time that can't be understood.
    """
    if to_epoch_ms(told.date, account.zone) > now_ms() + MAX_AHEAD_MS:
        raise ValueError("its time lies more than two days ahead")
    origin = SELF if own else None
    fields = custom_values(told.fields or ())
    state = told.state or ("Active" if told.type == "Subscribe" else "")
    if told.type == "Deactivate":
        word = DEACTIVATIONS.get(state, state.lower() or "unknown")
        activity = opt_out(
            account, list_id, key, address=told.address, word=word, date=told.date, state=state
        )
    elif told.type == "Subscribe":
        activity = _subscribed(account, list_id, key, told, fields, origin)
    elif told.type == "Update":
        activity = _change(account, list_id, key, told, fields, state, origin)
    else:
        raise ValueError(f"the type of event {told.type!r} is not Subscribe, Update or Deactivate")
    if not state:
        return [activity]
    known = status(
        account,
        list_id,
        key,
        address=told.address,
        state=state,
        date=told.date,
        name=told.name,
        fields=fields,
        origin=origin,
    )
    return [activity, known]


def _subscribed(
    account: Account, list_id: str, key: str, told: Told, fields: dict[str, str], origin: str | None
) -> Event:
    return subscription(
        account,
        list_id,
        key,
        address=told.address,
        date=told.date,
        name=told.name,
        ip=told.signup_ip,
        custom_fields=fields or None,
        origin=origin,
        old_email=told.old_address or "",
    )


def _change(
    account: Account,
    list_id: str,
    key: str,
    told: Told,
    fields: dict[str, str],
    state: str,
    origin: str | None,
) -> Event:
    event = told.type.lower()
    old = told.old_address or ""
    return Event(
        CM_ACTIVITY,
        key,
        to_epoch_ms(told.date, account.zone),
        (
            event,
            list_id,
            key,
            old.lower(),
            minute_of(told.date),
            state,
            told.name or "",
            sorted(fields.items()),
        ),
        {
            "event": event,
            "email": told.address,
            "old_email": old,
            "name": told.name,
            "state": state,
            "list_id": list_id,
            "list_name": account.lists.get(list_id),
            "client_id": account.client_id,
            "client_name": account.client_name,
            "ip": told.signup_ip,
            "custom_fields": fields or None,
            "origin": origin,
        },
        day_of(told.date),
    )


def is_echo(account: Account, told: Told, setup: Setup | None, held: Delivered | None) -> bool:
    """Is this our own write coming back: its content, at its time?"""
    if setup is None or held is None or told.type == "Deactivate":
        return False
    shown = content(told.name if held.name is not None else None, our_options(told, setup))
    at = to_epoch_ms(told.date, account.zone)
    return any(written == shown and _is_about(at, system_at) for system_at, written in held.writes)


def is_parting_echo(account: Account, told: Told, setup: Setup | None, held: Delivered | None) -> bool:
    """Is it our own write to an address that the person has left: nothing of ours, at the time of a write?"""
    if setup is None or held is None or told.type == "Deactivate" or our_options(told, setup):
        return False
    at = to_epoch_ms(told.date, account.zone)
    return any(_is_about(at, system_at) for system_at, _ in held.writes)


def _is_about(at: int, system_at: int) -> bool:
    """Does a webhook's time (epoch ms) fit that of a write?"""
    return abs(at - (system_at - system_at % 60_000)) <= ECHO_WINDOW_MS


def differs(told: Told, setup: Setup | None, held: Delivered | None) -> bool:
    """Did somebody else leave the row otherwise than we told the list?"""
    if setup is None or held is None or told.type == "Deactivate":
        return False
    return our_options(told, setup) != held.options


def _unread(told: Told, setup: Setup | None, held: Delivered | None) -> bool:
    """Did a row change that an adoption is about to read, or has read and not yet written down?"""
    return setup is not None and setup.adopting and held is None and told.type != "Deactivate"


def _others(delivery: Delivery, setup: Setup, rows: Mapping[str, Row]) -> dict[str, tuple[str, ...]]:
    """What our field holds of others, for those whom we told the list otherwise of."""
    found: dict[str, tuple[str, ...]] = {}
    before: dict[str, tuple[str, ...]] = {}
    for key, told in delivery.told:
        person, held, here = rows[key]
        if held is not None and here and told.type != "Deactivate" and told.fields is not None:
            found[person] = tuple(sorted(_options(told, setup) - {*setup.labels}))
            before[person] = held.others
    return {person: others for person, others in found.items() if others != before[person]}


def _rows_of(store: Store, delivery: Delivery, setup: Setup | None) -> dict[str, Row]:
    """What the list was told of those whom the addresses of a delivery belong to, by address."""
    addresses = sorted({key for key, _ in delivery.told})
    if setup is None:
        return {}
    whose = owners(store, delivery.list_id, addresses) if setup.by_address else {}
    people = {address: whose.get(address, address) for address in addresses}
    held = delivered_to(store, delivery.list_id, sorted({*people.values()}))
    found: dict[str, Row] = {}
    for address, person in people.items():
        row = held.get(person)
        places = (address,) if row is None else (row.address or person, *row.earlier)
        found[address] = (person, row, address in places)
    return found


def our_options(told: Told, setup: Setup) -> tuple[str, ...]:
    """The values of our field that are options of ours, sorted."""
    return options_of(told.fields or (), setup)


def options_of(fields: Iterable[StoredValue], setup: Setup) -> tuple[str, ...]:
    """The same of a row's fields."""
    return tuple(sorted(_values(fields, setup) & {*setup.labels}))


def _options(told: Told, setup: Setup) -> set[str]:
    return _values(told.fields or (), setup)


def _values(fields: Iterable[StoredValue], setup: Setup) -> set[str]:
    key = field_key(setup.field_key)
    return {f.value for f in fields if field_key(f.key) == key and f.value}
