"""The API's answers and rows as Structs.

Names are the API's in snake case (`EmailAddress` is `email_address`). Fields that the API adds are
ignored; numbers may come as strings. Times stay the text that the API gave: naive, in the client's
zone, see `timezones`. Credentials in answers are not decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from .custom_fields import DataType

_CAPITALS = {"id": "ID", "url": "URL", "ip": "IP"}


def api_name(name: str) -> str:
    """The API's spelling of a field name: `web_version_url` is `WebVersionURL`."""
    return "".join(_CAPITALS.get(word, word.capitalize()) for word in name.split("_"))


class Model(msgspec.Struct, frozen=True, gc=False, rename=api_name):
    """Base of everything decoded from or encoded for the API."""


# Accounts and clients


class NamedClient(Model, frozen=True):
    """A row of `GET /clients`."""

    client_id: str
    name: str


class BasicDetails(Model, frozen=True):
    """`time_zone` is a label such as `(GMT+10:00) Canberra, Melbourne, Sydney`, see `timezones.zone`."""

    client_id: str
    company_name: str
    time_zone: str
    country: str = ""


class Client(Model, frozen=True):
    """`GET /clients/{client}`, without its API key and billing details."""

    basic_details: BasicDetails


class SystemDate(Model, frozen=True):
    """The account's clock, in the account's (not the client's) zone."""

    system_date: str


class SuppressedAddress(Model, frozen=True):
    """A row of the suppression list; `date` is the only time that the API gives with seconds."""

    email_address: str
    date: str
    suppression_reason: str = ""
    state: str = ""


class ListMembership(Model, frozen=True):
    """A list that has the address in any state."""

    list_id: str
    list_name: str
    subscriber_state: str
    date_subscriber_added: str = ""


# Lists


class NamedList(Model, frozen=True):
    """A list's id and name."""

    list_id: str
    name: str


class ListDetails(Model, frozen=True):
    """`GET /lists/{list}`. `unsubscribe_setting` is `AllClientLists` or `OnlyThisList`."""

    list_id: str
    title: str
    confirmed_opt_in: bool = False
    unsubscribe_setting: str = ""
    unsubscribe_page: str | None = ""
    confirmation_success_page: str | None = ""


class ListStats(Model, frozen=True):
    """Counts of a list: `total_` ones of all time, others of calendar windows in the client's zone."""

    total_active_subscribers: int
    total_unsubscribes: int
    total_deleted: int
    total_bounces: int
    new_active_subscribers_today: int = 0
    new_active_subscribers_yesterday: int = 0
    new_active_subscribers_this_week: int = 0
    new_active_subscribers_this_month: int = 0
    new_active_subscribers_this_year: int = 0
    unsubscribes_today: int = 0
    unsubscribes_yesterday: int = 0
    unsubscribes_this_week: int = 0
    unsubscribes_this_month: int = 0
    unsubscribes_this_year: int = 0
    deleted_today: int = 0
    deleted_yesterday: int = 0
    deleted_this_week: int = 0
    deleted_this_month: int = 0
    deleted_this_year: int = 0
    bounces_today: int = 0
    bounces_yesterday: int = 0
    bounces_this_week: int = 0
    bounces_this_month: int = 0
    bounces_this_year: int = 0


class CustomField(Model, frozen=True):
    """A custom field of a list. `key` is bracketed, and was `[]` once for a name with an underscore.

    `data_type` is one of `custom_fields.DataType`, or one that the API has added since.
    """

    field_name: str
    key: str
    data_type: str
    field_options: tuple[str, ...] = ()
    visible_in_preference_center: bool = False


class NewCustomField(Model, frozen=True, omit_defaults=True):
    """The body that creates a custom field."""

    field_name: str
    data_type: DataType
    visible_in_preference_center: bool
    options: tuple[str, ...] = ()


class Webhook(Model, frozen=True):
    """A webhook of a list. `status` is `Active` or not; the ids have 16 or 32 hex digits."""

    webhook_id: str
    events: tuple[str, ...]
    url: str = msgspec.field(name="Url")
    status: str
    payload_format: str = ""


# Segments


class SegmentRule(Model, frozen=True):
    """One rule: `rule_type` names an attribute or a custom field, `clause` is `VERB [operand]`."""

    rule_type: str
    clause: str


class RuleGroup(Model, frozen=True):
    """Rules of which any must hold; all groups of a segment must."""

    rules: tuple[SegmentRule, ...]


class NamedSegment(Model, frozen=True):
    """A segment's id and title, and its list's id."""

    list_id: str
    segment_id: str
    title: str


class Segment(NamedSegment, frozen=True):
    """`GET /segments/{segment}`."""

    active_subscribers: int = 0
    rule_groups: tuple[RuleGroup, ...] = ()


# Subscribers

