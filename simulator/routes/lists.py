"""/lists: the lists themselves and their subscribers by state."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g

from simulator import changes, wire
from simulator.account import STATES, Client, SubscriberList
from simulator.errors import ApiError
from simulator.paging import page_request
from simulator.rows import subscriber_page
from simulator.stats import list_stats

SETTINGS = ("AllClientLists", "OnlyThisList")


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.post("/lists/<client_id>.json")(create)
    api.get("/lists/<list_id>.json")(details)
    api.put("/lists/<list_id>.json")(update)
    api.delete("/lists/<list_id>.json")(delete)
    api.get("/lists/<list_id>/segments.json")(segments)
    api.get("/lists/<list_id>/stats.json")(stats)
    for state in STATES:
        path = f"/lists/<list_id>/{state.lower()}.json"
        api.get(path, endpoint=f"list_{state.lower()}")(_by_state(state))


def create(client_id: str) -> Response:
    client, sent = wire.client_of(client_id), wire.body()
    title = _title(client, sent, None)
    setting = _setting(sent, "AllClientLists")
    made = wire.account().add_list(client, title)
    _write(made, sent, title, setting)
    return wire.created(made.list_id)


def _title(client: Client, sent: dict[str, Any], present: SubscriberList | None) -> str:
    title = wire.text(sent, "title")
    if not title:
        raise ApiError(251)
    if any(one.title.lower() == title.lower() for one in client.lists.values() if one is not present):
        raise ApiError(250)
    return title


def _setting(sent: dict[str, Any], default: str) -> str:
    wanted = wire.text(sent, "unsubscribesetting") or default
    for setting in SETTINGS:
        if setting.lower() == wanted.lower():
            return setting
    raise ApiError(261)


def _write(target: SubscriberList, sent: dict[str, Any], title: str, setting: str) -> None:
    target.title = title
    target.unsubscribe_setting = setting
    target.unsubscribe_page = wire.text(sent, "unsubscribepage")
    target.confirmed_opt_in = wire.flag(sent.get("confirmedoptin"))
    target.confirmation_page = wire.text(sent, "confirmationsuccesspage")


def details(list_id: str) -> Response:
    target = wire.list_of(list_id)
    return wire.reply(
        {
            "ConfirmedOptIn": target.confirmed_opt_in,
            "Title": target.title,
            "UnsubscribePage": target.unsubscribe_page,
            "ListID": target.list_id,
            "ConfirmationSuccessPage": target.confirmation_page,
            "UnsubscribeSetting": target.unsubscribe_setting,
        }
    )


def update(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    title = _title(target.client, sent, target)
    _write(target, sent, title, _setting(sent, target.unsubscribe_setting))
    account = wire.account()
    at = account.moment(target.client)
    if wire.flag(sent.get("addunsubscribestosupplist")):
        for person in target.in_order("Unsubscribed", "email"):
            changes.suppress(account, target.client, person.email, "Unsubscribed", at)
    if wire.flag(sent.get("scrubactivewithsupplist")):
        for person in target.in_order("Active", "email"):
            if person.email.lower() in target.client.suppressed:
                changes.opt_out(account, target, person, "unsubscribed", at, "api")
    return wire.done()


def delete(list_id: str) -> Response:
    target = wire.list_of(list_id)
    del target.client.lists[list_id]
    return wire.done()


def segments(list_id: str) -> Response:
    target = wire.list_of(list_id)
    return wire.reply(
        [
            {"ListID": list_id, "SegmentID": segment.segment_id, "Title": segment.title}
            for segment in target.segments.values()
        ]
    )


def stats(list_id: str) -> Response:
    target = wire.list_of(list_id)
    today = wire.account().clock.now().astimezone(target.client.zone).date()
    return wire.reply(list_stats(target, today))


def _by_state(state: str) -> Any:
    def view(list_id: str) -> Response:
        target, query = wire.list_of(list_id), wire.query()
        request = page_request(query, ["email", "name", "date"], "email")
        people = target.in_order(state, request.order_field)
        return wire.reply(subscriber_page(wire.account(), target, people, query, request, g.version))

    return view
