"""The webhooks of imports: registered, active, at the right address, and delivered when they are tested."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from listbridge.campaign_monitor import CampaignMonitor, NotVisible, WebhookTestFailed, incoming
from listbridge.campaign_monitor.models import Webhook
from listbridge.campaign_monitor.testing import new_test, open_test, settle
from listbridge.campaign_monitor.webhooks import EVENTS, Receiver, receiver
from listbridge.context import Context
from listbridge.doctor.account import Account
from listbridge.doctor.findings import Examination, Finding, Verdict, failed, fine, warning
from listbridge.doctor.here import reached
from listbridge.workflows.models import Workflow

REACHABLE = "Make the public URL reachable from the internet, with a certificate that others trust."
RESUME = "Pause and resume the import: it makes, wakes and corrects its webhooks."


def examine_webhooks(
    exam: Examination,
    context: Context,
    account: Account,
    workflow: Workflow,
    public_url: str,
    credential: Finding,
) -> None:
    """One import's webhooks, list by list."""
    name = workflow.description or workflow.id
    held = receiver(context.store, workflow.id)
    known = exam.step("webhooks", name, lambda: _expected(workflow, held, public_url), needs=[credential])
    if held is None or not known.passed:
        return
    api = account.api
    url = f"{public_url}/webhooks/campaign-monitor/{workflow.id}/{context.secrets.decrypt(held.token)}"
    exam.step("receiver", name, lambda: reached(url), needs=[known])
    for list_id, title in held.lists.items():
        registered = exam.step(
            "webhook", title, partial(_registered, api, workflow.id, list_id, url), needs=[known]
        )
        exam.step(
            "webhook test",
            title,
            partial(_test, context, api, workflow.id, list_id),
            needs=[registered],
        )


def _expected(workflow: Workflow, held: Receiver | None, public_url: str) -> Verdict:
    if not workflow.imports.webhooks:
        return fine("the import has none")
    if not public_url:
        remedy = "Set LISTBRIDGE_PUBLIC_URL (or give --public-url) and resume the import."
        return failed("no public URL is known, so there can be no webhooks", remedy)
    if held is None:
        return warning("none made yet", "The import makes them when it runs.")
    return fine(f"one for each of {len(held.lists)} lists expected")


def _own(api: CampaignMonitor, workflow_id: str, list_id: str) -> list[Webhook]:
    path = f"/webhooks/campaign-monitor/{workflow_id}/"
    return [each for each in api.webhooks(list_id) if path in each.url]


def _registered(api: CampaignMonitor, workflow_id: str, list_id: str, url: str) -> Verdict:
    try:
        own = _own(api, workflow_id, list_id)
    except NotVisible as problem:
        return failed(str(problem), "The list was deleted or is not shown: make another import without it.")
    if not own:
        return failed("not registered", RESUME)
    hook = next((each for each in own if each.url == url), own[0])
    if hook.url != url:
        return failed(f"registered at another address, {_host(hook.url)}", RESUME)
    if hook.status != "Active":
        return failed(
            f"registered and {hook.status}: it is switched off after a week without a 2xx answer", RESUME
        )
    missing = [each for each in EVENTS if each not in hook.events]
    if missing:
        return failed(f"does not tell {', '.join(missing)}", f"Delete it in Campaign Monitor. {RESUME}")
    if len(own) > 1:
        return warning(f"registered {len(own)} times", RESUME)
    return fine("registered and active")


def _host(url: str) -> str:
    """An address without the token in its path."""
    return url.partition("/webhooks/")[0]


def _test(context: Context, api: CampaignMonitor, workflow_id: str, list_id: str) -> Verdict:
    """Have Campaign Monitor post samples. They are kept apart, so that they become no events."""
    test = new_test(list_id)
    try:
        with open_test(context.store, test):
            hook = _own(api, workflow_id, list_id)[0]
            api.test_webhook(list_id, hook.webhook_id)
    except WebhookTestFailed as problem:
        return failed(f"Campaign Monitor got {_failure(problem.result_data)}", REACHABLE)
    finally:
        arrived = settle(
            context.store,
            test,
            lambda address: api.subscriber(list_id, address) is not None,
            lambda account, body: incoming.receive(context.store, account, body, tested=True),
        )
    if not arrived:
        remedy = "The public URL leads to another installation, or something before ours answers for it."
        return warning("answered with 2xx, and no sample arrived in this store", remedy)
    return fine("Campaign Monitor's test was answered, and its samples arrived here")


def reach(api: CampaignMonitor, list_id: str, public_url: str) -> Verdict:
    """Can Campaign Monitor reach an address? By a webhook that is made in a scratch list and tested.

    `/healthz` refuses a POST, which is an answer as good as any.
    """
    hook = api.create_webhook(list_id, f"{public_url}/healthz", EVENTS)
    try:
        api.test_webhook(list_id, hook)
    except WebhookTestFailed as problem:
        told = _failure(problem.result_data)
        if not told.startswith("HTTP 405"):
            return failed(f"Campaign Monitor got {told}", REACHABLE)
    return fine("Campaign Monitor reaches it")


def _failure(data: Any) -> str:
    """What the URL did, in the service's words."""
    told = cast(dict[str, Any], data) if isinstance(data, dict) else {}
    code = str(told.get("FailureResponseCode") or "")
    status = str(told.get("FailureStatus") or "no answer")
    words = str(told.get("FailureResponseMessage") or "")
    return f"HTTP {code} {words}".strip() if code else f"no answer ({status})"
