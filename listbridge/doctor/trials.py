"""Writes in a scratch list and readings of what became of them.

Every write of a person carries a name of its own, and a reading waits until it shows that name: so "nothing
has changed" is never mistaken for "not visible yet".
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from listbridge.campaign_monitor import (
    CampaignMonitor,
    DataType,
    FieldValue,
    ImportResult,
    ImportRow,
    RowRefused,
    RuleGroup,
    SegmentRule,
    Subscriber,
    field_key,
)
from listbridge.campaign_monitor.codes import INVALID_RULES
from listbridge.campaign_monitor.errors import AddressTooFast, AlreadyExists, InvalidRequest
from listbridge.doctor.findings import patiently
from listbridge.doctor.scratch import Scratch

MANY_FIELD, TEXT_FIELD = "Doctor options", "Doctor text"
A, B, C = "alpha", "beta", "gamma"
TOO_FAST = 429


class Unclear(Exception):
    """A question has no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, until a write must show, a segment must be counted, and an address that was
    written too often may be written again."""

    shows: float = 30.0
    counted: float = 60.0
    rests: float = 60.0
    poll: float = 0.5


@dataclass
class Trials:
    """Tries things in one scratch list."""

    scratch: Scratch
    patience: Patience = Patience()
    many: str = ""
    text: str = ""
    _markers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def api(self) -> CampaignMonitor:
        return self.scratch.api

    @property
    def list_id(self) -> str:
        return self.scratch.list_id

    def set_up(self) -> None:
        """Make the fields."""
        self.many = patiently(lambda: self._field(MANY_FIELD, "MultiSelectMany", (A, B, C)))
        self.text = patiently(lambda: self._field(TEXT_FIELD, "Text"))

    def _field(self, name: str, kind: DataType, options: Sequence[str] = ()) -> str:
        try:
            return self.api.create_custom_field(self.list_id, name, kind, options)
        except AlreadyExists:  # a call before was applied and its answer lost
            held = self.api.custom_fields(self.list_id)
            return next(each.key for each in held if each.field_name == name)

    def options(self, *values: str, clear: Sequence[str] = ()) -> tuple[FieldValue, ...]:
        """Entries of the field of many options."""
        held = tuple(FieldValue(key=self.many, value=each) for each in values)
        return (*held, *(FieldValue(key=self.many, value=each, clear=True) for each in clear))

    def row(self, address: str, *values: FieldValue) -> ImportRow:
        """A row with a name that no row had before."""
        name = f"marker {next(self._markers)}"
        return ImportRow(email_address=address, consent_to_track="No", name=name, custom_fields=values)

    def imported(self, *rows: ImportRow, resubscribe: bool = False) -> ImportResult:
        """Import rows; what is refused as too fast is sent again later."""
        end = time.monotonic() + self.patience.rests
        while True:
            result = patiently(
                lambda: self.api.import_subscribers(self.list_id, rows, resubscribe=resubscribe)
            )
            if not any(each.code == TOO_FAST for each in result.failure_details):
                return result
            self._rest(end)

    def wrote(self, address: str, *values: FieldValue) -> Subscriber:
        """Import one person; -> them, once they show it. Raises `Unclear` when the row is refused."""
        row = self.row(address, *values)
        result = self.imported(row)
        if result.failure_details:
            failure = result.failure_details[0]
            raise Unclear(f"the row was refused with code {failure.code} ({failure.message})")
        return self.shown(row)

    def updated(self, address: str, *values: FieldValue) -> Subscriber:
        """Update one person; -> them, once they show it. Raises `Unclear` when the row is refused."""
        row = self.row(address, *values)
        end = time.monotonic() + self.patience.rests
        while True:
            try:
                patiently(lambda: self.api.update_subscriber(self.list_id, address, row))
                return self.shown(row)
            except AddressTooFast:
                self._rest(end)
            except RowRefused as problem:
                raise Unclear(f"the update was refused: {problem}") from problem

    def _rest(self, end: float) -> None:
        if time.monotonic() > end:
            raise Unclear("the address was refused as written too many times too quickly")
        time.sleep(min(self.patience.rests / 10, 5.0))

    def shown(self, *rows: ImportRow) -> Subscriber:
        """The person of these rows, all of one address, once they show the name of one. Raises `Unclear`."""
        names = {row.name for row in rows}
        return self.until(rows[0].email_address, lambda found: found.name in names, "what was written")

    def left(self, address: str, state: str) -> None:
        """Wait until the person shows a state (lower case). Raises `Unclear`."""
        self.until(address, lambda found: found.state.lower() == state, f"the state {state}")

    def until(self, address: str, holds: Callable[[Subscriber], bool], what: str) -> Subscriber:
        """The person, once something holds of them. Raises `Unclear`."""
        end = time.monotonic() + self.patience.shows
        while True:
            found = self.read(address)
            if found is not None and holds(found):
                return found
            if time.monotonic() > end:
                raise Unclear(f"{what} did not show within {self.patience.shows:g} s")
            time.sleep(self.patience.poll)

    def read(self, address: str) -> Subscriber | None:
        return patiently(lambda: self.api.subscriber(self.list_id, address))

    def chosen(self, person: Subscriber) -> set[str]:
        """The options that a person holds, however the reading spells the key."""
        known = {field_key(self.many), field_key(MANY_FIELD)}
        return {each.value or "" for each in person.custom_fields if field_key(each.key) in known} - {""}

    def written(self, person: Subscriber) -> str:
        """The person's text field; empty for none."""
        known = {field_key(self.text), field_key(TEXT_FIELD)}
        return next((each.value or "" for each in person.custom_fields if field_key(each.key) in known), "")

    def refused_or_shown(self, row: ImportRow, *, resubscribe: bool = False) -> Subscriber | int:
        """The code by which an import refuses a row, or the person as they show it."""
        failures = self.imported(row, resubscribe=resubscribe).failure_details
        return failures[0].code if failures else self.shown(row)

    def segment(self, title: str, clause: str) -> str:
        """A segment with one rule on the options. Raises `InvalidRequest` for a rule that the API refuses."""
        rules = (RuleGroup(rules=(SegmentRule(rule_type=self.many, clause=clause),)),)
        return patiently(lambda: self._segment(title, rules))

    def _segment(self, title: str, rules: tuple[RuleGroup, ...]) -> str:
        try:
            return self.api.create_segment(self.list_id, title, rules)
        except AlreadyExists:  # a call before was applied and its answer lost
            held = self.api.list_segments(self.list_id)
            return next(each.segment_id for each in held if each.title == title)

    def takes(self, verb: str) -> bool:
        """Does the API take a rule with this verb?"""
        operand = "" if verb in ("PROVIDED", "NOT_PROVIDED") else f" {A}"
        try:
            self.segment(f"takes {verb}", f"{verb}{operand}")
        except InvalidRequest as problem:
            if problem.code == INVALID_RULES:
                return False
            raise
        return True

    def counted(self, segment_id: str) -> int:
        """How many a segment counts, once that is more than none and twice the same. Raises `Unclear`."""
        end, before = time.monotonic() + self.patience.counted, 0
        while True:
            now = patiently(lambda: self.api.segment(segment_id)).active_subscribers
            if now and now == before:
                return now
            if time.monotonic() > end:
                raise Unclear(f"no segment was counted within {self.patience.counted:g} s")
            before = now
            time.sleep(self.patience.poll)
