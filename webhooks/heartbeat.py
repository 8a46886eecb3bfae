"""The web service says now and then that it takes deliveries: a stretch in which it did not is a gap."""

from __future__ import annotations

import logging
import threading

import redis

from listbridge.campaign_monitor.clock import steady_ms
from listbridge.campaign_monitor.gaps import BEAT_SECONDS, beat
from listbridge.store.store import Store, now_ms

logger = logging.getLogger(__name__)


def start(store: Store, seconds: float = BEAT_SECONDS) -> threading.Event:
    """Begin to say it, now and every so often; -> what ends it when it is set."""
    over = threading.Event()

    def keep_on() -> None:
        last: int | None = None
        while True:
            now = steady_ms()
            if say(store, None if last is None else now - last):
                last = now
            if over.wait(seconds):
                return

    threading.Thread(target=keep_on, name="heartbeat", daemon=True).start()
    return over


def say(store: Store, quiet_ms: int | None = None) -> bool:
    """Say it once, so long after this process said it last; -> whether that is stored.

    A store that can't be used takes no deliveries either, so that is part of a gap.
    """
    try:
        if beat(store, now_ms(), quiet_ms=quiet_ms):
            logger.warning("deliveries of webhooks may have been missed: lists are read again")
    except redis.RedisError as error:
        logger.warning("the heartbeat could not be stored: %s", type(error).__name__)
        return False
    return True
