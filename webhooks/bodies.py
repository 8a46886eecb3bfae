"""Reading a body of audience events: whole when it is right, else event by event to say what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import msgspec
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from listbridge.audiences import MAX_EVENTS, AudienceEvent, AudienceEvents, Fault, faults
from webhooks.errors import Refusal

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Loose(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


_decode = msgspec.json.Decoder(AudienceEvents).decode
_decode_loose = msgspec.json.Decoder(_Loose).decode
_decode_event = msgspec.json.Decoder(AudienceEvent).decode


def require_json() -> None:
    """Raises `Refusal` (415) when the body says that it is something else."""
    if not request.is_json:
        raise Refusal(415, "send JSON, with Content-Type: application/json")


def read_body() -> bytes:
    """The whole body. Raises `RequestEntityTooLarge` (413), and `Refusal` (400) when it was cut short.

    Werkzeug cuts a body without Content-Length at its limit and says nothing, so its limit
    (`werkzeug_limit`) is one byte above ours: a body that reaches it is too large.
    """
    body = request.get_data()
    if len(body) == request.max_content_length:
        raise RequestEntityTooLarge
    if len(body) < (request.content_length or 0):
        raise Refusal(400, "the body is shorter than its Content-Length")
    return body


def werkzeug_limit(max_body_bytes: int) -> int:
    """The MAX_CONTENT_LENGTH that `read_body` needs to let bodies of `max_body_bytes` through."""
    return max_body_bytes + 1


def audience_events(body: bytes, now: int) -> Sequence[AudienceEvent]:
    """The events of a body, all without faults; `now` is epoch milliseconds.

    Raises `Refusal`: 400 when it isn't JSON, 422 when it isn't of the shape or an event can't be
    true. Each event's first fault of shape is told, and all others.
    """
    try:
        decoded = _decode(body)
    except UNREADABLE:
        _refuse(*_faults_singly(body, now))
    found = faults(decoded, now)
    if found:
        _refuse(422, found)
    return decoded.events


def _faults_singly(body: bytes, now: int) -> tuple[int, list[Fault]]:
    """What is wrong with a body that doesn't decode whole, event by event: the status and the faults."""
    try:
        raws = _decode_loose(body).events
    except UNREADABLE as error:
        return _status(error), [_fault(error, "$")]
    if len(raws) > MAX_EVENTS:
        return 422, [Fault("$.events", f"{len(raws)} events; at most {MAX_EVENTS} a call")]
    status, found = 422, []
    for index, raw in enumerate(raws):
        place = f"$.events[{index}]"
        try:
            event = _decode_event(raw)
        except UNREADABLE as error:
            status = min(status, _status(error))
            found.append(_fault(error, place))
        else:
            found += [
                Fault(fault.path.replace("$.events[0]", place, 1), fault.message)
                for fault in faults(AudienceEvents([event]), now)
            ]
    return status, found


def _refuse(status: int, found: Sequence[Fault]) -> NoReturn:
    raise Refusal(status, "the body is not JSON" if status == 400 else "nothing was stored", found)


def _status(error: Exception) -> int:
    """400 for what isn't JSON, 422 for JSON of another shape."""
    return 422 if isinstance(error, msgspec.ValidationError) else 400


def _fault(error: Exception, place: str) -> Fault:
    """msgspec writes the path behind the message: ``Expected `str`, got `int` - at `$.email` ``."""
    if isinstance(error, RecursionError):
        return Fault(place, "nested too deeply")
    message, found, path = str(error).rpartition(" - at `$")
    return Fault(place + path.removesuffix("`"), message) if found else Fault(place, path)
