"""A Campaign Monitor list as a Destination: the audience field, its options, its segments, imports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from zoneinfo import ZoneInfo

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.caller import MAX_PAGE_SIZE
from listbridge.campaign_monitor.codes import INVALID_RULES, NOT_IN_LIST, row_outcome
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.errors import (
    AlreadyExists,
    InvalidRequest,
    RowRefused,
    SegmentLimitReached,
)
from listbridge.campaign_monitor.events import status_of
from listbridge.campaign_monitor.list_setup import (
    ALL_LISTS,
    EQUALS,
    MANY,
    Offer,
    create_mapped,
    look,
    offers,
    rules,
)
from listbridge.campaign_monitor.models import (
    Consent,
    FieldValue,
    ImportFailure,
    ImportResult,
    ImportRow,
    Subscriber,
)
from listbridge.campaign_monitor.suppression import SuppressionList
from listbridge.campaign_monitor.timezones import to_epoch_ms, zone
from listbridge.exports.protocol import (
    Flags,
    Found,
    ListSetup,
    Outcome,
    OutcomeKind,
    Prepared,
    Row,
    Sent,
    Way,
)
from listbridge.exports.values import CLEARED

MARGIN_SECONDS = 3.0


class CampaignMonitorList:
    """One list. `call_seconds` is the client's connect and read timeout together, and a margin.

    `leave_all_lists`: people may be unsubscribed though that takes them off all lists of the client.
    `option_verb` is the one of segment rules that finds everybody who has an option.
    """

    batch_limit = MAX_PAGE_SIZE

    def __init__(
        self,
        client: CampaignMonitor,
        client_id: str,
        list_id: str,
        consent: Consent,
        suppression: SuppressionList,
        timeout_seconds: float,
        *,
        leave_all_lists: bool = False,
        option_verb: str = EQUALS,
    ) -> None:
        self._client = client
        self._client_id = client_id
        self._list_id = list_id
        self._consent: Consent = consent
        self._suppression = suppression
        self._zone: ZoneInfo | None = None
        self._may_unsubscribe = leave_all_lists
        self._verb = option_verb
        self.call_seconds = timeout_seconds + MARGIN_SECONDS

    def prepare(self, setup: ListSetup) -> Prepared:
        """Make the field (hidden from the preference centre), its options and segments, if missing.

        Options are added and never removed: removing one deletes the segment rules on the field.
        """
        offer = look(self._client, self._list_id, setup, verb=self._verb)
        key = self._audience_field(offer, setup)
        prepared = offer.prepared(key, create_mapped(self._client, self._list_id, offer))
        return replace(prepared, notes=(*prepared.notes, *self._create_segments(offer, key)))

    def _create_segments(self, offer: Offer, key: str) -> list[str]:
        """Make what is missing; -> what to say when the account may have no more.

        Segments come after people: an export without them still keeps the field.
        """
        for done, label in enumerate(offer.missing_segments):
            try:
                self._create_segment(key, label)
            except AlreadyExists:
                continue  # made since the titles were read
            except SegmentLimitReached as problem:
                missing = ", ".join(map(repr, offer.missing_segments[done:]))
                return [
                    f"no segment for {missing} ({problem}). People are delivered all the same; delete unused "
                    "segments or ask Campaign Monitor for more, then pause and resume the export"
                ]
        return []

    def _create_segment(self, key: str, label: str) -> None:
        """With the verb that was learned; should it be refused by now, with the documented one."""
        try:
            self._client.create_segment(self._list_id, label, rules(key, label, self._verb))
        except InvalidRequest as problem:
            if self._verb == EQUALS or problem.code != INVALID_RULES:
                raise
            self._client.create_segment(self._list_id, label, rules(key, label))

    def send(self, prepared: Prepared, rows: Sequence[Row], flags: Flags) -> Sent:
        if flags.way in (Way.UPDATE, Way.MOVE):
            return self._update(prepared, *rows, flags=flags)
        if flags.way is Way.UNSUBSCRIBE:
            return self._unsubscribe(*rows)
        return self._import(prepared, rows, flags)

    def _update(self, prepared: Prepared, row: Row, *, flags: Flags) -> Sent:
        old = row.moved_from[0] if flags.way is Way.MOVE else row.email
        try:
            self._client.update_subscriber(
                self._list_id,
                old,
                self._as_import_row(prepared, row),
                resubscribe=flags.resubscribe,
                restart_autoresponders=flags.restart_autoresponders,
            )
        except RowRefused as refused:
            failure = ImportFailure(row.email, refused.code or 0, refused.message)
            return Sent([_refusal(row, failure)], added=0, updated=0)
        return Sent([Outcome(row.key, OutcomeKind.STORED)], added=0, updated=1)

    def _unsubscribe(self, row: Row) -> Sent:
        """Raises `InvalidRequest` when that takes people off all lists by now and nobody said that too."""
        if not self._may_unsubscribe:
            if self._client.list(self._list_id).unsubscribe_setting == ALL_LISTS:
                raise InvalidRequest(
                    "unsubscribing from this list takes people off all lists of the client by now: change "
                    "the list's unsubscribe setting and resume, or make an export with "
                    "unsubscribe_from_all_lists"
                )
            self._may_unsubscribe = True
        try:
            self._client.unsubscribe(self._list_id, row.email)
        except RowRefused as refused:
            if refused.code != NOT_IN_LIST:
                return Sent(
                    [_refusal(row, ImportFailure(row.email, refused.code or 0, refused.message))], 0, 0
                )
        return Sent([Outcome(row.key, OutcomeKind.STORED)], added=0, updated=0)

    def _import(self, prepared: Prepared, rows: Sequence[Row], flags: Flags) -> Sent:
        new = [] if flags.resubscribe else [row.email for row in rows if row.new]
        suppressed = self._suppression.among(new)
        refused = [_suppressed(row) for row in rows if row.new and row.email in suppressed]
        wanted = [row for row in rows if not (row.new and row.email in suppressed)]
        if not wanted:
            return Sent(refused, added=0, updated=0)
        result = self._client.import_subscribers(
            self._list_id,
            [self._as_import_row(prepared, row) for row in wanted],
            resubscribe=flags.resubscribe,
            queue_autoresponders=flags.queue_autoresponders,
            restart_autoresponders=flags.restart_autoresponders,
        )
        outcomes = refused + _outcomes(wanted, result)
        return Sent(outcomes, result.total_new_subscribers, result.total_existing_subscribers)

    def state_of(self, email: str) -> tuple[str, int] | None:
        found = self._client.subscriber(self._list_id, email)
        return self._status_of(found) if found is not None else None

    def _status_of(self, found: Subscriber) -> tuple[str, int]:
        if self._zone is None:
            self._zone = zone(self._client.client(self._client_id).basic_details.time_zone)
        return status_of(found.state), to_epoch_ms(found.date, self._zone)

    def look_up(self, prepared: Prepared, email: str) -> Found | None:
        found = self._client.subscriber(self._list_id, email)
        if found is None:
            return None
        key = field_key(prepared.field_key)
        held = (each.value for each in found.custom_fields if each.value and field_key(each.key) == key)
        return Found(*self._status_of(found), tuple(sorted(held)))

    def suppressed(self, emails: Sequence[str]) -> set[str]:
        return self._suppression.among(emails)

    def still_offers(self, prepared: Prepared, labels: Sequence[str]) -> bool:
        return offers(self._client.custom_fields(self._list_id), prepared, labels)

    def clock_offset_ms(self) -> int:
        return self._client.asked_offset_ms() or 0

    def _audience_field(self, offer: Offer, setup: ListSetup) -> str:
        if offer.field is None:
            return self._client.create_custom_field(
                self._list_id, setup.field_name, MANY, setup.labels, visible_in_preference_center=False
            )
        if offer.missing_options:
            key = offer.field.key
            self._client.update_options(self._list_id, key, offer.missing_options, keep_existing=True)
        return offer.field.key

    def _as_import_row(self, prepared: Prepared, row: Row) -> ImportRow:
        """Values that hold (others' too) and values that are cleared: right whether an import replaces or
        appends."""
        key = prepared.field_key
        values = [FieldValue(key=key, value=label) for label in (*row.options, *row.other_options)]
        values += [FieldValue(key=key, value=label, clear=True) for label in row.cleared]
        for field, value in row.values:
            texts = (value,) if isinstance(value, str) else value
            values += [FieldValue(key=field, value=text, clear=text == CLEARED) for text in texts]
        values += [FieldValue(key=field, value=text, clear=True) for field, text in row.removed]
        return ImportRow(
            email_address=row.email,
            consent_to_track=cast(Consent, row.consent) or self._consent,
            name=row.name,
            custom_fields=tuple(values),
            mobile_number=row.mobile,
            consent_to_send_sms=cast(Consent | None, row.sms),
        )


def _suppressed(row: Row) -> Outcome:
    return Outcome(row.key, OutcomeKind.REFUSED, "suppressed", "on the client's suppression list")


def _outcomes(rows: Sequence[Row], result: ImportResult) -> list[Outcome]:
    failures = {failure.email_address.strip().lower(): failure for failure in result.failure_details}
    outcomes = []
    for row in rows:
        failure = failures.get(row.email.strip().lower())
        if failure is None:
            outcomes.append(Outcome(row.key, OutcomeKind.STORED))
            continue
        outcomes.append(_refusal(row, failure))
    return outcomes


def _refusal(row: Row, failure: ImportFailure) -> Outcome:
    word = row_outcome(failure.code)
    kind = OutcomeKind.LATER if word == "too_fast" else OutcomeKind.REFUSED
    code = f"code {failure.code}" if word == "unknown" else word
    return Outcome(row.key, kind, code, failure.message)
