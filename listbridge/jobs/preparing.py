"""What a delivery works with: the list as the exports need it, and the exports as the decisions do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from listbridge import authorizations
from listbridge.context import Context
from listbridge.exports.claims import claim_places
from listbridge.exports.ledger import doubt_everybody, lags, rewind
from listbridge.exports.protocol import Destination, ListReader, ListSetup, MappedField, Prepared
from listbridge.exports.setup import Setup, change_setup, save_setup, setup_of
from listbridge.exports.terms import Contact, Feed, ListSpec, Retired, WhenNull, keeps_of
from listbridge.jobs.feeds import basis, delivers, is_stale, limits_of
from listbridge.store.store import now_ms
from listbridge.systems import system_of
from listbridge.workflows import log, registry
from listbridge.workflows.models import Workflow

CHECK_MS = 600_000
"""How old the knowledge may be that the list still has the fields and options that rows name."""


def list_reader(
    context: Context, workflow: Workflow, stopping: Callable[[], bool] = lambda: False
) -> ListReader:
    """The reader of an export's list; `stopping` ends a wait for the account's budget."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).list_reader(context, authorization, workflow, stopping)


def patient_list_reader(
    context: Context, workflow: Workflow, stopping: Callable[[], bool] = lambda: False
) -> ListReader:
    """The reader of an export's list that lets deliveries go first."""
    authorization = authorizations.get(context.store, workflow.authorization_id)
    return system_of(authorization).patient_list_reader(context, authorization, workflow, stopping)


def prepare_list(
    context: Context, list_id: str, feeds: Sequence[Workflow], destination: Destination
) -> Setup:
    """Make sure that the list offers what the exports need; asks the system when that changed, and now and
    then.

    When the exports are others than at the last delivery, everybody is looked at again.
    """
    held = setup_of(context.store, list_id)
    claimed = held is not None and held.by_address
    ask = wanted_setup(feeds, held)
    fingerprint, began = repr(ask), basis(context, feeds)
    stale = held is None or held.fingerprint != fingerprint
    if held is not None and (stale or _is_due_a_look(context, list_id, held)):
        stale = _has_lost(context, list_id, held, feeds, destination) or stale
    if held is not None and not stale and held.feeds == began:
        return held
    if held is None or stale:
        made = destination.prepare(ask)
        held = setup_from(made, ask.labels, held, feeds, fingerprint)
        for workflow in feeds:
            line = f"list prepared: field {made.field_key}, {len(ask.labels)} options"
            log.write(context.store, workflow.id, line)
            for note in made.notes:
                log.write(context.store, workflow.id, note, level="warning")
    people = rewind(context.store, list_id)
    for workflow in feeds:
        log.write(context.store, workflow.id, f"{people} people with a profile are looked at")
    by_address = any(workflow.export.email_field != "email" for workflow in registry.deciding(feeds))
    if by_address and not claimed:
        claim_places(context.store, list_id)
    held = msgspec.structs.replace(held, feeds=began, by_address=by_address)
    save_setup(context.store, list_id, held)
    return held


def _is_due_a_look(context: Context, list_id: str, held: Setup) -> bool:
    """Is something to be sent, and was the list last looked at a while ago?"""
    now = now_ms()
    return now - held.checked_at >= CHECK_MS and any(lags(context.store, list_id, now))


def _has_lost(
    context: Context, list_id: str, held: Setup, feeds: Sequence[Workflow], destination: Destination
) -> bool:
    """Are fields or options gone that rows were sent to? Then everybody is sent again.

    They are put in doubt before anything is made anew: afterwards nobody could tell.
    """
    if destination.still_offers(prepared_of(held), held.labels):
        change_setup(context.store, list_id, checked_at=now_ms())
        return False
    people = doubt_everybody(context.store, list_id, now_ms())
    line = "a field that this export writes was deleted, changed its type or lost options"
    for workflow in feeds:
        sent = f"{line}: what is missing is made again, and {people} people are sent again"
        log.write(context.store, workflow.id, sent, level="warning")
    return True


def prepared_of(setup: Setup) -> Prepared:
    """What a delivery works with."""
    return Prepared(setup.field_key, setup.mapped, setup.kinds, setup.choices)


