"""The application that is measured, as `listbridge up` serves it, with two views beside it to compare with.

`/bench/flask` is an empty view of a plain Flask application that reads the body, `/bench/wsgi` the same
without Flask. Everything else goes to ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, request

from bench.receiver.paths import FLASK, WSGI
from webhooks import app as ours

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_empty = Flask(__name__, static_folder=None)


@_empty.post(FLASK)
def _read() -> str:
    request.get_data()
    return "{}"


def _bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


_OTHERS: Final[dict[str, Any]] = {FLASK: _empty, WSGI: _bare}
_ours = ours.app


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    found: Iterable[bytes] = _OTHERS.get(environ["PATH_INFO"], _ours)(environ, start_response)
    return found
