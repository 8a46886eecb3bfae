"""The processes of one machine: the embedded store, the receiver, the workers and the beat."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from cli.processes import Child
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.location import broker_url
from settings import Settings, SettingsError, as_environ

CELERY = (sys.executable, "-m", "celery", "-q", "-A", "workers.app")
WEB = (sys.executable, "-m", "webhooks.serve")
DELIVER_THREADS = 8
PULL_THREADS = 4


@contextmanager
def store_of(settings: Settings) -> Iterator[Settings]:
    """The settings with the store's and the broker's URLs filled in; an embedded store is kept running."""
    if not settings.embedded:
        yield replace(settings, broker_url=broker_url(settings))
        return
    store = EmbeddedStore(settings.data_dir, port=settings.redis_port, appendfsync=settings.appendfsync)
    until = threading.Event()
    with store:
        keeper = threading.Thread(target=store.keep_running, args=(until,), name="store-keeper", daemon=True)
        keeper.start()
        try:
            filled = replace(settings, redis_url=store.url)
            yield replace(filled, broker_url=broker_url(filled))
        finally:
            until.set()
            keeper.join()


@contextmanager
def held_port(settings: Settings) -> Iterator[None]:
    """Refuse a port that something listens on, and keep it for our web server from now on: it would be
    shared without a word, also with a server that starts at the same time. Raises `SettingsError`.
    """
    with _bound(settings, socket.SO_REUSEADDR):
        pass
    with _kept(settings):
        yield


def _kept(settings: Settings) -> socket.socket:
    try:
        return _bound(settings, socket.SO_REUSEPORT)
    except SettingsError:
        # A server that shared with nobody ended within the last minute, and the system remembers it.
        return _bound(settings, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def _bound(settings: Settings, *options: int) -> socket.socket:
    """A socket at the address of the web server that doesn't listen."""
    made = socket.socket(socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET)
    try:
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind((settings.http_host, settings.http_port))
    except OSError as error:
        made.close()
        raise SettingsError(
            f"{settings.http_host} port {settings.http_port} can't be listened on ({error.strerror}); "
            "set LISTBRIDGE_HTTP_HOST and LISTBRIDGE_HTTP_PORT to an address that is free"
        ) from error
    return made


def services(settings: Settings) -> list[Child]:
    """The children of `up`, in the order in which they start."""
    env = as_environ(settings) | {"PYTHONUNBUFFERED": "1", "POLARS_MAX_THREADS": "1"}
    call_seconds = settings.api_connect_timeout_seconds + settings.api_read_timeout_seconds
    address = ("--host", settings.http_host, "--port", str(settings.http_port))
    return [
        Child("fold", _worker("fold", "-P", "solo", "-Q", "fold"), env),
        Child("beat", (*CELERY, "beat", "-l", "WARNING"), env, stop_seconds=5),
        Child(
            "worker",
            _worker("worker", "-P", "threads", "-c", str(DELIVER_THREADS), "-Q", "deliver,schedule"),
            env,
            stop_seconds=call_seconds + 10,
        ),
        Child(
            "pull",
            _worker("pull", "-P", "threads", "-c", str(PULL_THREADS), "-Q", "pull"),
            env,
            stop_seconds=call_seconds + 10,
        ),
        Child("archive", _worker("archive", "-P", "solo", "-Q", "archive"), env, stop_seconds=30),
        Child("web", (*WEB, *address), env, ready=_healthy(settings), ready_seconds=60),
    ]


def _worker(name: str, *options: str) -> tuple[str, ...]:
    quiet = ("--without-gossip", "--without-mingle", "-l", "WARNING")
    return (*CELERY, "worker", "-n", f"{name}@%h", *options, *quiet)


def _healthy(settings: Settings) -> Callable[[], bool]:
    return lambda: answers(f"{local_url(settings)}/healthz")


def local_url(settings: Settings) -> str:
    """The HTTP side as this machine reaches it."""
    host = "127.0.0.1" if settings.http_host in ("", "0.0.0.0", "::") else settings.http_host  # noqa: S104 - compared
    return f"http://{host}:{settings.http_port}"


def answers(url: str) -> bool:
    """Does a GET succeed just now?"""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - of `local_url`
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
