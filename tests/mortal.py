"""Processes that die: a store whose process is killed at a script, and real processes to kill."""

import os
import subprocess
import sys

from listbridge.store.store import Store


class Killed(BaseException):
    """The process was killed."""


class MortalStore(Store):
    """A store whose process is killed just before its `life`th script, one partition at a time."""

    one_command = False

    def __init__(self, store, life):
        super().__init__(store.client, store.partitions)
        self.life = life

    def script(self, source, keys, args):
        self.life -= 1
        if self.life < 0:
            raise Killed
        return super().script(source, keys, args)

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]


def start_python(program, *args, settings):
    """A process that runs this program on the store of these settings and waits long for an answer."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LISTBRIDGE_")}
    ours = {
        "LISTBRIDGE_ENV_FILE": os.devnull,
        "LISTBRIDGE_REDIS_URL": settings.redis_url,
        "LISTBRIDGE_PARTITIONS": str(settings.partitions),
        "LISTBRIDGE_API_TOKENS": settings.api_tokens[0],
        "LISTBRIDGE_ENCRYPTION_KEYS": settings.encryption_keys[0],
        "LISTBRIDGE_FLUSH_MILLISECONDS": "0",
        "LISTBRIDGE_API_READ_TIMEOUT_SECONDS": "30",
    }
    return subprocess.Popen([sys.executable, "-c", program, *args], env=inherited | ours)
