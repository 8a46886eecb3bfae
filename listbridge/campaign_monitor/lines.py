"""Rows of reports and lists as lines of the streams, a page at a time: what `events` defines, made fast.

What all rows of a report or a list have in common is encoded once, what those of a minute and those of an
address have in common is kept for a while, and only the rest is encoded row by row. Rows that come seldom,
and those with anything unusual, are made into events as everywhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import hexlify
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

import msgspec

from listbridge.campaign_monitor.events import (
    AFTER_ITS_MINUTE_MS,
    OPTED_OUT,
    Account,
    custom_values,
    day_of,
    minute_of,
    report_event,
    status_event,
    status_of,
    without_places,
)
from listbridge.campaign_monitor.models import Campaign, Subscriber
from listbridge.campaign_monitor.reports import Click, Open, Recipient, ReportRow, Sent
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.identity import person_key
from listbridge.remembering import remembers_short_texts
from listbridge.store.keys import hash_of
from listbridge.streams.events import DAY_MS, ID_BYTES, MAX_TEXT, Event, Unreadable
from listbridge.streams.lines import Line
from listbridge.streams.schemas import CM_ACTIVITY, CM_USER

Row = TypeVar("Row", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode


class _Person(NamedTuple):
    """What an address gives: key, hash, `,"email":…` (empty: it is too long) and perhaps `,"_key":…`."""

    key: str
    hash: int
    email: bytes
    other_key: bytes


class _Moment(NamedTuple):
    """What a time gives a line: epoch ms, day, `","_time":…,"_received":…` and perhaps `,"_day":…`."""

    time: int
    day: int
    head: bytes
    other_day: bytes


class _Common(NamedTuple):
    """What the rows of one kind and list have in common: the hash of how their identities begin, and
    `,"list_id":…`.

    `equal` is the number of the last one of each that are equal, among those that are made together.
    """

    identity: blake2b
    values: bytes
    equal: dict[bytes, int]


class _Place(msgspec.Struct, omit_defaults=True, gc=False):
    """How the line of an opening or a click ends."""

    url: str = ""
    ip: str = ""
    city: str = ""
    region: str = ""
    cc: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None


class _Entry(msgspec.Struct, gc=False):
    """One entry of a map, as lines hold it."""

    k: str
    v: str


class _State(msgspec.Struct, omit_defaults=True, gc=False):
    """How the line of somebody's state in a list ends."""

    name: str = ""
    state: str = ""
    status: str = ""
    custom_fields: Sequence[_Entry] = ()
    joined_at: int | None = None


