"""Where the store and the broker are."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from listbridge.store.embedded import discover
from settings import Settings, SettingsError, is_cluster


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
    """The broker's URL: the one that is set, or database 1 of the store. Raises `SettingsError`.

    A `rediss://` server has to show a trusted certificate, unless the URL says `ssl_cert_reqs=none`.
    """
    if settings.broker_url:
        return ";".join(map(_verified, settings.broker_url.split(";")))
    url = store_url(settings)
    if is_cluster(url):
        raise SettingsError(
            "LISTBRIDGE_REDIS_URL is a cluster, which Celery can't use; "
            "set LISTBRIDGE_BROKER_URL to a redis://, sentinel:// or amqp:// server"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        raise SettingsError(
            "LISTBRIDGE_REDIS_URL is a unix socket, which Celery can't use; "
            "set LISTBRIDGE_BROKER_URL to a redis://, sentinel:// or amqp:// server"
        )
    return _verified(urlunsplit(parts._replace(path="/1")))


def broker_options(url: str) -> tuple[str, dict[str, str]]:
    """The broker's URL as Celery takes it, and what goes into its transport options instead."""
    if not url.startswith("sentinel:"):
        return url, {}
    places = [urlsplit(each) for each in url.split(";")]
    options = {name: value for each in places for name, value in parse_qsl(each.query)}
    return ";".join(urlunsplit(each._replace(query="")) for each in places), options


def _verified(url: str) -> str:
    """Kombu takes any certificate for a `rediss://` URL that doesn't say otherwise."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    said = dict(parse_qsl(parts.query))
    wanted = {"ssl_cert_reqs": "required"} | said
    if wanted["ssl_cert_reqs"] != "none":
        wanted = {"ssl_check_hostname": "true"} | wanted
    return urlunsplit(parts._replace(query=urlencode(wanted, safe="/")))
