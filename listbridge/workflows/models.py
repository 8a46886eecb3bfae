"""A workflow: an export or an import, what it was told to do and how it stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

Kind = Literal["export", "import"]


class State(StrEnum):
    """How a workflow stands. A sleeping one wakes by itself; a failed one needs a person."""

    RUNNING = "running"
    SLEEPING = "sleeping"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"


ACTIVE = frozenset({State.RUNNING, State.SLEEPING})


FieldType = Literal["Text", "Number", "Date", "MultiSelectOne", "MultiSelectMany", "Country"]
Consent = Literal["Yes", "No", "Unchanged"]


class FieldMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a custom field of the list gets its values: from a profile field, or from a `template`.

    `type` is checked against the list's field, or the field is made so, with `options`. `when_null` says
    what happens where the profile has no value.
    """

    field: str = ""
    template: str = ""
    type: FieldType | None = None
    options: tuple[str, ...] = ()
    when_null: Literal["skip", "clear", "set_if_empty"] = "skip"


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A daily window by a zone's clocks, from `start` up to `end` (HH:MM); it may go over midnight."""

    zone: str
    start: str
    end: str


class Brakes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of the list at which an export pauses itself, counted over an hour; None: no such brake.

    Fewer than `least_people` never trip one.
    """

    leaving: float | None = 0.3
    unsubscribed: float | None = 0.1
    refused: float | None = 0.5
    least_people: int = 100


class ExportConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an export does; `audiences` maps each slug to the label that the list shows.

    `field_mappings` maps profile fields to custom fields, `templates` custom fields to texts; both as they
    were given, see `mapped`.
    """

    client_id: str
    list_id: str
    audiences: dict[str, str]
    field_name: str = "Lytics Audiences"
    segments: bool = True
    existing_users: bool = False
    resubscribe: Literal["never", "when_opted_in_later", "always"] = "never"
    queue_autoresponders: bool = False
    queue_autoresponders_on_backfill: bool = False
    email_field: str = "email"
    name_field: str | None = None
    field_mappings: dict[str, str | FieldMapping] = {}
    templates: dict[str, str | FieldMapping] = {}
    create_fields: bool = False
    consent_to_track: Consent
    consent_to_track_field: str | None = None
    mobile_field: str | None = None
    mobile_region: str | None = None
    consent_to_sms: Consent | None = None
    consent_to_sms_field: str | None = None
    mode: Literal["upsert", "update_only", "add_only"] = "upsert"
    on_exit: Literal["update_field", "unsubscribe", "nothing"] = "update_field"
    unsubscribe_from_all_lists: bool = False
    opt_out_scope: Literal["list", "client"] = "list"
    restart_autoresponders: bool = False
    opted_in_field: str = "opted_in_at"
    opt_out_feed_minutes: int = 1440
    brakes: Brakes = Brakes()
    max_new_subscribers: int | None = None
    quiet_hours: QuietHours | None = None
    reconcile_every: int | None = 24
    """Hours between checks of the list; None: only when somebody asks."""
    drift: Literal["report", "repair"] = "report"

    def mappings(self) -> dict[str, FieldMapping]:
        """What profile fields are mapped to, by profile field."""
        return {
            source: FieldMapping(field=each) if isinstance(each, str) else each
            for source, each in self.field_mappings.items()
        }

    def constants(self) -> list[FieldMapping]:
        """What is mapped from templates."""
        return [
            FieldMapping(field=name, template=each)
            if isinstance(each, str)
            else msgspec.structs.replace(each, field=name)
            for name, each in self.templates.items()
        ]

    def mapped(self) -> list[FieldMapping]:
        """Everything that is mapped to a custom field."""
        return [*self.mappings().values(), *self.constants()]


REPORT_NAMES = ("recipients", "opens", "clicks", "bounces", "unsubscribes", "spam")


class ImportConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an import reads; no `lists` means all of the client's.

    `since` (`YYYY-MM-DD`) leaves out campaigns that were sent before. `daily_at` (`HH:MM`, by the clocks of
    `daily_zone`) takes the place of `every_minutes`.
    """

    client_id: str
    lists: list[str] = []
    reports: list[str] = msgspec.field(default_factory=lambda: list(REPORT_NAMES))
    since: str | None = None
    newest_first: bool = False
    ip_and_coordinates: bool = False
    keep_updated: bool = False
    every_minutes: int = 60
    daily_at: str | None = None
    daily_zone: str = "UTC"
    webhooks: bool = True


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """An audience that was taken out: the names it had, newest first, and when (epoch ms)."""

    names: list[str]
    at: int


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """What was changed about a running export's audiences.

    `added`: slug -> since when it belongs to the export (epoch ms); `names`: slug -> the names it had
    before, newest first; `labels`: slug -> the labels it had before. `retired`: label -> the audience that
    had it and was taken out, as long as no other one of the export has it.
    """

    added: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    retired: dict[str, Retired] = {}


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """Times are epoch milliseconds; `reason` says why it is not running, in words for a person."""

    id: str
    kind: Kind
    authorization_id: str
    description: str
    config: ExportConfig | ImportConfig
    state: State
    reason: str = ""
    created_at: int = 0
    started_at: int = 0
    not_begun: int = 0
    """1 for what was made to wait, until it is first resumed."""
    wake_at: int = 0
    """When a sleeping workflow goes on, or a kept-updated import runs again."""
    failures: int = 0
    """Retriable problems in a row: the back-off doubles with each."""
    edits: Edits = Edits()
    waits_for: str = ""
    """What a person has to acknowledge before it goes on; see `holds`."""
    confirmed_at: int = 0
    """When a person confirmed how many an export with resubscribe `always` brings back."""
    released: dict[str, int] = {}
    """Brake -> until when it is off, because a person acknowledged it (epoch ms)."""
    canary: int = 0
    """After how many people a delivery stops until it is confirmed; 0 for never."""
    canary_since: int = 0

    def is_due(self, now: int) -> bool:
        """Running, or asleep until a time that has come (epoch ms)."""
        return self.state is State.RUNNING or (self.state is State.SLEEPING and self.wake_at <= now)

    @property
    def export(self) -> ExportConfig:
        assert isinstance(self.config, ExportConfig), "not an export"
        return self.config

    @property
    def imports(self) -> ImportConfig:
        assert isinstance(self.config, ImportConfig), "not an import"
        return self.config


BACKOFF_FIRST_MS = 2_000
BACKOFF_MAX_MS = 600_000


def backoff_ms(failures: int, retry_after_seconds: float | None) -> int:
    """How long to sleep after the n-th retriable problem in a row (n from 1)."""
    if retry_after_seconds is not None:
        return int(min(max(retry_after_seconds, 0.5), BACKOFF_MAX_MS / 1000) * 1000)
    return int(min(BACKOFF_FIRST_MS * 2 ** min(failures - 1, 20), BACKOFF_MAX_MS))