Consent = Literal["Yes", "No", "Unchanged"]


class FieldValue(Model, frozen=True, omit_defaults=True):
    """One value of a custom field; a field of many options is the same key repeated.

    `clear` with a value removes that option, with an empty value all that the field holds.
    """

    key: str
    value: str
    clear: bool = False


class StoredValue(Model, frozen=True):
    """A custom field value as read: always text, numbers and dates (`2010-03-09`) too."""

    key: str
    value: str | None = None


class Subscriber(Model, frozen=True):
    """A person in a list, in any state. `date` is when the state last changed.

    `consent_to_track` is `Yes`, `No` or empty (unknown), and None when it was not asked for.
    """

    email_address: str
    date: str
    state: str
    name: str | None = ""
    list_joined_date: str | None = ""
    custom_fields: tuple[StoredValue, ...] = ()
    reads_email_with: str | None = ""
    consent_to_track: str | None = None
    mobile_number: str | None = None
    consent_to_send_sms: str | None = None


class ImportRow(Model, frozen=True, omit_defaults=True):
    """A person to add or update. None means: not sent, so the stored value stays."""

    email_address: str
    consent_to_track: Consent
    name: str | None = None
    custom_fields: tuple[FieldValue, ...] = ()
    mobile_number: str | None = None
    consent_to_send_sms: Consent | None = None


class ImportFailure(Model, frozen=True):
    """A row that was refused; `codes.row_outcome(code)` says why."""

    email_address: str
    code: int
    message: str = ""


class ImportResult(Model, frozen=True):
    """What an import did. Rows that are not in `failure_details` are stored."""

    total_unique_emails_submitted: int
    total_existing_subscribers: int
    total_new_subscribers: int
    duplicate_emails_in_submission: tuple[str, ...] = ()
    failure_details: tuple[ImportFailure, ...] = ()


# Campaigns


class Campaign(Model, frozen=True):
    """A sent campaign; `sent_date` is in the client's zone."""

    campaign_id: str
    name: str
    sent_date: str
    subject: str | None = ""
    total_recipients: int = 0
    from_name: str | None = ""
    from_email: str | None = ""
    reply_to: str | None = ""
    web_version_url: str | None = ""
    web_version_text_url: str | None = ""
    tags: tuple[str, ...] = ()


class CampaignSummary(Model, frozen=True):
    """Totals of a campaign. `total_opened` counts opens, `unique_opened` people."""

    recipients: int
    total_opened: int
    clicks: int
    unsubscribed: int
    bounced: int
    unique_opened: int
    spam_complaints: int = 0
    mentions: int = 0
    forwards: int = 0
    likes: int = 0
    name: str | None = ""
    web_version_url: str | None = ""
    web_version_text_url: str | None = ""


class ListsAndSegments(Model, frozen=True):
    """What a campaign was sent to."""

    lists: tuple[NamedList, ...] = ()
    segments: tuple[NamedSegment, ...] = ()

    @property
    def list_ids(self) -> frozenset[str]:
        """The lists that it was sent to, whole or in part."""
        return frozenset([*(each.list_id for each in self.lists), *(each.list_id for each in self.segments)])


# Journeys


class NamedJourney(Model, frozen=True):
    """A row of `GET /clients/{client}/journeys`; the list is the one that starts it."""

    list_id: str
    journey_id: str
    name: str
    status: str = ""
    trigger_type: str | None = ""


class JourneyEmail(Model, frozen=True):
    """An automated e-mail of a journey with its totals; `clicked` and `unique_opened` count people."""

    email_id: str
    name: str
    sent: int = 0
    opened: int = 0
    unique_opened: int = 0
    clicked: int = 0
    bounced: int = 0
    unsubscribed: int = 0


class JourneySummary(Model, frozen=True):
    """`GET /journeys/{journey}`."""

    journey_id: str
    name: str
    emails: tuple[JourneyEmail, ...] = ()
    status: str = ""
    trigger_type: str | None = ""


# Paging

T_co = TypeVar("T_co", covariant=True)


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row of a page that is not of its shape: its JSON as it came, and what is wrong with it."""

    raw: bytes
    reason: str


class Page(Model, Generic[T_co], frozen=True):
    """One page of a paged resource. Rows that cannot be decoded are in `unreadable`, not in `results`."""

    results: Sequence[T_co]
    page_number: int
    page_size: int
    records_on_this_page: int
    total_number_of_records: int
    number_of_pages: int
    results_ordered_by: str | None = ""
    order_direction: str | None = ""
    unreadable: tuple[UnreadableRow, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when the page has no row at all."""
        return not self.results and not self.unreadable

    @property
    def is_last(self) -> bool:
        """True when no page follows. An empty resource has 0 or 1 pages: sources differ."""
        return self.page_number >= self.number_of_pages
