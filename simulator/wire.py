"""What a view needs of HTTP: the query, the body, the answer, and what the caller may see."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response, g, request

from simulator.account import Account, Campaign, Client, Segment, SubscriberList
from simulator.errors import ApiError
from simulator.paging import PageRequest, cut, envelope
from simulator.simulation import Simulator

JSON = "application/json; charset=utf-8"
SIMULATOR = "simulator.simulator"
"""Where in the environment of a request its simulator is."""


def simulator() -> Simulator:
    """The simulator that serves this request."""
    found: Simulator = request.environ[SIMULATOR]
    return found


def account() -> Account:
    """Its account."""
    return simulator().account


def reply(body: Any, status: int = 200) -> Response:
    """A JSON answer; `pretty=true` indents it."""
    encoded = msgspec.json.encode(body)
    if query().get("pretty", "").lower() == "true":
        encoded = msgspec.json.format(encoded, indent=2)
    return Response(encoded, status, content_type=JSON)


def created(identifier: str) -> Response:
    """201 with a bare JSON string, as every create answers."""
    return reply(identifier, 201)


def done() -> Response:
    """200 with an empty body, as changes and deletions answer."""
    return Response(b"", 200, content_type=JSON)


def query() -> dict[str, str]:
    """The query: names in lower case; what is empty counts as absent."""
    return {name.lower(): value for name, value in request.args.items() if value != ""}


def flag(value: Any) -> bool:
    """A boolean, which clients also send as text."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def body() -> dict[str, Any]:
    """The JSON object sent, property names in lower case on every level; blank is an empty one.

    Raises `ApiError` 400 for anything else.
    """
    data = request.get_data().strip()
    try:
        sent = msgspec.json.decode(data) if data else {}
    except msgspec.DecodeError:
        raise ApiError(400) from None
    if not isinstance(sent, dict):
        raise ApiError(400)
    folded: dict[str, Any] = _folded(sent)
    return folded


def rows_of(sent: Any) -> list[dict[str, Any]]:
    """An array of objects, or nothing. Raises `ApiError` 400 for anything else."""
    if sent is None:
        return []
    if not isinstance(sent, list) or not all(isinstance(row, dict) for row in sent):
        raise ApiError(400)
    return sent


def checked_row(row: dict[str, Any]) -> dict[str, Any]:
    """A subscriber's row with its CustomFields checked to be an array of objects."""
    rows_of(row.get("customfields"))
    return row


def _folded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _folded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_folded(inner) for inner in value]
    return value


def text(sent: dict[str, Any], name: str) -> str:
    """A property as text, empty when absent or null."""
    value = sent.get(name)
    return "" if value is None else str(value).strip()


def client_of(client_id: str) -> Client:
    """The client, if the key may see it. Raises `ApiError` 102."""
    client = account().clients.get(client_id)
    if client is None:
        raise ApiError(102)
    return _allowed(client)


def list_of(list_id: str) -> SubscriberList:
    """The list, if the key may see it. Raises `ApiError` 102."""
    found = account().find_list(list_id)
    _allowed(found.client)
    return found


def campaign_of(campaign_id: str) -> Campaign:
    """The campaign, if the key may see it. Raises `ApiError` 102."""
    found = account().find_campaign(campaign_id)
    _allowed(found.client)
    return found


def segment_of(segment_id: str) -> Segment:
    """The segment, if the key may see it. Raises `ApiError` 271 or 102."""
    found = account().find_segment(segment_id)
    _allowed(found.owner.client)
    return found


def _allowed(client: Client) -> Client:
    if g.only_client not in (None, client.client_id):
        raise ApiError(102)
    return client


def page(rows: Any, request_: PageRequest, ordered_by: str = "") -> dict[str, Any]:
    """The envelope with one page of `rows`, which ascend by the order asked for."""
    empty_pages = account().switches.empty_page_count
    results = cut(rows, request_)
    return envelope(results, len(rows), request_, ordered_by=ordered_by, empty_pages=empty_pages)


def inclusive() -> bool:
    """Whether the `date` filter includes rows of that very moment."""
    return account().switches.date_filter == "inclusive"
