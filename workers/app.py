"""The Celery app. Messages are doorbells: what there is to do stands in the store.

Every setting's reason is in `docs/celery.md`.
"""

from __future__ import annotations

import logging
import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import setup_logging

import settings as settings_module
from listbridge.logs import write_log
from listbridge.store.location import broker_options, broker_url
from settings import Settings

LONGEST_TASK_SECONDS = 600
TASKS = "workers.requests:Doorbell"
NOISY = ("kombu", "amqp", "celery.worker", "celery.app.trace", "celery.beat", "celery.redirected")


def make_app(settings: Settings) -> Celery:
    url, options = broker_options(broker_url(settings))
    app = Celery("listbridge", broker=url, include=["workers.tasks"], task_cls=TASKS)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=5,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": LONGEST_TASK_SECONDS + 300,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "global_keyprefix": "lb-celery:",
            **options,
        },
        task_routes={
            "fold": {"queue": "fold"},
            "deliver": {"queue": "deliver"},
            "pull": {"queue": "pull"},
            "plan": {"queue": "pull"},
            "reconcile": {"queue": "pull"},
            "archive": {"queue": "archive"},
            "sweep": {"queue": "schedule"},
        },
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            "sweep": {
                "task": "sweep",
                "schedule": settings.sweep_seconds,
                # A tick that waited longer than the next one is of no use.
                "options": {"expires": max(settings.sweep_seconds * 3, 10)},
            }
        },
    )
    return app


@setup_logging.connect
def _log_plainly(**_: object) -> None:
    """One line a record, without colours: the supervisor adds the process's name."""
    level = settings_module.current().log_level
    write_log(level)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel("WARNING" if level != "DEBUG" else "DEBUG")


os.environ.setdefault("POLARS_MAX_THREADS", "1")
# Said to root in ten lines per process; it is about pickled messages, and ours are JSON.
warnings.filterwarnings("ignore", category=SecurityWarning)
app = make_app(settings_module.current())
# The current app is one per thread: other threads of a web process would ring at localhost's RabbitMQ.
app.set_default()
