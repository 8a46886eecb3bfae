"""Answers as JSON, encoded by msgspec: the event paths don't pay for more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Response

from listbridge.streams.events import Counts

_encode = msgspec.json.Encoder().encode


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(body), status, headers, mimetype="application/json")


def counted(counts: Counts, status: int) -> Response:
    """`{"accepted", "duplicates", "quarantined"}`, and `erased` where there are such events."""
    body = {
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
    }
    if counts.erased:
        body["erased"] = counts.erased
    return answer(body, status)
