"""A Campaign Monitor list as a Destination: the audience field, its options, its segments, imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.caller import MAX_PAGE_SIZE
from listbridge.campaign_monitor.codes import refusal_code, row_outcome
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.errors import AlreadyExists, InvalidRequest
from listbridge.campaign_monitor.events import status_of
from listbridge.campaign_monitor.models import (
    Consent,
    CustomField,
    FieldValue,
    ImportResult,
    ImportRow,
    RuleGroup,
    SegmentRule,
)
from listbridge.campaign_monitor.suppression import SuppressionList
from listbridge.campaign_monitor.timezones import to_epoch_ms, zone
from listbridge.exports.protocol import Flags, ListSetup, Outcome, OutcomeKind, Prepared, Row, Sent

MANY: Final = "MultiSelectMany"
DATE: Final = "Date"
MARGIN_SECONDS = 3.0


class CampaignMonitorList:
    """One list. `call_seconds` is the client's connect and read timeout together, and a margin."""

    batch_limit = MAX_PAGE_SIZE

    def __init__(
        self,
        client: CampaignMonitor,
        client_id: str,
        list_id: str,
        consent: Consent,
        suppression: SuppressionList,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._client_id = client_id
        self._list_id = list_id
        self._consent: Consent = consent
        self._suppression = suppression
        self._zone: ZoneInfo | None = None
        self.call_seconds = timeout_seconds + MARGIN_SECONDS

    def prepare(self, setup: ListSetup) -> Prepared:
        """Make the field (hidden from the preference centre), its options and segments, if missing.

        Options are added and never removed: removing one deletes the segment rules on the field.
        """
        fields = {field_key(field.key): field for field in self._client.custom_fields(self._list_id)}
        fields |= {field_key(field.field_name): field for field in fields.values()}
        mapped = {name: self._existing(fields, name) for name in setup.mapped_fields}
        key = self._audience_field(fields.get(field_key(setup.field_name)), setup)
        if setup.segments:
            self._segments(key, setup.labels)
        dates = sorted({field.key for field in mapped.values() if field.data_type == DATE})
        return Prepared(key, {name: field.key for name, field in mapped.items()}, tuple(dates))

    def send(self, prepared: Prepared, rows: Sequence[Row], flags: Flags) -> Sent:
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
        )
        outcomes = refused + _outcomes(wanted, result)
        return Sent(outcomes, result.total_new_subscribers, result.total_existing_subscribers)

    def state_of(self, email: str) -> tuple[str, int] | None:
        found = self._client.subscriber(self._list_id, email)
        if found is None:
            return None
        if self._zone is None:
            self._zone = zone(self._client.client(self._client_id).basic_details.time_zone)
        return status_of(found.state), to_epoch_ms(found.date, self._zone)

    def clock_offset_ms(self) -> int:
        return self._client.clock_offset_ms or 0

    def _existing(self, fields: Mapping[str, CustomField], name: str) -> CustomField:
        found = fields.get(field_key(name))
        if found is None:
            known = ", ".join(sorted({field.field_name for field in fields.values()})) or "none"
            raise InvalidRequest(f"the list has no custom field {name!r} to map to; it has: {known}")
        return found

    def _audience_field(self, field: CustomField | None, setup: ListSetup) -> str:
        if field is None:
            return self._client.create_custom_field(
                self._list_id, setup.field_name, MANY, setup.labels, visible_in_preference_center=False
            )
        if field.data_type != MANY:
            raise InvalidRequest(
                f"the list's field {field.field_name!r} is {field.data_type}; the audiences need a {MANY} "
                "field: give the export another field_name"
            )
        missing = [label for label in setup.labels if label not in field.field_options]
        if missing:
            self._client.update_options(self._list_id, field.key, missing, keep_existing=True)
        return field.key

    def _segments(self, key: str, labels: Sequence[str]) -> None:
        titles = {segment.title for segment in self._client.list_segments(self._list_id)}
        for label in labels:
            if label not in titles:
                rule = SegmentRule(rule_type=key, clause=f"EQUALS {label}")
                try:
                    self._client.create_segment(self._list_id, label, [RuleGroup(rules=(rule,))])
                except AlreadyExists:
                    continue  # made since the titles were read

    def _as_import_row(self, prepared: Prepared, row: Row) -> ImportRow:
        """Values that hold and values that are cleared: right whether an import replaces or appends."""
        key = prepared.field_key
        values = [FieldValue(key=key, value=label) for label in row.options]
        values += [FieldValue(key=key, value=label, clear=True) for label in row.cleared]
        for field, value in row.values:
            texts = (value,) if isinstance(value, str) else value
            values += [FieldValue(key=field, value=text) for text in texts]
        return ImportRow(
            email_address=row.email,
            consent_to_track=self._consent,
            name=row.name,
            custom_fields=tuple(values),
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
        word = row_outcome(failure.code)
        kind = OutcomeKind.LATER if word == "too_fast" else OutcomeKind.REFUSED
        outcomes.append(Outcome(row.key, kind, refusal_code(failure.code), failure.message))
    return outcomes
