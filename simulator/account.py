"""The state of one account: clients, lists, subscribers, suppression, campaigns."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from simulator.clock import Clock, Moment, moment, utc_text
from simulator.errors import ApiError
from simulator.reports import Report
from simulator.switches import Switches
from simulator.timezones import DEFAULT, zone

if TYPE_CHECKING:
    from simulator.journeys import Journey

Cause = Literal["human", "api"]
STATES = ("Active", "Unconfirmed", "Unsubscribed", "Bounced", "Deleted")
MULTI_OPTION = ("MultiSelectOne", "MultiSelectMany")


@dataclass(slots=True)
class CustomField:
    """A list's custom field; `key` is bracketed."""

    name: str
    key: str
    data_type: str
    options: list[str]
    visible: bool = True


@dataclass(slots=True)
class Subscriber:
    """One address in one list. `date` is the last state change, `joined` the first subscription.

    `values` are by bracketed key. `opted_out` says how the person left by their own will, until a
    human brings them back: unsubscribed, deleted, spam, or empty.
    """

    email: str
    name: str
    state: str
    date: str
    joined: str
    values: dict[str, list[str]] = field(default_factory=dict)
    reads_with: str = ""
    mobile: str = ""
    sms_consent: str = ""
    opted_out: str = ""


@dataclass(slots=True)
class Segment:
    """A segment; the groups of rules are kept as they were sent."""

    segment_id: str
    owner: SubscriberList
    title: str
    groups: list[dict[str, Any]]


@dataclass(slots=True)
class WebhookEvent:
    """One event for one webhook, and what became of it."""

    webhook_id: str
    list_id: str
    url: str
    event: dict[str, Any]
    cause: Cause
    delivered: bool = False


@dataclass(slots=True)
class Webhook:
    """A list's webhook with the events that wait for it. `retry_at` is on the monotonic clock."""

    webhook_id: str
    list_id: str
    events: list[str]
    url: str
    payload_format: str
    status: str = "Active"
    waiting: deque[WebhookEvent] = field(default_factory=deque)
    failures: int = 0
    failing_since: datetime | None = None
    retry_at: float = 0.0


@dataclass(slots=True)
class SubscriberList:
    """A list. `version` counts changes of its subscribers; `orders` holds sorted views of a version.

    `written` is when each address was last added, while the switch `too_fast_seconds` is on.
    """

    list_id: str
    client: Client
    title: str
    unsubscribe_page: str = ""
    unsubscribe_setting: str = "OnlyThisList"
    confirmed_opt_in: bool = False
    confirmation_page: str = ""
    fields: list[CustomField] = field(default_factory=list)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    written: dict[str, datetime] = field(default_factory=dict)
    version: int = 0
    orders: dict[tuple[str, str], tuple[int, list[Subscriber]]] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)

    def find(self, email: str) -> Subscriber | None:
        """The person with this address."""
        return self.subscribers.get(self.identity(email))

    def identity(self, email: str) -> str:
        """What the spellings of one person's address have in common."""
        how = self.switches.address_identity
        if how == "case":
            return email.lower()
        if how == "exact":
            return email
        local, _, domain = email.lower().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}"

    def in_order(self, state: str, order_field: str) -> list[Subscriber]:
        """Everyone in a state, ascending by email, name or date, then by address. Not to be changed."""
        version, people = self.orders.get((state, order_field), (-1, []))
        if version != self.version:
            chosen = (person for person in self.subscribers.values() if person.state == state)
            people = sorted(chosen, key=_ORDERS[order_field])
            self.orders[state, order_field] = (self.version, people)
        return people


_ORDERS: dict[str, Callable[[Subscriber], tuple[str, ...]]] = {
    "email": lambda person: (person.email.lower(),),
    "name": lambda person: (person.name.lower(), person.email.lower()),
    "date": lambda person: (person.date, person.email.lower()),
}


@dataclass(slots=True)
class Suppression:
    """An address on a client's suppression list; `date` has seconds."""

    email: str
    reason: str
    date: str


