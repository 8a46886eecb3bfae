"""Where the store and the broker are."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from listbridge.store.embedded import discover
from settings import Settings, SettingsError


def store_url(settings: Settings) -> str:
    """The store's URL: the one that is set, or the embedded server's that runs on the data directory."""
    url = settings.redis_url or discover(settings.data_dir)
    if url is None:
        raise SettingsError(
            f"LISTBRIDGE_REDIS_URL is empty and no embedded server runs on {settings.data_dir}; "
            "start it with `listbridge up`, or set the variable to a server"
        )
    return url


def broker_url(settings: Settings) -> str:
    """The broker's URL: the one that is set, or database 1 of the store. Raises `SettingsError`."""
    if settings.broker_url:
        return settings.broker_url
    parts = urlsplit(store_url(settings))
    if parts.scheme not in ("redis", "rediss"):
        raise SettingsError(
            "LISTBRIDGE_REDIS_URL is a unix socket, which Celery can't use; "
            "set LISTBRIDGE_BROKER_URL to a redis:// or amqp:// server"
        )
    return urlunsplit(parts._replace(path="/1"))
