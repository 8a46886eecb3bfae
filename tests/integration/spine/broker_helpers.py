"""Processes of brokers and workers."""

import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import redis

from listbridge.store.server import PORTS, port_is_free

PASSWORD = "a-password-of-the-tests"
CELERY = (sys.executable, "-m", "celery", "-q", "-A", "workers.app")
WORKER = [*CELERY, "worker", "-P", "solo", "-Q", "fold,schedule", "--without-gossip", "--without-mingle"]


def free_ports(count):
    return [port for port in PORTS[3000:] if port_is_free(port)][:count]


@contextmanager
def running(command, **options):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(ready, seconds=30.0):
    deadline = time.monotonic() + seconds
    while True:
        with suppress(redis.RedisError):
            if ready():
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
