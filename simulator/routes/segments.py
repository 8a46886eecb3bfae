"""/segments."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g

from simulator import segments, wire
from simulator.account import Segment, SubscriberList
from simulator.errors import ApiError
from simulator.paging import page_request
from simulator.rows import subscriber_page


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.post("/segments/<list_id>.json")(create)
    api.get("/segments/<segment_id>.json")(details)
    api.put("/segments/<segment_id>.json")(update)
    api.delete("/segments/<segment_id>.json")(delete)
    api.post("/segments/<segment_id>/rules.json")(add_rules)
    api.delete("/segments/<segment_id>/rules.json")(clear_rules)
    api.get("/segments/<segment_id>/active.json")(active)


def _title(target: SubscriberList, sent: dict[str, Any], present: Segment | None) -> str:
    title = wire.text(sent, "title")
    if not title:
        raise ApiError(273)
    others = (segment for segment in target.segments.values() if segment is not present)
    if any(segment.title.lower() == title.lower() for segment in others):
        raise ApiError(275)
    return title


def _groups(target: SubscriberList, sent: Any) -> list[dict[str, Any]]:
    for group in wire.rows_of(sent):
        wire.rows_of(group.get("rules"))
    return segments.check_groups(target, sent)


def create(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    title = _title(target, sent, None)
    groups = _groups(target, sent.get("rulegroups"))
    limit = wire.account().switches.segment_limit
    if limit and wire.account().segment_count() >= limit:
        raise ApiError(283)
    segment = Segment(wire.account().new_id(), target, title, groups)
    target.segments[segment.segment_id] = segment
    return wire.created(segment.segment_id)


def details(segment_id: str) -> Response:
    segment = wire.segment_of(segment_id)
    return wire.reply(
        {
            "ActiveSubscribers": len(segments.members(segment)),
            "RuleGroups": segment.groups,
            "ListID": segment.owner.list_id,
            "SegmentID": segment.segment_id,
            "Title": segment.title,
        }
    )


def update(segment_id: str) -> Response:
    segment, sent = wire.segment_of(segment_id), wire.body()
    title = _title(segment.owner, sent, segment)
    # Whether rules survive a call that names none is disputed; here they do.
    if sent.get("rulegroups") is not None:
        segment.groups = _groups(segment.owner, sent["rulegroups"])
    segment.title = title
    return wire.done()


def delete(segment_id: str) -> Response:
    segment = wire.segment_of(segment_id)
    del segment.owner.segments[segment_id]
    return wire.done()


def add_rules(segment_id: str) -> Response:
    segment, sent = wire.segment_of(segment_id), wire.body()
    segment.groups += _groups(segment.owner, [sent])
    return wire.done()


def clear_rules(segment_id: str) -> Response:
    wire.segment_of(segment_id).groups = []
    return wire.done()


def active(segment_id: str) -> Response:
    segment, query = wire.segment_of(segment_id), wire.query()
    request = page_request(query, ["email", "name", "date"], "email")
    chosen = {person.email for person in segments.members(segment)}
    people = [one for one in segment.owner.in_order("Active", request.order_field) if one.email in chosen]
    page = subscriber_page(wire.account(), segment.owner, people, query, request, g.version, reads_with=False)
    return wire.reply(page)
