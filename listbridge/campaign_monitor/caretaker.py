"""Clears up what exports made in a Campaign Monitor list: the field, its options, segments.

Replacing the options of a field also removes every segment rule on it, and so does deleting the field
(documentation of "update custom field options" and "delete a custom field"); the rules that shall stay
are read before and given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.errors import InvalidRequest, NotVisible
from listbridge.campaign_monitor.models import CustomField, Segment
from listbridge.campaign_monitor.readings import ASKED, OPTION_VERB
from listbridge.errors import Skippable
from listbridge.exports.protocol import Leftovers

VERBS = ASKED[OPTION_VERB].fine
"""By which a segment may ask for an option, as was known of the service when it was made."""

_decode = msgspec.json.Decoder(Segment).decode


class CampaignMonitorCaretaker:
    """One list's."""

    def __init__(self, client: CampaignMonitor, list_id: str) -> None:
        self._client = client
        self._list_id = list_id

    def leftovers(self, field_name: str, labels: Sequence[str]) -> Leftovers:
        """What there is of these labels. A segment is ours when its title is a label and its only rule asks
        for that option."""
        found = self._field(field_name)
        if found is None:
            return Leftovers(field_name)
        ours, ruled = {}, []
        for segment in self._ruled(found.key):
            if segment.title in labels and _asks_only(segment, segment.title):
                ours[segment.title] = segment.segment_id
            else:
                ruled.append(segment.title)
        return Leftovers(
            field_name,
            found.key,
            tuple(label for label in labels if label in found.field_options),
            tuple(option for option in found.field_options if option not in labels),
            dict(sorted(ours.items())),
            tuple(sorted(ruled)),
        )

    def remove_segment(self, segment_id: str) -> None:
        self._client.delete_segment(segment_id)

    def remove_field(self, key: str) -> None:
        self._client.delete_custom_field(self._list_id, key)

    def rules_on(self, key: str) -> Mapping[str, bytes]:
        return {segment.segment_id: msgspec.json.encode(segment) for segment in self._ruled(key)}

    def replace_options(self, key: str, options: Sequence[str]) -> None:
        self._client.update_options(self._list_id, key, options, keep_existing=False)

    def restore(self, segment_id: str, rules: bytes) -> None:
        held = _decode(rules)
        try:
            self._client.update_segment(segment_id, held.title, held.rule_groups)
        except NotVisible:
            return  # the segment was deleted meanwhile
        except InvalidRequest as refused:
            raise Skippable(f"{held.title!r}: {refused}") from refused

    def _field(self, name: str) -> CustomField | None:
        wanted = field_key(name)
        for each in self._client.custom_fields(self._list_id):
            if wanted in (field_key(each.field_name), field_key(each.key)):
                return each
        return None

    def _ruled(self, key: str) -> Iterable[Segment]:
        """The list's segments with a rule on the field; one call each."""
        for named in self._client.list_segments(self._list_id):
            segment = self._client.segment(named.segment_id)
            rules = [rule for group in segment.rule_groups for rule in group.rules]
            if any(field_key(rule.rule_type) == field_key(key) for rule in rules):
                yield segment


def _asks_only(segment: Segment, label: str) -> bool:
    rules = [rule for group in segment.rule_groups for rule in group.rules]
    return len(rules) == 1 and rules[0].clause in [f"{verb} {label}" for verb in VERBS]
