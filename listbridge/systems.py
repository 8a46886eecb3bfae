"""The systems that workflows can act on: one table, so that the engines know no vendor's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from listbridge.authorizations import API_KEY, Authorization
from listbridge.campaign_monitor import (
    REPORTS,
    AddressTooFast,
    CallRecord,
    CampaignMonitor,
    RateLimited,
    codes,
    zones,
)
from listbridge.campaign_monitor.abandoned import receive_abandoned
from listbridge.campaign_monitor.ahead import Lanes
from listbridge.campaign_monitor.answers import quota_of
from listbridge.campaign_monitor.caretaker import CampaignMonitorCaretaker
from listbridge.campaign_monitor.destination import CampaignMonitorList
from listbridge.campaign_monitor.http import AfterCall
from listbridge.campaign_monitor.list_reader import CampaignMonitorListReader
from listbridge.campaign_monitor.memory import Memory
from listbridge.campaign_monitor.readings import option_verb
from listbridge.campaign_monitor.remover import CampaignMonitorRemover
from listbridge.campaign_monitor.restorer import CampaignMonitorRestorer
from listbridge.campaign_monitor.source import CampaignMonitorSource, lists_of, opt_outs_read_at
from listbridge.campaign_monitor.suppression import SuppressionList, is_suppressed
from listbridge.campaign_monitor.tokens import auth_of
from listbridge.campaign_monitor.visits import Choice
from listbridge.campaign_monitor.webhooks import Registrar, must_look, rotate
from listbridge.context import Context
from listbridge.exports.protocol import Caretaker, Destination, ListReader, Remover, Restorer
from listbridge.imports.protocol import Source
from listbridge.pacing import Budget, Limits, Outcome, Pacer, Quota, accounts
from listbridge.store.store import Store, now_ms
from listbridge.workflows import log
from listbridge.workflows.models import ImportConfig, Workflow
from settings import Settings

SLOT_MARGIN_SECONDS = 5.0
Stopping = Callable[[], bool]
Count = Callable[[Mapping[str, int]], None]
OnCall = Callable[[float], None]
"""Is told how many seconds a call took, from whichever thread made it."""


@dataclass(frozen=True)
class System:
    """How to make a system's ends; `status_field` is the profile's map from list to status there.

    An end that waits for its turn to call stops waiting when it is told to.
    """

    source: Callable[[Context, Authorization, Workflow, Stopping], Source]
    surveyor: Callable[[Context, Authorization, ImportConfig, Stopping, OnCall], Source]
    """Like `source`, for no workflow: for looking at what there is to read, and telling of each call."""
    destination: Callable[[Context, Authorization, Workflow, Stopping], Destination]
    list_reader: Callable[[Context, Authorization, Workflow, Stopping], ListReader]
    status_field: str
    opt_outs_read_at: Callable[[Store, str, str], int]
    """(store, client, list) -> as of when it was read who opted out (epoch ms; 0: never)."""
    is_suppressed: Callable[[Store, str, str], bool]
    """(store, client, address) -> whether our copy of the client's suppression list has it."""
    caretaker: Callable[[Context, Authorization, Workflow], Caretaker]
    """Makes what clears a list up."""
    look_again: Callable[[Store, str], None]
    """(store, client): the next import asks for everything that may have changed, however old it is."""
    patient_list_reader: Callable[[Context, Authorization, Workflow, Stopping], ListReader]
    """A reader that lets exports go first."""
    restorer: Callable[[Context, Authorization, Workflow], Restorer]
    remover: Callable[[Context, Authorization, str], Remover]
    """Of a client: takes one person out."""
    zones: Callable[[Store, str], tuple[str, str]]
    """(store, client) -> the zone by which its times are read, and another one that waits to be confirmed."""
    confirm_zone: Callable[[Store, str, str], None]
    rotate_token: Callable[[Context, str], bool]
    """Make another token the current one of an import's webhooks; False when it has none."""
    family: Callable[[Store, str], frozenset[str]]
    """(store, client) -> the lists that it is known to have."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


def unwatched(_: CallRecord) -> None:
    """Nobody looks at the calls."""


def limits_of(settings: Settings) -> Limits:
    """What every account's budget keeps to."""
    timeouts = settings.api_connect_timeout_seconds + settings.api_read_timeout_seconds
    return Limits(
        most=settings.api_calls_per_second,
        least=settings.api_least_calls_per_second,
        in_flight=settings.api_account_calls_in_flight,
        call_seconds=timeouts + SLOT_MARGIN_SECONDS,
    )


def account_of(context: Context, authorization: Authorization) -> str:
    """The name of the account whose budget the authorization uses, for `pacing.describe`."""
    return accounts.account_of(context.store, _credential(context, authorization))


