"""The systems that workflows can act on: one table, so that the engines know no vendor's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from listbridge import authorizations
from listbridge.authorizations import Authorization
from listbridge.campaign_monitor import ApiKey, CallRecord, CampaignMonitor, RateLimited, codes, feeds
from listbridge.campaign_monitor.caretaker import CampaignMonitorCaretaker
from listbridge.campaign_monitor.destination import CampaignMonitorList
from listbridge.campaign_monitor.source import CampaignMonitorSource
from listbridge.campaign_monitor.suppression import SuppressionList, is_suppressed
from listbridge.campaign_monitor.webhooks import Registrar
from listbridge.context import Context
from listbridge.exports.protocol import Caretaker, Destination
from listbridge.imports.protocol import Source
from listbridge.pacing import Pace
from listbridge.store.store import Store
from listbridge.workflows import log
from listbridge.workflows.models import Workflow


@dataclass(frozen=True)
class System:
    """How to make a system's ends; `status_field` is the profile's map from list to status there.

    `opt_outs_read_at` says when all who left a list (client, list) were last read, `is_suppressed` whether
    our copy of a client's suppression list has an address; `caretaker` makes what clears a list up.
    """

    source: Callable[[Context, Authorization, Workflow], Source]
    destination: Callable[[Context, Authorization, Workflow], Destination]
    status_field: str
    opt_outs_read_at: Callable[[Store, str, str], int | None]
    is_suppressed: Callable[[Store, str, str], bool]
    caretaker: Callable[[Context, Authorization, Workflow], Caretaker]


def campaign_monitor_client(
    context: Context, authorization: Authorization, *, workflow_id: str | None = None
) -> CampaignMonitor:
    """A client that keeps to the account's pace; calls are counted in the workflow's progress."""
    settings = context.settings
    pace = Pace(context.store, authorization.id)

    def before(_endpoint: str) -> None:
        pace.wait()

    def after(call: CallRecord) -> None:
        if isinstance(call.error, RateLimited):
            pace.hold(call.error.retry_after_seconds)
        if workflow_id is not None:
            log.count(
                context.store,
                workflow_id,
                {"api_calls": 1, "rate_limited": int(isinstance(call.error, RateLimited))},
            )

    return CampaignMonitor(
        ApiKey(context.secrets.decrypt(authorization.secret)),
        base_url=authorization.base_url,
        connect_timeout=settings.api_connect_timeout_seconds,
        read_timeout=settings.api_read_timeout_seconds,
        before_call=before,
        after_call=after,
    )


def _campaign_monitor_source(context: Context, authorization: Authorization, workflow: Workflow) -> Source:
    config = workflow.imports
    client = campaign_monitor_client(context, authorization, workflow_id=workflow.id)
    public_url = context.settings.public_url
    registrar = (
        Registrar(context.store, context.secrets, client, workflow.id, public_url)
        if config.webhooks
        else None
    )
    suppression = SuppressionList(context.store, client, config.client_id)
    return CampaignMonitorSource(client, config.client_id, config.lists, suppression, registrar)


def _campaign_monitor_list(context: Context, authorization: Authorization, workflow: Workflow) -> Destination:
    config, settings = workflow.export, context.settings
    client = campaign_monitor_client(context, authorization, workflow_id=workflow.id)
    return CampaignMonitorList(
        client,
        config.client_id,
        config.list_id,
        config.consent_to_track,
        SuppressionList(context.store, client, config.client_id),
        settings.api_connect_timeout_seconds + settings.api_read_timeout_seconds,
    )


def _campaign_monitor_caretaker(
    context: Context, authorization: Authorization, workflow: Workflow
) -> Caretaker:
    client = campaign_monitor_client(context, authorization, workflow_id=workflow.id)
    return CampaignMonitorCaretaker(client, workflow.export.list_id)


SYSTEMS = {
    "campaign_monitor": System(
        _campaign_monitor_source,
        _campaign_monitor_list,
        "cm_list_ids_status",
        opt_outs_read_at=feeds.opt_outs_read_at,
        is_suppressed=is_suppressed,
        caretaker=_campaign_monitor_caretaker,
    ),
}


def system_of(authorization: Authorization) -> System:
    return SYSTEMS[authorization.kind]


def opt_outs_read_at(context: Context, workflow: Workflow) -> int | None:
    """When an import last read all who left the export's list (epoch ms); None for never."""
    system = system_of(authorizations.get(context.store, workflow.authorization_id))
    return system.opt_outs_read_at(context.store, workflow.export.client_id, workflow.export.list_id)


def refusal_code(text: str) -> str:
    """The code by which refusals are kept, for what a person wrote: a word, or a number of the API."""
    number = text.removeprefix("code ").strip()
    return codes.refusal_code(int(number)) if number.lstrip("-").isdecimal() else text
