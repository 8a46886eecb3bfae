"""What a list offers to an export, and what of it is missing: read by a start and by a plan alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Final, cast

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.custom_fields import DataType, field_key
from listbridge.campaign_monitor.errors import InvalidRequest
from listbridge.campaign_monitor.models import CustomField, NamedSegment, RuleGroup, SegmentRule
from listbridge.exports.protocol import ListSetup, MappedField, Prepared

ONE: Final = "MultiSelectOne"
MANY: Final = "MultiSelectMany"
TEXT: Final = "Text"
ALL_LISTS: Final = "AllClientLists"
"""The unsubscribe setting by which who leaves one list leaves all of the client's."""
EQUALS: Final = "EQUALS"
GENERATED: Final = ("Country", "USState")
"""Their options are made by the service."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The list's audience field (None: missing) and mapped fields by given name; what is to be added.

    `missing_fields` are mapped fields to be made, `lacking` options to be added to mapped ones by key.
    `strange` are segments that have a label's title and another rule.
    """

    field: CustomField | None
    mapped: Mapping[str, CustomField]
    missing_options: tuple[str, ...]
    missing_segments: tuple[str, ...]
    strange: tuple[str, ...]
    calls: int
    """How many calls it took to find out."""
    missing_fields: tuple[MappedField, ...] = ()
    lacking: Mapping[str, tuple[str, ...]] = dataclass_field(default_factory=dict)
    many: tuple[str, ...] = ()
    """The keys of all fields of many options."""
    verb: str = EQUALS

    def to_make(self) -> dict[str, CustomField]:
        """The missing fields by name, as they would be."""
        return {
            each.name: CustomField(each.name, key_of_new_field(each.name), each.type or TEXT, each.options)
            for each in self.missing_fields
        }

    def prepared(self, key: str, made: Mapping[str, CustomField] | None = None) -> Prepared:
        """What an export works with once the field has this key; `made` are fields by name that were
        missing."""
        mapped = {**self.mapped, **(made if made is not None else self.to_make())}
        fields = mapped.values()
        return Prepared(
            key,
            {name: field.key for name, field in mapped.items()},
            {field.key: field.data_type for field in fields},
            {
                field.key: (*field.field_options, *self.lacking.get(field.key, ()))
                for field in fields
                if _chooses(field)
            },
            self.field is not None,
            tuple(
                f"the segment {title!r} was there and has other rules than {key} {self.verb} {title}: it is "
                "left as it is"
                for title in self.strange
            ),
        )


def look(client: CampaignMonitor, list_id: str, setup: ListSetup, *, verb: str = EQUALS) -> Offer:
    """Read the list's fields and segments: two calls, and one for each segment not looked at before.

    `verb` is the one of segment rules that finds everybody who has an option.

    Raises `InvalidRequest` when a mapped field is missing and not to be made, or a field has another type
    than the export needs.
    """
    fields = client.custom_fields(list_id)
    mapped = {each.name: found for each in setup.mapped_fields if (found := _existing(fields, each))}
    field = named(fields, setup.field_name)
    if field is not None and field.data_type != MANY:
        raise InvalidRequest(
            f"the list's field {field.field_name!r} is {field.data_type}; the audiences need a {MANY} "
            "field: give the export another field_name, or delete that field and resume"
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
        _strange(client, unknown, field, verb),
        calls=1 + setup.segments + (len(unknown) if field else 0),
        missing_fields=tuple(each for each in setup.mapped_fields if each.name not in mapped),
        lacking=_lacking(setup.mapped_fields, mapped),
        many=tuple(each.key for each in fields if each.data_type == MANY),
        verb=verb,
    )