def _credential(context: Context, authorization: Authorization) -> str:
    """The name of what the calls are made with; tokens change, so for them it is the authorization's."""
    is_key = authorization.credential == API_KEY
    what = context.secrets.decrypt(authorization.secret) if is_key else f"oauth {authorization.id}"
    return accounts.name_of(authorization.base_url, what)


def campaign_monitor_client(
    context: Context,
    authorization: Authorization,
    *,
    workflow: Workflow | None = None,
    stopping: Stopping = never,
    watch: AfterCall = unwatched,
    patient: bool = False,
    lanes: Lanes | None = None,
    count: Count | None = None,
) -> CampaignMonitor:
    """A client that keeps to the account's budget; calls are counted in the workflow's progress.

    Imports are `patient`, and who says so: they let exports go first. `stopping` ends a wait for the budget.
    `watch` hears of every call. With `lanes` only so many are on their way at a time. `count` takes the
    counters of the progress.
    """
    settings, store = context.settings, context.store
    budget = Budget(store, account_of(context, authorization), limits_of(settings))
    patient = patient or (workflow is not None and workflow.kind == "import")
    pacer = Pacer(budget, patient=patient, stopping=stopping)
    joined = False

    def before(_endpoint: str) -> None:
        if lanes is None:
            return pacer.before()
        lanes.enter()
        try:
            pacer.before()
        except BaseException:
            lanes.leave()
            raise

    def after(call: CallRecord) -> None:
        nonlocal joined
        if lanes is not None:
            lanes.leave()
        outcome, rest_seconds, quota = _lesson(call)
        pacer.after(outcome, rest_seconds=rest_seconds, quota=quota)
        watch(call)
        if workflow is None:
            return
        if not joined and call.error is None and "{" in call.endpoint:
            # The credential sees what is the workflow's client's, so both are of one account.
            client = accounts.name_of(authorization.base_url, workflow.config.client_id)
            budget.account = accounts.join(store, _credential(context, authorization), client)
            joined = True
        counters = {"api_calls": 1, "rate_limited": int(outcome is Outcome.REFUSED)}
        if count is not None:
            count(counters)
        else:
            log.count(store, workflow.id, counters)

    return CampaignMonitor(
        auth_of(
            store,
            context.secrets,
            authorization,
            (settings.api_connect_timeout_seconds, settings.api_read_timeout_seconds),
        ),
        base_url=authorization.base_url,
        connect_timeout=settings.api_connect_timeout_seconds,
        read_timeout=settings.api_read_timeout_seconds,
        before_call=before,
        after_call=after,
    )


def _lesson(call: CallRecord) -> tuple[Outcome, float | None, Quota | None]:
    """What a call teaches the budget: its outcome, the rest it asks for, the quota it tells."""
    told = quota_of(call.headers)
    quota = Quota(*told) if told else None
    if isinstance(call.error, RateLimited):
        return Outcome.REFUSED, call.error.retry_after_seconds, quota
    silent = call.status is None or call.status >= 500 or isinstance(call.error, AddressTooFast)
    return Outcome.FAILED if silent else Outcome.ANSWERED, None, quota


def _campaign_monitor_source(
    context: Context, authorization: Authorization, workflow: Workflow, stopping: Stopping
) -> Source:
    config = workflow.imports
    lanes = Lanes(context.settings.api_calls_in_flight)
    counting = log.Counting(context.store, workflow.id)
    client = campaign_monitor_client(
        context, authorization, workflow=workflow, stopping=stopping, lanes=lanes, count=counting.add
    )
    public_url = context.settings.public_url
    registrar = (
        Registrar(context.store, context.secrets, client, workflow.id, public_url)
        if config.webhooks
        else None
    )
    return _source_of(context, config, client, registrar, lanes, counting.flush)


def _campaign_monitor_surveyor(
    context: Context, authorization: Authorization, config: ImportConfig, stopping: Stopping, on_call: OnCall
) -> Source:
    """Its calls are told to `on_call` and not counted in the progress of a workflow."""

    def watch(call: CallRecord) -> None:
        on_call(call.seconds)

    lanes = Lanes(context.settings.api_calls_in_flight)
    client = campaign_monitor_client(
        context, authorization, stopping=stopping, watch=watch, patient=True, lanes=lanes
    )
    return _source_of(context, config, client, None, lanes)


