"""The tasks. Each looks for its work in the store, so a task that is lost or doubled changes nothing."""

from __future__ import annotations

import logging
import threading
from functools import lru_cache

from celery import Task, shared_task
from celery.signals import task_prerun, worker_shutting_down
from kombu.exceptions import OperationalError

import settings as settings_module
from listbridge import bells
from listbridge.aggregation.fold import Folder
from listbridge.context import Context, build, unapplied
from listbridge.jobs import archive as archive_job
from listbridge.jobs import deliver as deliver_job
from listbridge.jobs import kept_import_plans, kept_plans
from listbridge.jobs import pull as pull_job
from listbridge.jobs import reconcile as reconcile_job
from listbridge.jobs.sweep import deliverable
from listbridge.jobs.sweep import sweep as look
from listbridge.store.location import store_url
from listbridge.workflows import registry
from workers import waiting

logger = logging.getLogger(__name__)

EXPIRES_SECONDS = 60
"""A message that waited longer is dropped: the sweep has asked again since, or will."""

_stopping = threading.Event()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    """Long tasks end at their next step; what is left is found again."""
    _stopping.set()


@lru_cache(maxsize=1)
def context() -> Context:
    settings = settings_module.current()
    return build(settings, store_url(settings))


@lru_cache(maxsize=1)
def folder() -> Folder:
    if difference := unapplied(context().settings, context().store):
        logger.warning("%s", difference)
    return Folder(context().store, context().programs, context().archive)


@task_prerun.connect
def _begun(task: Task, **_: object) -> None:
    waiting.note(context().store, task.request)


def ring_deliver(list_id: str) -> None:
    """Ask for a delivery to the list, unless that has been asked and not begun."""
    if bells.ring(context().store, deliver_job.bell_of(list_id)):
        deliver.delay(list_id)


def ring_fold() -> None:
    """Ask for a fold; when the broker can't be reached, the sweep will find the work."""
    try:
        fold.delay()
    except OperationalError as error:
        logger.warning("no fold could be asked for: %s", type(error).__name__)


@shared_task(name="fold", expires=EXPIRES_SECONDS)
def fold() -> None:
    """Fold all streams until nothing is left, then ask for the deliveries that follow."""
    result = folder().run(stopping=_stopping.is_set)
    if result.changed:
        for list_id in deliverable(registry.list_all(context().store, "export")):
            ring_deliver(list_id)


@shared_task(name="deliver", expires=EXPIRES_SECONDS)
def deliver(list_id: str) -> None:
    """Deliver to one list until nothing is left."""
    deliver_job.deliver(context(), list_id, stopping=_stopping.is_set)


@shared_task(name="pull", expires=EXPIRES_SECONDS)
def pull(workflow_id: str) -> None:
    """Run one import."""
    pull_job.pull(context(), workflow_id, ring_fold=ring_fold, stopping=_stopping.is_set)


@shared_task(name="plan", expires=EXPIRES_SECONDS)
def plan(workflow_id: str) -> None:
    """Make the plan of an export or import that somebody waits for."""
    found = registry.find(context().store, workflow_id)
    maker = kept_import_plans if found is not None and found.kind == "import" else kept_plans
    maker.make_plan(context(), workflow_id, stopping=_stopping.is_set)


@shared_task(name="reconcile", expires=EXPIRES_SECONDS)
def reconcile(list_id: str) -> None:
    """Check one list against what should be there, if that is due."""
    result = reconcile_job.reconcile_due(context(), list_id, stopping=_stopping.is_set)
    if result is not None and result.learned:
        ring_fold()
    if result is not None and result.sent_again:
        ring_deliver(list_id)


@shared_task(name="archive", expires=EXPIRES_SECONDS)
def archive() -> None:
    """Archive what the streams hold, compact, trim."""
    archive_job.archive(context(), stopping=_stopping.is_set)


@shared_task(name="sweep")
def sweep() -> None:
    """Ask again for everything that is behind: the bells and messages in between may have been lost."""
    due = look(context())
    if due.fold:
        fold.delay()
    if due.archive and bells.ring(context().store, archive_job.BELL):
        archive.delay()
    for list_id in due.lists:
        deliver.delay(list_id)
    for workflow_id in due.imports:
        pull.delay(workflow_id)
    for list_id in due.checks:
        reconcile.delay(list_id)
