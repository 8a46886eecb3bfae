"""The systems that workflows can act on: one table, so that the engines know no vendor's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from listbridge.authorizations import Authorization
from listbridge.campaign_monitor import ApiKey, CallRecord, CampaignMonitor, RateLimited
from listbridge.campaign_monitor.destination import CampaignMonitorList
from listbridge.campaign_monitor.list_reader import CampaignMonitorListReader
from listbridge.campaign_monitor.source import CampaignMonitorSource
from listbridge.campaign_monitor.suppression import SuppressionList
from listbridge.campaign_monitor.webhooks import Registrar
from listbridge.context import Context
from listbridge.exports.protocol import Destination, ListReader
from listbridge.imports.protocol import Source
from listbridge.pacing import Pace
from listbridge.workflows import log
from listbridge.workflows.models import Workflow


@dataclass(frozen=True)
class System:
    """How to make a system's ends; `status_field` is the profile's map from list to status there."""

    source: Callable[[Context, Authorization, Workflow], Source]
    destination: Callable[[Context, Authorization, Workflow], Destination]
    list_reader: Callable[[Context, Authorization, Workflow], ListReader]
    status_field: str


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
            log.count(context.store, workflow_id, {"api_calls": 1})

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


def _campaign_monitor_list_reader(
    context: Context, authorization: Authorization, workflow: Workflow
) -> ListReader:
    """Its calls are not counted in the workflow's progress: reading changes nothing, there neither."""
    client = campaign_monitor_client(context, authorization)
    return CampaignMonitorListReader(client, workflow.export.client_id, workflow.export.list_id)


SYSTEMS = {
    "campaign_monitor": System(
        _campaign_monitor_source, _campaign_monitor_list, _campaign_monitor_list_reader, "cm_list_ids_status"
    ),
}


def system_of(authorization: Authorization) -> System:
    return SYSTEMS[authorization.kind]
