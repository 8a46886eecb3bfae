"""What the workflow views take and answer."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from listbridge.exports.brakes import WINDOWS_MS
from listbridge.workflows.holds import RESTORED
from listbridge.workflows.log import KEPT_LINES
from listbridge.workflows.models import State
from listbridge.workflows.schemas import ID, ExportConfigSchema, ImportConfigSchema, label, slug

_CONFIGS: dict[str, type[Schema]] = {"export": ExportConfigSchema, "import": ImportConfigSchema}
_KIND = validate.OneOf(list(_CONFIGS))
_ONE_OF_CONFIGS = {
    "oneOf": [{"$ref": "#/components/schemas/ExportConfig"}, {"$ref": "#/components/schemas/ImportConfig"}]
}


class NewWorkflowSchema(Schema):
    """What to keep in step, and how."""

    kind = fields.String(required=True, validate=_KIND)
    authorization_id = fields.String(required=True, validate=ID)
    description = fields.String(load_default="", validate=validate.Length(max=200))
    paused = fields.Boolean(
        load_default=False,
        metadata={"description": "Wait until somebody resumes it; see its plan first."},
    )
    config = fields.Dict(required=True, keys=fields.String(), metadata=_ONE_OF_CONFIGS)

    @validates_schema(skip_on_field_errors=False)
    def _config(self, data: dict[str, Any], **_: Any) -> None:
        """So that the faults of the config are told together with the others."""
        if "config" in data and data.get("kind") in _CONFIGS:
            messages = _CONFIGS[data["kind"]]().validate(data["config"])
            if messages:
                raise ValidationError({"config": messages})


class WorkflowSchema(Schema):
    """A workflow: its definition, its state, its progress."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=_KIND)
    description = fields.String(required=True)
    authorization_id = fields.String(required=True)
    state = fields.Enum(State, by_value=True, required=True)
    reason = fields.String(required=True, metadata={"description": "Why it isn't running, for a person."})
    waits_for = fields.String(
        required=True,
        metadata={
            "description": "What a person has to acknowledge or confirm before it goes on: a brake's name, "
            "`canary`, `people`, or of an import `zone`; empty for nothing."
        },
    )
    how_to_go_on = fields.String(required=True, metadata={"description": "The command for that."})
    canary = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "After how many people it stops until that is confirmed."},
    )
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    wake_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "When a sleeping one goes on."},
    )
    config = fields.Raw(
        required=True,
        metadata={
            "type": "object",
            "description": "As it was given, defaults filled in; an export's audiences as slug -> label.",
        },
    )
    progress = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    standing = fields.Nested(
        lambda: StandingSchema(), metadata={"description": "Where one export alone is shown."}
    )
    run = fields.Nested(
        lambda: RunSchema(),
        allow_none=True,
        metadata={"description": "Where one import alone is shown; null before its first run."},
    )


class SumsSchema(Schema):
    """Of one kind of resource of a run, or of all."""

    resources = fields.Integer(required=True)
    done = fields.Integer(required=True)
    left_alone = fields.Integer(
        required=True, metadata={"description": "Not read, because they can't have changed."}
    )
    rows = fields.Integer(required=True)
    rows_left = fields.Integer(required=True, metadata={"description": "As far as counts tell."})
    pages = fields.Integer(required=True)
    pages_left = fields.Integer(required=True)


class ReadingSchema(Schema):
    """A resource that is being read."""

    name = fields.String(required=True)
    rows = fields.Integer(required=True)
    rows_expected = fields.Integer(required=True)
    pages = fields.Integer(required=True)


class RunSchema(Schema):
    """How far an import's run has come, or how the last one ended."""

    total = fields.Nested(SumsSchema, required=True)
    kinds = fields.Dict(keys=fields.String(), values=fields.Nested(SumsSchema), required=True)
    reading = fields.List(fields.Nested(ReadingSchema), required=True)
    rows_per_second = fields.Float(required=True, allow_none=True)
    seconds_left = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "null while not all is known that there is to read."},
    )
    set_aside = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Lists, campaigns and reports that can't be read -> why."},
    )
    next_run_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class BackfillSchema(Schema):
    """A look at everybody that is going on."""

    people = fields.Integer(required=True)
    done = fields.Integer(required=True)
    people_per_second = fields.Float(required=True)
    seconds_left = fields.Integer(required=True, allow_none=True)