@dataclass(slots=True)
class Campaign:
    """A sent campaign. `audience` is (address, list id), the most active reader first."""

    campaign_id: str
    client: Client
    name: str
    subject: str
    sent: datetime
    sent_date: str
    tags: list[str]
    links: list[str]
    lists: list[SubscriberList]
    segments: list[Segment]
    audience: list[tuple[str, str]]
    reports: dict[str, Report]


@dataclass(slots=True)
class Client:
    """A client: its lists, its suppression list and each address's consent to be tracked."""

    client_id: str
    name: str
    api_key: str
    time_zone: str = DEFAULT
    country: str = "Australia"
    lists: dict[str, SubscriberList] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    journeys: dict[str, Journey] = field(default_factory=dict)
    suppressed: dict[str, Suppression] = field(default_factory=dict)
    consent: dict[str, str] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The zone that all its dates are written in."""
        return zone(self.time_zone)


@dataclass
class Account:
    """Everything, with the one lock that guards it. Identifiers follow from `seed`.

    `automations` are the subscription-date automations that imports started: `{list_id, email, how}`,
    queued or restarted. `opt_outs` and `added_after_opt_out` are `{list_id, email, at, how}`, `at` RFC 3339
    in UTC; the latter also have `looked_at`: when the caller last asked, over the same connection, who is
    suppressed or what has become of somebody (empty: never). `caller` is what is known of a connection.
    """

    api_key: str
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    clients: dict[str, Client] = field(default_factory=dict)
    webhook_events: list[WebhookEvent] = field(default_factory=list)
    opt_outs: list[dict[str, str]] = field(default_factory=list)
    added_after_opt_out: list[dict[str, str]] = field(default_factory=list)
    automations: list[dict[str, str]] = field(default_factory=list)
    delayed: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    caller: threading.local = field(default_factory=threading.local)
    identifiers: int = 0

    def new_id(self, digits: int = 32) -> str:
        """The next identifier: hexadecimal, the same ones for the same seed."""
        self.identifiers += 1
        return hashlib.sha256(f"{self.seed}:{self.identifiers}".encode()).hexdigest()[:digits]

    def add_client(self, name: str, time_zone: str = DEFAULT) -> Client:
        """Make an empty client with a key of its own."""
        client = Client(self.new_id(), name, self.new_id(48), time_zone)
        self.clients[client.client_id] = client
        return client

    def add_list(self, client: Client, title: str) -> SubscriberList:
        """Make an empty list."""
        made = SubscriberList(self.new_id(), client, title, switches=self.switches)
        client.lists[made.list_id] = made
        return made

    def moment(self, client: Client) -> Moment:
        """Now, as this client's dates are written."""
        return moment(self.clock.now(), client.zone)

    def note_look(self) -> None:
        """The caller is told now who has opted out."""
        self.caller.looked_at = utc_text(self.clock.now())

    def settle(self) -> None:
        """Apply the delayed adds that are due."""
        now = self.clock.now()
        due = [apply for at, apply in self.delayed if at <= now]
        self.delayed = [(at, apply) for at, apply in self.delayed if at > now]
        for apply in due:
            apply()

    def find_list(self, list_id: str) -> SubscriberList:
        """The list of any client. Raises `ApiError` 102."""
        for client in self.clients.values():
            if list_id in client.lists:
                return client.lists[list_id]
        raise ApiError(102)

    def find_campaign(self, campaign_id: str) -> Campaign:
        """The campaign of any client. Raises `ApiError` 102."""
        for client in self.clients.values():
            if campaign_id in client.campaigns:
                return client.campaigns[campaign_id]
        raise ApiError(102)

    def segment_count(self) -> int:
        """How many segments all lists have together."""
        return sum(len(owner.segments) for client in self.clients.values() for owner in client.lists.values())

    def find_segment(self, segment_id: str) -> Segment:
        """The segment of any client. Raises `ApiError` 271."""
        for client in self.clients.values():
            for owner in client.lists.values():
                if segment_id in owner.segments:
                    return owner.segments[segment_id]
        raise ApiError(271)
