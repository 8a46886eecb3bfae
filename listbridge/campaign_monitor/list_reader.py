"""A Campaign Monitor list as a plan and an adoption read it: nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar, get_args

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.caller import MAX_PAGE_SIZE
from listbridge.campaign_monitor.calls.subscribers import State
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.dated import read_backwards
from listbridge.campaign_monitor.events import STATUSES, Account, status, status_event, status_of
from listbridge.campaign_monitor.list_setup import ALL_LISTS, key_of_new_field, look
from listbridge.campaign_monitor.models import BasicDetails, CustomField, Page, Subscriber
from listbridge.campaign_monitor.paging import pages
from listbridge.campaign_monitor.readings import empties_unnamed, joins, option_verb
from listbridge.campaign_monitor.timezones import to_epoch_ms, to_text, zone
from listbridge.exports.protocol import Listed, ListPage, ListSetup, Survey
from listbridge.exports.values import fitted
from listbridge.identity import person_key
from listbridge.learned import Learned
from listbridge.store.store import now_ms
from listbridge.streams.events import Event

STATES: tuple[State, ...] = get_args(State)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")

T = TypeVar("T")


class CampaignMonitorListReader:
    """Reads one list and its client. `calls` counts the pages and answers that were read; `learned` is what
    is known of the API beyond its documentation, `single` that rows travel as single updates."""

    batch_limit = MAX_PAGE_SIZE
    statuses: tuple[str, ...] = STATES

    def __init__(
        self,
        client: CampaignMonitor,
        client_id: str,
        list_id: str,
        learned: Learned | None = None,
        *,
        single: bool = False,
    ) -> None:
        self._client = client
        self._learned = learned
        self._single = single
        self._client_id = client_id
        self._list_id = list_id
        self._spellings: dict[str, str] | None = None
        self._details: BasicDetails | None = None
        self._title: str | None = None
        self.calls = 0

    def survey(self, setup: ListSetup) -> Survey:
        details = self._counted(lambda: self._client.list(self._list_id))
        size = self.size()
        self._title = details.title
        offer = look(self._client, self._list_id, setup, verb=option_verb(self._learned))
        self.calls += offer.calls
        key = offer.field.key if offer.field else key_of_new_field(setup.field_name)
        return Survey(
            title=details.title,
            prepared=offer.prepared(key),
            creates_field=offer.field is None,
            new_options=offer.missing_options,
            new_segments=offer.missing_segments,
            confirms=details.confirmed_opt_in,
            honours_suppression=details.unsubscribe_setting == ALL_LISTS,
            unsubscribe_setting=details.unsubscribe_setting,
            size=size,
            new_fields=tuple(each.name for each in offer.missing_fields),
            joins=joins(self._learned, single=self._single),
            emptied=offer.many if empties_unnamed(self._learned, single=self._single) else (),
        )

    def leaving_ends_all(self) -> bool:
        return self._counted(lambda: self._client.list(self._list_id)).unsubscribe_setting == ALL_LISTS

    def size(self) -> int:
        """Without the unconfirmed, whom the statistics don't count."""
        stats = self._counted(lambda: self._client.list_stats(self._list_id))
        inactive = stats.total_unsubscribes + stats.total_deleted + stats.total_bounces
        return stats.total_active_subscribers + inactive

    def people(self, status: str, position: str = "", expected: int = 0) -> Iterator[ListPage]:
        client_zone = zone(self._client_details().time_zone)
        total = 0

        def fetch(since: str | None, number: int) -> Page[Subscriber]:
            nonlocal total
            page = self._counted(
                lambda: self._client.subscribers(self._list_id, _state(status), date=since, page=number)
            )
            total = page.total_number_of_records
            return page

        now = now_ms() + (self._client.clock_offset_ms or 0)
        reading: dict[str, Any] = {"position": position or None, "latest": to_text(now, client_zone)}
        reading["likely_last"] = max(ceil(expected / self.batch_limit), 1)
        for stretch in read_backwards(fetch, lambda person: person.date, **reading):
            yield ListPage([self._listed(person) for person in stretch.rows], stretch.until, total)

    def person(self, address: str) -> Listed | None:
        found = self._counted(lambda: self._client.subscriber(self._list_id, address, include_tracking=True))
        return None if found is None else self._listed(found)

    def events(self, people: Sequence[Listed]) -> list[Event]:
        if not people:
            return []
        made = (self._event(self._account(), each) for each in people)
        return [each for each in made if each is not None]

    def _event(self, account: Account, listed: Listed) -> Event | None:
        """None for a row without a readable address or time."""
        if isinstance(listed.row, Subscriber):
            try:
                made = status_event(account, self._list_id, listed.row)
            except ValueError:
                return None
            return made if isinstance(made, Event) else None
        key = person_key(listed.address)
        if key is None:
            return None
        state = next(word for word, each in STATUSES.items() if each == listed.status)
        date = to_text(listed.since, account.zone)
        return status(
            account, self._list_id, key, address=listed.address, state=state, date=date, name=None, fields={}
        )

    def _account(self) -> Account:
        """The names that events carry."""
        details = self._client_details()
        if self._title is None:
            self._title = self._counted(lambda: self._client.list(self._list_id)).title
        lists = {self._list_id: self._title}
        return Account(details.client_id, details.company_name, zone(details.time_zone), lists)

    def _client_details(self) -> BasicDetails:
        """The client's name and zone, asked for once."""
        if self._details is None:
            found = self._counted(lambda: self._client.client(self._client_id))
            self._details = found.basic_details
        return self._details

    def suppressed(self) -> Iterator[Sequence[str]]:
        def fetch(number: int) -> Page[Any]:
            return self._counted(
                lambda: self._client.suppression_list(self._client_id, page=number, order_field="email")
            )

        for page in pages(fetch):
            yield [row.email_address for row in page.results]

    def other_lists(self) -> Mapping[str, str]:
        found = self._counted(lambda: self._client.lists(self._client_id))
        return {each.list_id: each.name for each in found if each.list_id != self._list_id}

    def active_in(self, list_id: str) -> Iterator[Sequence[str]]:
        def fetch(number: int) -> Page[Subscriber]:
            return self._counted(
                lambda: self._client.subscribers(list_id, "active", page=number, order_field="email")
            )

        for page in pages(fetch):
            yield [row.email_address for row in page.results]

    def takes(self, address: str) -> bool:
        """Plain ASCII addresses: others were refused with code 1 (createsend-ruby issue 19)."""
        return _ADDRESS.fullmatch(address.strip()) is not None

    def stored(self, kind: str, value: str) -> str | None:
        """Dates become `yyyy-mm-dd`; what is no date or no number is left out without a word."""
        fit = fitted(value, kind)
        return fit if isinstance(fit, str) else None

    def _counted(self, call: Callable[[], T]) -> T:
        self.calls += 1
        return call()

    def _listed(self, person: Subscriber) -> Listed:
        try:
            since = to_epoch_ms(person.date, zone(self._client_details().time_zone))
        except ValueError:
            since = 0
        values: dict[str, tuple[str, ...]] = {}
        for each in person.custom_fields:
            if each.value:
                key = self._key(each.key)
                values[key] = (*values.get(key, ()), each.value)
        return Listed(
            person.email_address, status_of(person.state), since, person.name or "", values, row=person
        )

    def _key(self, spelling: str) -> str:
        """The field's key for a key or a name as a row has it."""
        if self._spellings is None:
            fields: Sequence[CustomField] = self._counted(lambda: self._client.custom_fields(self._list_id))
            self._spellings = {field_key(field.key): field.key for field in fields}
            self._spellings |= {field_key(field.field_name): field.key for field in fields}
        return self._spellings.get(field_key(spelling), spelling)


def _state(status: str) -> State:
    return next(state for state in STATES if state == status)
