"""How long each task waited in its queue: the time of publishing goes with the message."""

from __future__ import annotations

import logging
from typing import Any

import redis
from celery.signals import before_task_publish

from listbridge.standing import queues
from listbridge.store.store import Store, now_ms

logger = logging.getLogger(__name__)

HEADER = "listbridge_published_at"


@before_task_publish.connect
def stamp(headers: dict[str, Any], **_: object) -> None:
    """Note on a message when it is published (epoch ms)."""
    headers[HEADER] = now_ms()


def note(store: Store, request: Any) -> None:
    """Count what the task of a request has waited; one without a stamp is not counted."""
    at, queue = request.get(HEADER), (request.delivery_info or {}).get("routing_key")
    if at is None or queue not in queues.QUEUES:
        return
    try:
        queues.note(store, queue, now_ms() - at)
    except redis.RedisError as error:
        logger.warning("a wait could not be noted: %s", type(error).__name__)
