"""What a list offers to an export, and what of it is missing: read by a start and by a plan alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.custom_fields import field_key
from listbridge.campaign_monitor.errors import InvalidRequest
from listbridge.campaign_monitor.models import CustomField, NamedSegment, RuleGroup, SegmentRule
from listbridge.exports.protocol import ListSetup, Prepared

ONE: Final = "MultiSelectOne"
MANY: Final = "MultiSelectMany"
DATE: Final = "Date"
GENERATED: Final = ("Country", "USState")
"""Their options are made by the service."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The list's audience field (None: missing) and mapped fields by given name; what is to be added.

    `strange` are segments that have a label's title and another rule.
    """

    field: CustomField | None
    mapped: Mapping[str, CustomField]
    missing_options: tuple[str, ...]
    missing_segments: tuple[str, ...]
    strange: tuple[str, ...]
    calls: int
    """How many calls it took to find out."""

    def prepared(self, key: str) -> Prepared:
        """What an export works with once the field has this key."""
        fields = self.mapped.values()
        return Prepared(
            key,
            {name: field.key for name, field in self.mapped.items()},
            tuple(sorted({field.key for field in fields if field.data_type == DATE})),
            {field.key: field.field_options for field in fields if _chooses(field)},
            self.field is not None,
            tuple(
                f"the segment {title!r} was there and has other rules than {key} EQUALS {title}: it is left "
                "as it is"
                for title in self.strange
            ),
        )


def look(client: CampaignMonitor, list_id: str, setup: ListSetup) -> Offer:
    """Read the list's fields and segments: two calls, and one for each segment not looked at before.

    Raises `InvalidRequest` when a mapped field is missing or the audience field has another type.
    """
    fields = client.custom_fields(list_id)
    mapped = {name: _existing(fields, name) for name in setup.mapped_fields}
    field = _named(fields, setup.field_name)
    if field is not None and field.data_type != MANY:
        raise InvalidRequest(
            f"the list's field {field.field_name!r} is {field.data_type}; the audiences need a {MANY} "
            "field: give the export another field_name"
        )
    options = field.field_options if field else ()
    missing = tuple(label for label in setup.labels if label not in options)
    held = {each.title: each for each in client.list_segments(list_id)} if setup.segments else {}
    wanted = setup.labels if setup.segments else ()
    unknown = [held[label] for label in wanted if label in held and label not in setup.checked]
    return Offer(
        field,
        mapped,
        missing,
        tuple(label for label in wanted if label not in held),
        _strange(client, unknown, field),
        calls=1 + setup.segments + (len(unknown) if field else 0),
    )


def key_of_new_field(name: str) -> str:
    """The key that a new field gets: its name without spaces, in brackets (fact sheet, 3.2)."""
    return f"[{name.replace(' ', '')}]"


def rules(key: str, label: str) -> tuple[RuleGroup, ...]:
    """The rules of a label's segment."""
    return (RuleGroup(rules=(SegmentRule(rule_type=key, clause=f"EQUALS {label}"),)),)


def _named(fields: Sequence[CustomField], name: str) -> CustomField | None:
    """The field of that key or name; a name goes before a key."""
    by_key = {field_key(field.key): field for field in fields}
    by_name = {field_key(field.field_name): field for field in fields}
    return (by_key | by_name).get(field_key(name))


def _existing(fields: Sequence[CustomField], name: str) -> CustomField:
    found = _named(fields, name)
    if found is None:
        known = ", ".join(sorted({field.field_name for field in fields})) or "none"
        raise InvalidRequest(f"the list has no custom field {name!r} to map to; it has: {known}")
    return found


def _chooses(field: CustomField) -> bool:
    return field.data_type in (ONE, MANY) or (field.data_type in GENERATED and bool(field.field_options))


def _strange(
    client: CampaignMonitor, segments: Sequence[NamedSegment], field: CustomField | None
) -> tuple[str, ...]:
    """The titles of segments that are not about the field's option of that name."""
    return tuple(
        each.title
        for each in segments
        if field is None or not _is_of(field, each.title, client.segment(each.segment_id).rule_groups)
    )


def _is_of(field: CustomField, label: str, groups: Sequence[RuleGroup]) -> bool:
    """Is this the one rule? The field may be written by key or by name, the verb in any case."""
    found = [rule for group in groups for rule in group.rules]
    if len(groups) != 1 or len(found) != 1:
        return False
    verb, _, operand = found[0].clause.partition(" ")
    names = {field_key(field.key), field_key(field.field_name)}
    return field_key(found[0].rule_type) in names and verb.upper() == "EQUALS" and operand == label