class StandingSchema(Schema):
    """How the deliveries to an export's list stand, in people and seconds."""

    delivered = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    waiting = fields.Integer(required=True, metadata={"description": "Changed, and not looked at since."})
    in_doubt = fields.Integer(
        required=True, metadata={"description": "Sent, and the outcome is not known yet."}
    )
    lag_seconds = fields.Float(
        required=True, metadata={"description": "For how long the oldest change has waited."}
    )
    opt_out_lag_seconds = fields.Float(
        required=True, metadata={"description": "For how long an opt-out that reached us may have waited."}
    )
    opt_outs_read_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "When an import last read all who left the list."},
    )
    backfill = fields.Nested(BackfillSchema, required=True, allow_none=True)


class ChangeSchema(Schema):
    """A change of an export's audiences; what is not named stays as it is."""

    add_audiences = fields.List(fields.String(validate=slug), load_default=list)
    remove_audiences = fields.List(
        fields.String(validate=slug),
        load_default=list,
        metadata={"description": "Their people lose the option; the option itself stays in the list."},
    )
    rename_audiences = fields.Dict(
        keys=fields.String(validate=slug),
        values=fields.String(validate=slug),
        load_default=dict,
        metadata={"description": "Slug -> its new name, under which the events come from now on."},
    )
    labels = fields.Dict(
        keys=fields.String(validate=slug), values=fields.String(validate=label), load_default=dict
    )


class ResumeSchema(Schema):
    """What a person says when a workflow that waits for one goes on. No body is needed otherwise."""

    acknowledge = fields.String(
        load_default="",
        validate=validate.OneOf(["", *WINDOWS_MS, RESTORED]),
        metadata={"description": "The brake that paused the export, or that the store was restored."},
    )
    confirm = fields.Boolean(
        load_default=False, metadata={"description": "The canary's people are as they should be."}
    )
    confirm_people = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=0),
        metadata={"description": "How many people who opted out are added again; as the plan counts them."},
    )
    canary = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1, max=1_000_000),
        metadata={"description": "Stop after so many people until it is confirmed."},
    )


class WorkflowsSchema(Schema):
    workflows = fields.List(fields.Nested(WorkflowSchema), required=True)


class WorkflowQuerySchema(Schema):
    kind = fields.String(validate=_KIND)
    state = fields.String(validate=validate.OneOf([str(each) for each in State]))


class PlanQuerySchema(Schema):
    sample = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=100),
        metadata={"description": "How many people of each outcome to show with their rows."},
    )
    other_lists = fields.Boolean(
        load_default=False, metadata={"description": "Read who is active in the client's other lists."}
    )
    refresh = fields.Boolean(
        load_default=False, metadata={"description": "Make a new plan although one is kept."}
    )


class ImportPlanQuerySchema(Schema):
    refresh = fields.Boolean(
        load_default=False, metadata={"description": "Make a new plan although one is kept."}
    )


class ShareSchema(Schema):
    """What there is of one kind; `looking` has only its calls, as `pages`."""

    resources = fields.Integer()
    left_alone = fields.Integer(metadata={"description": "Those that can't have changed."})
    rows = fields.Integer(metadata={"description": "To be read; of clicks at least so many."})
    pages = fields.Integer(required=True, metadata={"description": "A call each."})


class ImportCostSchema(Schema):
    """What a run would read now. The suppression list's pages come in addition."""

    kinds = fields.Dict(keys=fields.String(), values=fields.Nested(ShareSchema), required=True)
    rows = fields.Integer(required=True)
    calls = fields.Integer(required=True)
    seconds = fields.Integer(required=True, metadata={"description": "At the present pace."})
    calls_per_second = fields.Float(required=True)
    problems = fields.List(fields.String(), required=True)


class ImportPlanSchema(Schema):
    plan = fields.Nested(ImportCostSchema, required=True, allow_none=True)


class PlanProgressSchema(Schema):
    step = fields.String(required=True)
    done = fields.Integer(required=True)
    total = fields.Integer(required=True, metadata={"description": "0 where that is not known."})


class PlanSchema(Schema):
    """What a start of an export would do; `plan` is null until a worker has made it."""

    plan = fields.Raw(required=True, allow_none=True, metadata={"type": ["object", "null"]})
    progress = fields.Nested(PlanProgressSchema, allow_none=True)


class LogQuerySchema(Schema):
    count = fields.Integer(load_default=100, validate=validate.Range(min=1, max=KEPT_LINES))


class LogLineSchema(Schema):
    at = fields.String(required=True, metadata={"format": "date-time"})
    level = fields.String(required=True, validate=validate.OneOf(["info", "warning", "error"]))
    message = fields.String(required=True)


class LogSchema(Schema):
    log = fields.List(fields.Nested(LogLineSchema), required=True)