def create_mapped(client: CampaignMonitor, list_id: str, offer: Offer) -> dict[str, CustomField]:
    """Make the mapped fields that are missing, with their options; -> those fields by name."""
    made = {}
    for name, field in offer.to_make().items():
        kind = cast(DataType, field.data_type)
        key = client.create_custom_field(list_id, name, kind, field.field_options)
        made[name] = CustomField(name, key, kind, field.field_options)
    if any(field.data_type in GENERATED for field in made.values()):
        by_key = {field.key: field for field in client.custom_fields(list_id)}
        made = {name: by_key.get(field.key, field) for name, field in made.items()}
    for key, options in offer.lacking.items():
        client.update_options(list_id, key, options, keep_existing=True)
    return made


def offers(fields: Sequence[CustomField], prepared: Prepared, labels: Sequence[str]) -> bool:
    """Do a list's fields have everything that was prepared?"""
    by_key = {field.key: field for field in fields}
    audience = by_key.get(prepared.field_key)
    if audience is None or audience.data_type != MANY or not {*labels} <= {*audience.field_options}:
        return False
    kinds = {key: field.data_type for key, field in by_key.items()}
    return all(kinds.get(key) == kind for key, kind in prepared.kinds.items()) and all(
        {*options} <= {*by_key[key].field_options} for key, options in prepared.choices.items()
    )


def key_of_new_field(name: str) -> str:
    """The key that a new field gets: its name without spaces, in brackets (fact sheet, 3.2)."""
    return f"[{name.replace(' ', '')}]"


def rules(key: str, label: str, verb: str = EQUALS) -> tuple[RuleGroup, ...]:
    """The rules of a label's segment."""
    return (RuleGroup(rules=(SegmentRule(rule_type=key, clause=f"{verb} {label}"),)),)


def named(fields: Sequence[CustomField], name: str) -> CustomField | None:
    """The field of that key or name; a name goes before a key."""
    by_key = {field_key(field.key): field for field in fields}
    by_name = {field_key(field.field_name): field for field in fields}
    return (by_key | by_name).get(field_key(name))


def _existing(fields: Sequence[CustomField], wanted: MappedField) -> CustomField | None:
    """The mapped field, or None when it is to be made."""
    found = named(fields, wanted.name)
    if found is None and not wanted.create:
        known = ", ".join(sorted({field.field_name for field in fields})) or "none"
        raise InvalidRequest(
            f"the list has no custom field {wanted.name!r} to map to; it has: {known}. Make it in Campaign "
            "Monitor and resume the export, or make an export with create_fields"
        )
    if found is not None and wanted.type and found.data_type != wanted.type:
        raise InvalidRequest(
            f"the list's field {found.field_name!r} is {found.data_type}; the export maps it as "
            f"{wanted.type}: map to another field, or make this one anew as {wanted.type} and resume"
        )
    return found


def _lacking(wanted: Sequence[MappedField], found: Mapping[str, CustomField]) -> dict[str, tuple[str, ...]]:
    """The options that existing fields lack, by key."""
    lacking = {}
    for each in wanted:
        if each.create and each.name in found:
            options = found[each.name].field_options
            lacking[found[each.name].key] = tuple(text for text in each.options if text not in options)
    return {key: options for key, options in lacking.items() if options}


def _chooses(field: CustomField) -> bool:
    return field.data_type in (ONE, MANY) or (field.data_type in GENERATED and bool(field.field_options))


def _strange(
    client: CampaignMonitor, segments: Sequence[NamedSegment], field: CustomField | None, verb: str
) -> tuple[str, ...]:
    """The titles of segments that are not about the field's option of that name."""
    return tuple(
        each.title
        for each in segments
        if field is None or not _is_of(field, each.title, client.segment(each.segment_id).rule_groups, verb)
    )


def _is_of(field: CustomField, label: str, groups: Sequence[RuleGroup], wanted: str) -> bool:
    """Is this the one rule? The field may be written by key or by name, the verb in any case."""
    found = [rule for group in groups for rule in group.rules]
    if len(groups) != 1 or len(found) != 1:
        return False
    verb, _, operand = found[0].clause.partition(" ")
    names = {field_key(field.key), field_key(field.field_name)}
    return field_key(found[0].rule_type) in names and verb.upper() == wanted and operand == label
