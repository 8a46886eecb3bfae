"""The broker loses what it held, and holds what nobody can do."""

from __future__ import annotations

import random
import time

from celery import Celery

from faults.catalogue import fault
from faults.processes import some_time
from faults.world import PREFIX, QUEUES, World


@fault("broker-emptied", "every message lost, five times (FLUSHDB of the broker)")
def broker_emptied(world: World, chance: random.Random) -> None:
    client = world.broker()
    for _ in range(5):
        some_time(chance, 0.6)
        client.flushdb()


@fault("poison-task", "unknown tasks, tasks with wrong arguments and what is no message, in every queue")
def poison_task(world: World, chance: random.Random) -> None:
    some_time(chance)
    app = Celery("poison", broker=world.embedded.url.removesuffix("/0") + "/1")
    app.conf.broker_transport_options = {"global_keyprefix": PREFIX}
    client = world.broker()
    for queue in QUEUES:
        app.send_task("no.such.task", queue=queue)
        app.send_task("deliver", args=[1, 2, 3], queue=queue)
        for garbage in (
            b"\x00\xff no message",
            b"{}",
            b'{"body": 5, "headers": [], "properties": {}}',
            b"[1]",
        ):
            client.lpush(PREFIX + queue, garbage)
            time.sleep(0.05)
    app.close()
