"""A worker's request whose acknowledgement failed gives its place among those under way free.

Celery logs an acknowledgement that the broker didn't answer and goes on with the same channel, which
counts the message as under way for good. Each takes one of the places that `worker_prefetch_multiplier`
allows, so a worker of the solo pool would take nothing any more. The message itself comes again after
the visibility timeout, when it has expired or finds nothing to do.
"""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.worker.request import Request as CeleryRequest
from kombu.transport.virtual import QoS


class Request(CeleryRequest):
    """See the module."""

    def acknowledge(self) -> None:
        super().acknowledge()
        if not self.message.acknowledged:
            _set_free(self.message)


def _set_free(message: Any) -> None:
    qos = getattr(message.channel, "qos", None)
    if isinstance(qos, QoS):
        # That of the class itself, which only counts: a transport's own would ask the broker again.
        QoS.ack(qos, message.delivery_tag)


class Doorbell(Task):
    """The base of all tasks."""

    Request = "workers.requests:Request"
