"""Calls about segments."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import NamedSegment, RuleGroup, Segment
from .caller import Caller


class SegmentCalls(Caller):
    """Segments of a list."""

    def list_segments(self, list_id: str) -> tuple[NamedSegment, ...]:
        """The segments of a list."""
        return self._value("GET /lists/{list}/segments", tuple[NamedSegment, ...], list_id)

    def segment(self, segment_id: str) -> Segment:
        """A segment with its rules and the number of people in it."""
        return self._value("GET /segments/{segment}", Segment, segment_id)

    def create_segment(self, list_id: str, title: str, rule_groups: Sequence[RuleGroup]) -> str:
        """Create a segment of the people for whom every group has a rule that holds; return its id.

        Raises `AlreadyExists` for a title that the list has, `SegmentLimitReached`, and
        `InvalidRequest` (277) with the API's `result_data` for rules that it can't read.
        """
        body = {"Title": title, "RuleGroups": rule_groups}
        return self._value("POST /segments/{list}", str, list_id, body=body)

    def update_segment(self, segment_id: str, title: str, rule_groups: Sequence[RuleGroup]) -> None:
        """Give a segment a title and these rules in place of those it has. Raises as `create_segment`."""
        body = {"Title": title, "RuleGroups": rule_groups}
        self._command("PUT /segments/{segment}", segment_id, body=body)

    def delete_segment(self, segment_id: str) -> None:
        """Delete a segment. Raises `InvalidRequest` (272) when a draft of a campaign uses it."""
        self._command("DELETE /segments/{segment}", segment_id)
