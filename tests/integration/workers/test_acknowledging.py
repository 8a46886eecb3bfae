"""A broker that doesn't answer an acknowledgement costs the worker nothing but that message."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from celery import Celery
from celery.worker.request import Request as CeleryRequest
from kombu import Connection, Consumer, Queue

from settings import Settings, as_environ
from workers.requests import Request

pytestmark = pytest.mark.on_one_server

DOORBELL = "workers.requests:Doorbell"
QUEUE = Queue("acknowledging", routing_key="acknowledging")


@pytest.fixture
def app(app_settings: Settings, store):
    url = urlunsplit(urlsplit(app_settings.redis_url)._replace(path="/2"))
    made = Celery("acknowledging", broker=url, task_cls=DOORBELL)

    @made.task(name="ring", shared=False)
    def ring():
        pass

    yield made
    made.close()


@pytest.fixture
def channel(app):
    """A channel that may have one message under way, as a fold worker's."""
    with Connection(app.conf.broker_url) as connection, connection.channel() as made:
        made.basic_qos(0, 1, False)
        yield made


def taken(app, channel, kind):
    """A request that was sent and taken, by the connection's own way."""
    app.tasks["ring"].apply_async(queue=QUEUE.name, routing_key=QUEUE.name)
    found = []
    with Consumer(channel, [QUEUE], callbacks=[lambda _, message: found.append(message)], no_ack=False):
        channel.connection.client.drain_events(timeout=10)
    [message] = found
    assert not channel.qos.can_consume()
    return kind(
        message,
        app=app,
        task=app.tasks["ring"],
        on_ack=message.ack_log_error,
        on_reject=message.reject_log_error,
        connection_errors=channel.connection.client.connection_errors,
    )


def unanswered(monkeypatch, channel):
    def lost(*_, **__):
        raise redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(channel.qos, "_remove_from_indices", lost)


def test_tasks_are_requested_by_our_request(app):
    assert app.tasks["ring"].Request == "workers.requests:Request"


def test_the_workers_tasks_are_doorbells(app_settings, store):
    """Asked of the real app in a process of its own: importing it reads the settings."""
    code = "from workers import tasks; import workers.app; print(tasks.fold.Request, tasks.sweep.Request)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | as_environ(app_settings),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["workers.requests:Request"] * 2


def test_an_acknowledgement_frees_the_place(app, channel):
    taken(app, channel, Request).acknowledge()
    assert channel.qos.can_consume()


def test_an_acknowledgement_without_an_answer_frees_the_place(app, channel, monkeypatch):
    request = taken(app, channel, Request)
    unanswered(monkeypatch, channel)
    request.acknowledge()
    assert channel.qos.can_consume()


def test_without_ours_the_place_stays_taken(app, channel, monkeypatch):
    """The reason for our request: when this fails, Celery has learned it and ours can go."""
    request = taken(app, channel, CeleryRequest)
    unanswered(monkeypatch, channel)
    request.acknowledge()
    assert not channel.qos.can_consume()
