"""What people write, validated by marshmallow: the HTTP API's documents come from the same schemas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import available_timezones

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates, validates_schema

from listbridge.audiences import SLUG_RULE, is_slug
from listbridge.workflows.models import REPORT_NAMES, Brakes, ExportConfig, ImportConfig, QuietHours
from listbridge.workflows.options import (
    CONSENTS,
    FIELD_NAME_MAX,
    PROFILE_FIELD,
    Mappings,
    Templates,
    check_options,
    region,
)

ID = validate.Regexp(r"^[0-9A-Za-z_-]{1,64}\Z", error="an id has 1 to 64 letters, digits, _ or -")
OPTION_MAX = 250
_CLOCK = validate.Regexp(r"^([01]\d|2[0-3]):[0-5]\d\Z", error="a time of day is written HH:MM, as 21:30")


def slug(value: str) -> None:
    """An audience's name."""
    if not is_slug(value):
        raise ValidationError(f"an audience is named by {SLUG_RULE}")


def label(value: str) -> None:
    """An option's text."""
    if not value.strip() or len(value) > OPTION_MAX or not value.isprintable():
        raise ValidationError(f"a label has 1 to {OPTION_MAX} printable characters")


def _zone_name(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(f"{value!r} is not a time zone; one is named as Europe/Berlin")


def _day(value: str) -> None:
    try:
        fits = date.fromisoformat(value).isoformat() == value
    except ValueError:
        fits = False
    if not fits:
        raise ValidationError(f"{value!r} is not a day; one is written YYYY-MM-DD, as 2026-01-31")


def _share() -> fields.Float:
    return fields.Float(
        allow_none=True,
        validate=validate.Range(
            min=0, min_inclusive=False, max=1, error="a share lies above 0 and is at most 1 (null: no brake)"
        ),
    )


class BrakesSchema(Schema):
    """Shares of the list in an hour."""

    leaving = _share()
    unsubscribed = _share()
    refused = _share()
    least_people = fields.Integer(strict=True, validate=validate.Range(min=1, max=100_000_000))

    @post_load
    def _made(self, data: dict[str, Any], **_: Any) -> Brakes:
        return Brakes(**data)


class QuietHoursSchema(Schema):
    """A daily window."""

    zone = fields.String(required=True, metadata={"description": "An IANA name, as Europe/Berlin."})
    start = fields.String(required=True, validate=_CLOCK)
    end = fields.String(required=True, validate=_CLOCK)

    @validates("zone")
    def _zone(self, value: str, **_: Any) -> None:
        _zone_name(value)

    @validates_schema
    def _window(self, data: dict[str, Any], **_: Any) -> None:
        if data["start"] == data["end"]:
            raise ValidationError({"end": ["the window is empty: it ends when it starts"]})

    @post_load
    def _made(self, data: dict[str, Any], **_: Any) -> QuietHours:
        return QuietHours(**data)


class ExportConfigSchema(Schema):
    """The settings of an export."""

    client_id = fields.String(required=True, validate=ID)
    list_id = fields.String(required=True, validate=ID)
    audiences = fields.List(
        fields.String(validate=slug),
        required=True,
        validate=validate.Length(min=1, max=500),
        metadata={"description": "Slugs of the audiences; the list's field gets an option for each."},
    )
    labels = fields.Dict(
        keys=fields.String(validate=slug),
        values=fields.String(validate=label),
        load_default=dict,
        metadata={"description": "Slug -> the option's text in the list; the slug itself where not given."},
    )
    field_name = fields.String(
        load_default="Lytics Audiences",
        validate=validate.Length(
            min=1, max=FIELD_NAME_MAX, error=f"a field name has 1 to {FIELD_NAME_MAX} characters"
        ),
    )
    segments = fields.Boolean(load_default=True)
    existing_users = fields.Boolean(
        load_default=False,
        metadata={"description": "Also deliver those who were in the audience before the start."},
    )
    resubscribe = fields.String(
        load_default="never",
        validate=validate.OneOf(["never", "when_opted_in_later", "always"]),
        metadata={
            "description": "Who opted out is added again: never, after a later opt-in, or by entering an "
            "audience (`always`, which waits until the number of people is confirmed)."
        },
    )
    queue_autoresponders = fields.Boolean(load_default=False)
    queue_autoresponders_on_backfill = fields.Boolean(load_default=False)
    restart_autoresponders = fields.Boolean(
        load_default=False,
        metadata={"description": "For who is resubscribed: subscription-date automations start anew."},
    )
    mode = fields.String(
        load_default="upsert",
        validate=validate.OneOf(["upsert", "update_only", "add_only"]),
        metadata={"description": "Add and update people, only update those in the list, or only add others."},
    )
    on_exit = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(["update_field", "unsubscribe", "nothing"]),
        metadata={
            "description": "For who leaves an audience. Default: `update_field`, with `add_only` `nothing`."
        },
    )
    unsubscribe_from_all_lists = fields.Boolean(
        load_default=False,
        metadata={"description": "Unsubscribe also where that takes people off all lists of the client."},
    )
    opt_out_scope = fields.String(
        load_default="list",
        validate=validate.OneOf(["list", "client"]),
        metadata={
            "description": "`client`: who unsubscribes from any list of the client is unsubscribed here too."
        },
    )
    email_field = fields.String(load_default="email", validate=PROFILE_FIELD)
    name_field = fields.String(load_default=None, allow_none=True, validate=PROFILE_FIELD)
    field_mappings = Mappings(load_default=dict)
    templates = Templates(load_default=dict)
    create_fields = fields.Boolean(
        load_default=False, metadata={"description": "Make mapped custom fields that the list lacks."}
    )
    consent_to_track = fields.String(
        required=True,
        validate=CONSENTS,
        error_messages={
            "required": "say Yes, No or Unchanged: there is no default, because Unchanged means consent for "
            "a new address"
        },
        metadata={
            "description": "Sent with each row whose `consent_to_track_field` says nothing. `Unchanged` "
            "means consent for a new address."
        },
    )
    consent_to_track_field = fields.String(load_default=None, allow_none=True, validate=PROFILE_FIELD)
    mobile_field = fields.String(load_default=None, allow_none=True, validate=PROFILE_FIELD)
    mobile_region = fields.String(
        load_default=None,
        allow_none=True,
        validate=region,
        metadata={"description": "Country (two letters) of mobile numbers without a country's prefix."},
    )
    consent_to_sms = fields.String(
        load_default=None,
        allow_none=True,
        validate=CONSENTS,
        metadata={"description": "Sent with each mobile number whose `consent_to_sms_field` says nothing."},
    )
    consent_to_sms_field = fields.String(load_default=None, allow_none=True, validate=PROFILE_FIELD)
    opted_in_field = fields.String(
        load_default="opted_in_at",
        validate=PROFILE_FIELD,
        metadata={"description": "The profile field or attribute with the time of the last opt-in."},
    )
    opt_out_feed_minutes = fields.Integer(
        load_default=1440,
        strict=True,
        validate=validate.Range(min=1, max=525_600),
        metadata={
            "description": "Nobody is resubscribed when the last webhook or reading of the list's states is "
            "older."
        },
    )
    brakes = fields.Nested(
        BrakesSchema,
        load_default=Brakes,
        metadata={"description": "When the export pauses itself until somebody acknowledges why."},
    )
    max_new_subscribers = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1, max=100_000_000),
        metadata={"description": "The most people that are added to the list in 24 hours; null: any number."},
    )
    quiet_hours = fields.Nested(
        QuietHoursSchema,
        load_default=None,
        allow_none=True,
        metadata={"description": "When nothing is delivered; what comes in is kept for afterwards."},
    )
    reconcile_every = fields.Integer(
        load_default=24,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1, max=8760),
        metadata={"description": "Hours between checks of the list against what it was told; null: none."},
    )
    drift = fields.String(
        load_default="report",
        validate=validate.OneOf(["report", "repair"]),
        metadata={"description": "What such a check does about rows that others changed."},
    )

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: Any) -> None:
        strangers = sorted(set(data["labels"]) - set(data["audiences"]))
        if strangers:
            raise ValidationError({"labels": [f"{', '.join(strangers)}: not among the audiences"]})
        shown = [data["labels"].get(each, each) for each in data["audiences"]]
        if len(set(shown)) != len(shown):
            raise ValidationError({"audiences": ["each audience needs a label of its own, once"]})
        if wrong := check_options(data):
            raise ValidationError(wrong)


