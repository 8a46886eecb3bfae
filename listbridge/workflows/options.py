"""The options of an export whose form is more than a word or a switch, and how they go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import phonenumbers
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from listbridge.exports.values import template_fields
from listbridge.workflows.models import Consent, FieldMapping, FieldType

FIELD_NAME_MAX = 100
OPTION_MAX = 250
PROFILE_FIELD = validate.Length(min=1, max=200)
CONSENTS = validate.OneOf(get_args(Consent))
CHOOSING = ("MultiSelectOne", "MultiSelectMany")
_FIELD_NAME = validate.Length(
    min=1, max=FIELD_NAME_MAX, error=f"a field name has 1 to {FIELD_NAME_MAX} characters"
)
_OPTION = validate.Length(min=1, max=OPTION_MAX, error=f"an option has 1 to {OPTION_MAX} characters")


def region(code: str) -> None:
    """A country as phone numbers know it."""
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValidationError(f"{code!r} is no country; write two capital letters, such as SE")


def _template(text: str) -> None:
    try:
        template_fields(text)
    except ValueError as problem:
        raise ValidationError(f"the template is wrong: {problem}") from None


class _Rules(Schema):
    type = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(get_args(FieldType)))
    options = fields.List(
        fields.String(validate=_OPTION),
        load_default=list,
        metadata={"description": "For `create_fields`: the options of a MultiSelect field."},
    )
    when_null = fields.String(load_default="skip", validate=validate.OneOf(["skip", "clear", "set_if_empty"]))

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: Any) -> None:
        if data["options"] and data["type"] not in CHOOSING:
            raise ValidationError({"options": [f"only for the types {' and '.join(CHOOSING)}"]})


class FieldMappingSchema(_Rules):
    """A custom field that gets a profile field's value."""

    field = fields.String(required=True, validate=_FIELD_NAME)


class TemplateSchema(_Rules):
    """A text for a custom field; `{name}` stands for a profile field's value."""

    template = fields.String(required=True, validate=[validate.Length(min=1, max=1000), _template])


class _ByName(fields.Field[dict[str, Any]]):
    """An object whose values are each a text, or an object of `schema`."""

    schema: ClassVar[type[Schema]]
    name_rule: ClassVar[validate.Validator]
    text_rules: ClassVar[tuple[Any, ...]]

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002 - the library's signature
        if not isinstance(value, Mapping):
            raise ValidationError("Not a valid mapping type.")
        loaded, wrong = {}, {}
        for name, each in value.items():
            try:
                self.name_rule(name)
                loaded[name] = self._loaded(each)
            except ValidationError as problem:
                wrong[name] = problem.messages
        if wrong:
            raise ValidationError(wrong)
        return loaded

    def _loaded(self, value: Any) -> str | FieldMapping:
        if isinstance(value, str):
            for rule in self.text_rules:
                rule(value)
            return value
        if not isinstance(value, Mapping):
            raise ValidationError("neither a text nor an object")
        found = self.schema().load(value)
        return FieldMapping(**found | {"options": tuple(found["options"])})


class Mappings(_ByName):
    """Profile field -> custom field, by its name or as a `FieldMappingSchema`."""

    schema, name_rule, text_rules = FieldMappingSchema, PROFILE_FIELD, (_FIELD_NAME,)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata=_described("Profile field -> custom field of the list.", "field"), **kwargs)


class Templates(_ByName):
    """Custom field -> text, or a `TemplateSchema`."""

    schema, name_rule = TemplateSchema, _FIELD_NAME
    text_rules = (validate.Length(min=1, max=1000), _template)

    def __init__(self, **kwargs: Any) -> None:
        words = "Custom field -> text; `{name}` in it stands for a profile field's value."
        super().__init__(metadata=_described(words, "template"), **kwargs)


def _described(words: str, name: str) -> dict[str, Any]:
    """What the OpenAPI document says of such an object."""
    text = {"type": "string"}
    rules = {
        name: text,
        "type": {"type": ["string", "null"], "enum": [*get_args(FieldType), None]},
        "options": {"type": "array", "items": text},
        "when_null": {"type": "string", "enum": ["skip", "clear", "set_if_empty"], "default": "skip"},
    }
    rich = {"type": "object", "required": [name], "properties": rules, "additionalProperties": False}
    return {"description": words, "type": "object", "additionalProperties": {"oneOf": [text, rich]}}


def check_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong with options that are right by themselves, by their path."""
    wrong: dict[str, Any] = _mapped_wrongly(data)
    if data["mode"] == "add_only" and data["on_exit"] not in (None, "nothing"):
        wrong["on_exit"] = ["add_only changes nobody who is in the list: on_exit is nothing"]
    if data["mode"] == "add_only" and data["opt_out_scope"] == "client":
        wrong["opt_out_scope"] = ["add_only changes nobody who is in the list: opt_out_scope is list"]
    unsubscribes = data["on_exit"] == "unsubscribe" or data["opt_out_scope"] == "client"
    if data["unsubscribe_from_all_lists"] and not unsubscribes:
        wrong["unsubscribe_from_all_lists"] = ["only with on_exit unsubscribe or opt_out_scope client"]
    if data["restart_autoresponders"] and data["resubscribe"] == "never":
        wrong["restart_autoresponders"] = ["only for who is resubscribed: set resubscribe too"]
    if data["mode"] == "update_only" and data["queue_autoresponders"]:
        wrong["queue_autoresponders"] = ["update_only adds nobody for whom automations could start"]
    if data["queue_autoresponders_on_backfill"] and not data["queue_autoresponders"]:
        wrong["queue_autoresponders_on_backfill"] = ["only with queue_autoresponders"]
    for name in ("mobile_region", "consent_to_sms", "consent_to_sms_field"):
        if data[name] is not None and data["mobile_field"] is None:
            wrong[name] = ["only with mobile_field"]
    return wrong


def _mapped_wrongly(data: Mapping[str, Any]) -> dict[str, Any]:
    """A field that is written twice, or can't be made or left alone."""
    places = [
        ("field_mappings", source, _target(each), each) for source, each in data["field_mappings"].items()
    ]
    places += [("templates", name, name, each) for name, each in data["templates"].items()]
    times = Counter(_folded(field) for _, _, field, _ in places)
    times[_folded(data["field_name"])] += 1
    wrong: dict[str, Any] = {}
    for option, name, field, each in places:
        rules = each if isinstance(each, FieldMapping) else FieldMapping(field=field)
        fault = {}
        if times[_folded(field)] > 1:
            fault["field"] = [f"{field!r} is written twice; each custom field once"]
        if data["create_fields"] and rules.type in CHOOSING and not rules.options:
            fault["options"] = [f"a {rules.type} field is made with its options"]
        if rules.when_null == "set_if_empty" and data["email_field"] != "email":
            fault["when_null"] = ["set_if_empty recognises people in the list by email_field email"]
        if fault:
            flat = not isinstance(each, FieldMapping)
            wrong.setdefault(option, {})[name] = next(iter(fault.values())) if flat else fault
    return wrong


def _target(each: str | FieldMapping) -> str:
    return each if isinstance(each, str) else each.field


def _folded(name: str) -> str:
    return "".join(name.translate(str.maketrans("", "", "[]")).split()).casefold()
