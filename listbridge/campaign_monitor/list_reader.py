"""A Campaign Monitor list as a plan and an adoption read it: nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.caller import MAX_PAGE_SIZE
from listbridge.campaign_monitor.calls.subscribers import State
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.dated import read_backwards
from listbridge.campaign_monitor.events import status_of
from listbridge.campaign_monitor.list_setup import ALL_LISTS, key_of_new_field, look
from listbridge.campaign_monitor.models import CustomField, Page, Subscriber
from listbridge.campaign_monitor.paging import pages
from listbridge.campaign_monitor.readings import empties_unnamed, joins, option_verb
from listbridge.campaign_monitor.timezones import to_epoch_ms, to_text, zone
from listbridge.exports.protocol import Listed, ListPage, ListSetup, Survey
from listbridge.exports.values import fitted
from listbridge.learned import Learned
from listbridge.store.store import now_ms

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
        self.calls = 0

    def survey(self, setup: ListSetup) -> Survey:
        details = self._counted(lambda: self._client.list(self._list_id))
        size = self.size()
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

    def people(self, status: str, position: str = "") -> Iterator[ListPage]:
        details = self._counted(lambda: self._client.client(self._client_id)).basic_details
        client_zone = zone(details.time_zone)
        total = 0

        def fetch(since: str | None, number: int) -> Page[Subscriber]:
            nonlocal total
            page = self._counted(
                lambda: self._client.subscribers(self._list_id, _state(status), date=since, page=number)
            )
            total = page.total_number_of_records
            return page

        def listed(person: Subscriber) -> Listed:
            try:
                since = to_epoch_ms(person.date, client_zone)
            except ValueError:
                since = 0
            return self._listed(person, since)

        now = now_ms() + (self._client.clock_offset_ms or 0)
        reading: dict[str, Any] = {"position": position or None, "latest": to_text(now, client_zone)}
        for stretch in read_backwards(fetch, lambda person: person.date, **reading):
            yield ListPage([listed(person) for person in stretch.rows], stretch.until, total)

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

    def _listed(self, person: Subscriber, since: int) -> Listed:
        values: dict[str, tuple[str, ...]] = {}
        for each in person.custom_fields:
            if each.value:
                key = self._key(each.key)
                values[key] = (*values.get(key, ()), each.value)
        return Listed(person.email_address, status_of(person.state), since, person.name or "", values)

    def _key(self, spelling: str) -> str:
        """The field's key for a key or a name as a row has it."""
        if self._spellings is None:
            fields: Sequence[CustomField] = self._counted(lambda: self._client.custom_fields(self._list_id))
            self._spellings = {field_key(field.key): field.key for field in fields}
            self._spellings |= {field_key(field.field_name): field.key for field in fields}
        return self._spellings.get(field_key(spelling), spelling)


def _state(status: str) -> State:
    return next(state for state in STATES if state == status)