class Lines(ABC, Generic[Row]):
    """Makes rows into lines of one stream."""

    stream: str

    def __init__(self, account: Account) -> None:
        self._account = account
        self._received = 0
        self._moments: dict[str, _Moment] = {}

    def made(self, rows: Sequence[Row], received: int) -> tuple[list[Event | Line], list[Unreadable]]:
        """Events of rows that were read at that time (epoch ms), and the rows that can't be any, in order.

        Rows that are equal within a minute are told apart by their number among `rows`.
        """
        self._received = received
        self._moments.clear()
        events: list[Event | Line] = []
        unreadable: list[Unreadable] = []
        for row in rows:
            try:
                made = self._of(row)
            except ValueError as error:
                made = Unreadable(self.stream, _encode(row), str(error))
            if isinstance(made, Unreadable):
                unreadable.append(made)
            elif made is not None:
                events.append(made)
        return events, unreadable

    @abstractmethod
    def _of(self, row: Row) -> Line | Event | Unreadable | None:
        """None for a row that is not to be kept. Raises ValueError for a time that is none."""

    def _moment(self, text: str, after: int = 0) -> _Moment:
        """So many milliseconds after that time. Raises ValueError for a text that is none."""
        at, day = to_epoch_ms(text, self._account.zone) + after, day_of(text)
        head = b'","_time":%d,"_received":%d' % (at, self._received)
        return _Moment(at, day, head, b"" if day == at // DAY_MS else b',"_day":%d' % day)

    def _common(self, identity: Sequence[str], list_id: str, **values: str) -> _Common:
        account = self._account
        held = {
            "list_id": list_id,
            "list_name": account.lists.get(list_id),
            "client_id": account.client_id,
            "client_name": account.client_name,
            **values,
        }
        kept = _encode({name: value for name, value in held.items() if value})
        begun = _encode([self.stream, *identity])[:-1] + b","
        return _Common(blake2b(begun, digest_size=ID_BYTES), b"," + kept[1:-1], {})

    def _line(self, person: _Person, moment: _Moment, common: _Common, own: bytes, end: bytes) -> Line | None:
        """`own` is how the identity ends, `end` an object of the row's own values; None when something is
        too long."""
        key, hash_, email, other_key = person
        time, day, head, other_day = moment
        values = common.values
        if not email or len(values) + len(end) > MAX_TEXT:
            return None
        hashed = common.identity.copy()
        hashed.update(own)
        identity = hashed.digest()
        more = b"," if len(end) > 2 else b""
        rest = b"%b%b}" % (other_key, other_day) if other_key or other_day else b"}"
        body = b"".join((b'{"_id":"', hexlify(identity), head, email, values, more, end[1:-1], rest))
        return Line(self.stream, key, hash_, time, day, identity, body)


class ReportLines(Lines[ReportRow]):
    """Makes the rows of one campaign's report, those of some lists."""

    stream = CM_ACTIVITY

    def __init__(
        self, account: Account, campaign: Campaign, report: str, lists: Collection[str], *, with_places: bool
    ) -> None:
        """`with_places`: with IP address and coordinates."""
        super().__init__(account)
        self._campaign = campaign
        self._report = report
        self._with_places = with_places
        word = {"opens": "open", "clicks": "click", "recipients": "sent"}.get(report, "")
        named = {"campaign_id": campaign.campaign_id, "campaign_name": campaign.name, "event": word}
        self._lists = {
            each: self._common([word, campaign.campaign_id, each], each, **named) for each in lists
        }

    def made(self, rows: Sequence[ReportRow], received: int) -> tuple[list[Event | Line], list[Unreadable]]:
        for common in self._lists.values():
            common.equal.clear()
        return super().made(rows, received)

    def _of(self, row: ReportRow) -> Line | Event | Unreadable | None:
        common = self._lists.get(row.list_id)
        if common is None:
            return None
        person = _person(row.email_address)
        if person is None:
            return self._plain(row)
        if isinstance(row, Open):
            return self._opened(row, person, common)
        if isinstance(row, _SENT):
            return self._sent(row, person, common)
        return self._plain(row)

    def _opened(self, row: Open, person: _Person, common: _Common) -> Line | Event | Unreadable:
        url, ip, date = row.url if isinstance(row, Click) else "", row.ip_address or "", row.date
        same = _encode((person[0], date, ip, url))
        equal = common.equal
        number = equal[same] = equal.get(same, -1) + 1
        city, region = row.city or "", row.region or ""
        cc, country = row.country_code or "", row.country_name or ""
        if self._with_places:
            end = _Place(url, ip, city, region, cc, country, row.latitude, row.longitude)
        else:
            end = _Place(url, "", city, region, cc, country)
        own = same[1:-1] + (b",%d]" % number if number else b",0]")
        moment = self._moments.get(date) or self._at(date)
        return self._line(person, moment, common, own, _encode(end)) or self._plain(row, number)

    def _sent(self, row: Recipient | Sent, person: _Person, common: _Common) -> Line | Event | Unreadable:
        if isinstance(row, Sent):
            own, date = _encode((person[0], row.date))[1:], row.date
        else:
            own, date = _encode((person[0],))[1:], self._campaign.sent_date
        moment = self._moments.get(date) or self._at(date)
        return self._line(person, moment, common, own, b"{}") or self._plain(row)

    def _at(self, date: str) -> _Moment:
        found = self._moments[date] = self._moment(date)
        return found

    def _plain(self, row: ReportRow, number: int = 0) -> Event | Unreadable:
        made = report_event(self._account, self._campaign, self._report, row, lambda _: number)
        return without_places(made) if isinstance(made, Event) and not self._with_places else made


_SENT = (Recipient, Sent)


class StateLines(Lines[Subscriber]):
    """Makes the rows of one list's states."""

    stream = CM_USER

    def __init__(self, account: Account, list_id: str) -> None:
        super().__init__(account)
        self._list_id = list_id
        self._all = self._common([list_id], list_id)

    def _of(self, row: Subscriber) -> Line | Event | Unreadable:
        person = _person(row.email_address)
        if person is None:
            return status_event(self._account, self._list_id, row)
        name, state, joined = row.name or "", row.state, row.list_joined_date
        word, joined_at = status_of(state), to_epoch_ms(joined, self._account.zone) if joined else None
        if row.custom_fields:
            fields = sorted(custom_values(row.custom_fields).items())
            entries = [_Entry(key, value) for key, value in fields] or ()
        else:
            fields, entries = [], ()
        moment = self._moment(row.date, AFTER_ITS_MINUTE_MS if word in OPTED_OUT else 0)
        own = _encode((person[0], state, minute_of(row.date), name, fields))[1:]
        end = _encode(_State(name, state, word, entries, joined_at))
        return self._line(person, moment, self._all, own, end) or status_event(
            self._account, self._list_id, row
        )


@remembers_short_texts(32_768)
def _person(address: str) -> _Person | None:
    key = person_key(address)
    if key is None:
        return None
    email = b',"email":' + _encode(address) if len(address) <= MAX_TEXT else b""
    return _Person(key, hash_of(key.encode()), email, b"" if key == address else b',"_key":' + _encode(key))