def _source_of(
    context: Context,
    config: ImportConfig,
    client: CampaignMonitor,
    registrar: Registrar | None,
    lanes: Lanes,
    ended: Callable[[], None] = lambda: None,
) -> Source:
    suppression = SuppressionList(context.store, client, config.client_id)
    memory = Memory(context.store, config.client_id)
    choice = choice_of(config, context.settings.api_calls_in_flight)
    return CampaignMonitorSource(client, choice, memory, suppression, registrar, context.store, lanes, ended)


def choice_of(config: ImportConfig, in_flight: int) -> Choice:
    """What an import reads, asking for so many summaries at a time."""
    return Choice(
        config.client_id,
        tuple(config.lists),
        keeps_updated=config.keep_updated,
        reports=tuple(name for name in REPORTS if name in config.reports),
        since=config.since or "",
        newest_first=config.newest_first,
        with_places=config.ip_and_coordinates,
        in_flight=in_flight,
        polls=_polls(config),
    )


def _polls(config: ImportConfig) -> str:
    if not config.keep_updated:
        return "once: the import is not kept updated"
    if config.daily_at is not None:
        return f"daily at {config.daily_at} {config.daily_zone}, so up to a day later"
    return f"every {config.every_minutes} minutes, so up to that much later"


def _campaign_monitor_list(
    context: Context, authorization: Authorization, workflow: Workflow, stopping: Stopping
) -> Destination:
    config, settings = workflow.export, context.settings
    client = campaign_monitor_client(context, authorization, workflow=workflow, stopping=stopping)
    return CampaignMonitorList(
        client,
        config.client_id,
        config.list_id,
        config.consent_to_track,
        SuppressionList(context.store, client, config.client_id),
        settings.api_connect_timeout_seconds + settings.api_read_timeout_seconds,
        leave_all_lists=config.unsubscribe_from_all_lists,
        option_verb=option_verb(authorization.learned),
    )


def _campaign_monitor_caretaker(
    context: Context, authorization: Authorization, workflow: Workflow
) -> Caretaker:
    client = campaign_monitor_client(context, authorization, workflow=workflow)
    return CampaignMonitorCaretaker(client, workflow.export.list_id)


def _campaign_monitor_restorer(
    context: Context, authorization: Authorization, workflow: Workflow
) -> Restorer:
    client = campaign_monitor_client(context, authorization, workflow=workflow)
    return CampaignMonitorRestorer(client, workflow.export.list_id)


def _campaign_monitor_remover(context: Context, authorization: Authorization, client_id: str) -> Remover:
    return CampaignMonitorRemover(campaign_monitor_client(context, authorization), client_id)


def _campaign_monitor_list_reader(
    context: Context,
    authorization: Authorization,
    workflow: Workflow,
    stopping: Stopping,
    *,
    patient: bool = False,
) -> ListReader:
    """Its calls are not counted in the workflow's progress: reading changes nothing, there neither."""
    client = campaign_monitor_client(context, authorization, stopping=stopping, patient=patient)
    config = workflow.export
    return CampaignMonitorListReader(
        client,
        config.client_id,
        config.list_id,
        authorization.learned,
        single=config.mode == "update_only",
    )


def _zones(store: Store, client_id: str) -> tuple[str, str]:
    return zones.confirmed(store, client_id), zones.waiting(store, client_id)


def _rotate_token(context: Context, workflow_id: str) -> bool:
    return rotate(context.store, context.secrets, workflow_id)


def _look_again(store: Store, client_id: str) -> None:
    Memory(store, client_id).ask_again(now_ms())


SYSTEMS = {
    "campaign_monitor": System(
        _campaign_monitor_source,
        _campaign_monitor_surveyor,
        _campaign_monitor_list,
        _campaign_monitor_list_reader,
        "cm_list_ids_status",
        opt_outs_read_at,
        is_suppressed,
        _campaign_monitor_caretaker,
        _look_again,
        partial(_campaign_monitor_list_reader, patient=True),
        _campaign_monitor_restorer,
        _campaign_monitor_remover,
        _zones,
        zones.confirm,
        _rotate_token,
        lists_of,
    ),
}


def system_of(authorization: Authorization) -> System:
    return SYSTEMS[authorization.kind]


def catch_up(store: Store) -> None:
    """What a system has to look at now and then, whatever workflows there are; harmless when repeated."""
    receive_abandoned(store)


def must_run(store: Store, workflow: Workflow) -> bool:
    """Has an import to run before its time, because deliveries of its webhooks may have been missed, or its
    webhooks are to be made anew?"""
    return workflow.imports.webhooks and must_look(store, workflow.id)


def refusal_code(text: str) -> str:
    """The code by which refusals are kept, for what a person wrote: a word, or a number of the API."""
    number = text.removeprefix("code ").strip()
    return codes.refusal_code(int(number)) if number.lstrip("-").isdecimal() else text
