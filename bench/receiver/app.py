"""The application that is measured, as `listbridge up` serves it, with three views beside it to compare with.

`/bench/flask` is an empty view of a plain Flask application that reads the body; `/bench/write` adds the body
to a stream of the store, as it came; `/bench/wsgi` is the empty view without Flask. Everything else goes to
ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, request

from bench.receiver.paths import FLASK, WRITE, WSGI
from webhooks import app as ours
from webhooks.wiring import EXTENSION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_empty = Flask(__name__, static_folder=None)
_ours = ours.app
_store = _ours.extensions[EXTENSION].context.store
_stream = _store.parts[0].stream("bench")


@_empty.post(FLASK)
def _read() -> str:
    request.get_data()
    return "{}"


@_empty.post(WRITE)
def _write() -> str:
    _store.client.xadd(_stream, {"e": request.get_data()})
    return "{}"


def _bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


_OTHERS: Final[dict[str, Any]] = {FLASK: _empty, WRITE: _empty, WSGI: _bare}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    found: Iterable[bytes] = _OTHERS.get(environ["PATH_INFO"], _ours)(environ, start_response)
    return found