class ImportConfigSchema(Schema):
    """The settings of an import."""

    client_id = fields.String(required=True, validate=ID)
    lists = fields.List(
        fields.String(validate=ID),
        load_default=list,
        metadata={"description": "Ids of the lists; none means all of the client's."},
    )
    reports = fields.List(
        fields.String(validate=validate.OneOf(REPORT_NAMES)),
        load_default=lambda: list(REPORT_NAMES),
        metadata={"description": "The reports of campaigns and automated e-mails that are read."},
    )
    since = fields.String(
        load_default=None,
        allow_none=True,
        validate=_day,
        metadata={"format": "date", "description": "Campaigns that were sent before are left out."},
    )
    newest_first = fields.Boolean(
        load_default=False, metadata={"description": "Read the newest campaigns first, not the oldest."}
    )
    ip_and_coordinates = fields.Boolean(
        load_default=False,
        metadata={"description": "Keep each opener's IP address, latitude and longitude in the events."},
    )
    keep_updated = fields.Boolean(load_default=False)
    every_minutes = fields.Integer(load_default=60, validate=validate.Range(min=1, max=10_080), strict=True)
    daily_at = fields.String(
        load_default=None,
        allow_none=True,
        validate=_CLOCK,
        metadata={"description": "With `keep_updated`: run once a day at this time, HH:MM."},
    )
    daily_zone = fields.String(
        load_default="UTC",
        validate=_zone_name,
        metadata={"description": "Whose clocks `daily_at` goes by: an IANA name, as Europe/Berlin."},
    )
    webhooks = fields.Boolean(load_default=True)

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: Any) -> None:
        if data["daily_at"] is not None and not data["keep_updated"]:
            raise ValidationError({"daily_at": ["only with keep_updated"]})


class AuthorizationSchema(Schema):
    """A credential of an account."""

    description = fields.String(required=True, validate=validate.Length(min=1, max=200))
    api_key = fields.String(required=True, validate=validate.Length(min=1, max=500), load_only=True)
    base_url = fields.Url(
        schemes={"http", "https"},
        require_tld=False,
        load_default=None,
        allow_none=True,
        metadata={"description": "Only for another API address than LISTBRIDGE_API_BASE_URL."},
    )


def load_export(data: Mapping[str, Any]) -> ExportConfig:
    """Raises `marshmallow.ValidationError` with what is wrong, by field."""
    values = ExportConfigSchema().load(data)
    labels = values.pop("labels")
    values["audiences"] = {each: labels.get(each, each) for each in values["audiences"]}
    nothing = values["mode"] == "add_only"
    values["on_exit"] = values["on_exit"] or ("nothing" if nothing else "update_field")
    return ExportConfig(**values)


def load_import(data: Mapping[str, Any]) -> ImportConfig:
    """Raises `marshmallow.ValidationError` with what is wrong, by field."""
    return ImportConfig(**ImportConfigSchema().load(data))