def wanted_setup(feeds: Sequence[Workflow], held: Setup | None) -> ListSetup:
    """What the exports need of the list, beside what was made for others before."""
    feeds = registry.deciding(feeds)
    exports = [workflow.export for workflow in feeds]
    wanted = {label for export in exports for label in export.audiences.values()}
    return ListSetup(
        exports[0].field_name,
        tuple(sorted(wanted | set(held.labels if held else ()))),
        any(export.segments for export in exports),
        _mapped_fields(feeds),
        checked=held.labels if held else (),
    )


def _mapped_fields(feeds: Sequence[Workflow]) -> tuple[MappedField, ...]:
    """The fields that the exports map to, each once; the oldest export's word counts."""
    found: dict[str, MappedField] = {}
    for export in (workflow.export for workflow in reversed(feeds)):
        for each in export.mapped():
            found[each.field] = MappedField(
                each.field, each.type or "", each.options, create=export.create_fields
            )
    return tuple(found[name] for name in sorted(found))


def setup_from(
    made: Prepared,
    labels: tuple[str, ...],
    before: Setup | None,
    feeds: Sequence[Workflow],
    fingerprint: str = "",
) -> Setup:
    """The set-up of a list that was prepared, or would be; `before` is the one that held until now.

    The field is adopted when it was there before we were. With addresses from another field than the
    key's, nobody could be recognised in the list.
    """
    feeds = registry.deciding(feeds)
    known = before is not None and before.field_key == made.field_key
    by_key = all(workflow.export.email_field == "email" for workflow in feeds)
    keeps = keeps_of(_when_null(feeds, made.mapped_keys))
    unread = by_key and not {*keeps} <= {*(before.keeps if before is not None and known else ())}
    return Setup(
        field_key=made.field_key,
        labels=labels,
        mapped=dict(made.mapped_keys),
        kinds=dict(made.kinds),
        choices=dict(made.choices),
        keeps=keeps,
        checked_at=now_ms(),
        adopting=unread or (before.adopting if before is not None and known else made.found and by_key),
        fingerprint=fingerprint,
    )


def spec_of(context: Context, list_id: str, feeds: Sequence[Workflow], setup: Setup) -> ListSpec:
    """All exports into the list, as the decisions need them. The oldest export's fields win."""
    fields: dict[str, str] = {}
    templates: dict[str, str] = {}
    deciding = registry.deciding(feeds)
    for export in (workflow.export for workflow in reversed(deciding)):
        fields |= {source: setup.mapped[each.field] for source, each in export.mappings().items()}
        templates |= {setup.mapped[each.field]: each.template for each in export.constants()}
    first = deciding[0].export
    return ListSpec(
        list_id,
        tuple(feed_of(context, workflow) for workflow in feeds),
        setup.labels,
        setup.field_key,
        first.email_field,
        first.name_field,
        fields,
        setup.choices,
        setup.kinds,
        templates,
        _when_null(deciding, setup.mapped),
        Contact(
            consent_field=first.consent_to_track_field,
            consent=first.consent_to_track,
            mobile_field=first.mobile_field,
            mobile_region=first.mobile_region,
            sms_field=first.consent_to_sms_field,
            sms=first.consent_to_sms,
        ),
        first.mode,
    )


def _when_null(feeds: Sequence[Workflow], keys: Mapping[str, str]) -> dict[str, WhenNull]:
    """What happens where a profile has no value, by key; the oldest export's word counts."""
    found: dict[str, WhenNull] = {}
    for export in (workflow.export for workflow in reversed(feeds)):
        found |= {keys[each.field]: each.when_null for each in export.mapped()}
    return found


def feed_of(context: Context, workflow: Workflow) -> Feed:
    """An export as the decisions need it."""
    export, edits, now = workflow.export, workflow.edits, now_ms()
    return Feed(
        workflow_id=workflow.id,
        running=delivers(workflow, now),
        started_at=workflow.started_at,
        audiences=export.audiences,
        existing_users=export.existing_users,
        resubscribe=export.resubscribe,
        queue_autoresponders=export.queue_autoresponders,
        queue_autoresponders_on_backfill=export.queue_autoresponders_on_backfill,
        restart_autoresponders=export.restart_autoresponders,
        on_exit=export.on_exit,
        opted_in_field=export.opted_in_field,
        stale=is_stale(context, workflow, now),
        confirmed_at=workflow.confirmed_at,
        added=edits.added,
        names={slug: tuple(names) for slug, names in edits.names.items()},
        former={slug: tuple(labels) for slug, labels in edits.labels.items()},
        retired={label: Retired(tuple(each.names), each.at) for label, each in edits.retired.items()},
        limits=limits_of(workflow, now),
    )
