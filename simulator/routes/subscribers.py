"""/subscribers."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from operator import itemgetter
from typing import Any

from flask import Blueprint, Response, g

from simulator import changes, subscribing, wire
from simulator.account import Campaign, Subscriber, SubscriberList
from simulator.errors import ApiError
from simulator.rows import subscriber_row

HISTORY_LIMIT = 60


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.post("/subscribers/<list_id>.json")(add)
    api.put("/subscribers/<list_id>.json")(update)
    api.get("/subscribers/<list_id>.json")(details)
    api.delete("/subscribers/<list_id>.json")(delete)
    api.post("/subscribers/<list_id>/import.json")(import_subscribers)
    api.post("/subscribers/<list_id>/unsubscribe.json")(unsubscribe)
    api.get("/subscribers/<list_id>/history.json")(history)


def add(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.checked_row(wire.body())
    account = wire.account()
    resubscribe = wire.flag(sent.get("resubscribe"))
    delay = account.switches.add_delay_seconds
    if delay <= 0:
        subscribing.add(account, target, sent, resubscribe, account.moment(target.client))
        return wire.created(wire.text(sent, "emailaddress"))

    email = subscribing.check_row(sent)
    code = subscribing.refusal_in(account, target, email, resubscribe)
    if code is not None:
        raise ApiError(code)

    def apply() -> None:
        # Someone may have left since: then the add never shows, though it was answered 201.
        with suppress(ApiError):
            subscribing.add(account, target, sent, resubscribe, account.moment(target.client))

    account.delayed.append((account.clock.now() + timedelta(seconds=delay), apply))
    return wire.created(email)


def update(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.checked_row(wire.body())
    email, resubscribe = wire.query().get("email", ""), wire.flag(sent.get("resubscribe"))
    at = wire.account().moment(target.client)
    subscribing.update(wire.account(), target, email, sent, resubscribe, at)
    return wire.done()


def import_subscribers(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    rows = [wire.checked_row(row) for row in wire.rows_of(sent.get("subscribers"))]
    at = wire.account().moment(target.client)
    resubscribe = wire.flag(sent.get("resubscribe"))
    queue = wire.flag(sent.get("queuesubscriptionbasedautoresponders"))
    restart = wire.flag(sent.get("restartsubscriptionbasedautoresponders"))
    result = subscribing.import_rows(
        wire.account(), target, rows, resubscribe, at, queue=queue, restart=restart
    )
    if result.failures:
        raise ApiError(210, result.partial_body())
    return wire.reply(result.body(), 201)


def _person(target: SubscriberList, email: str) -> Subscriber:
    person = target.find(email)
    if person is None:
        raise ApiError(203)
    return person


def details(list_id: str) -> Response:
    target, query = wire.list_of(list_id), wire.query()
    wire.account().note_look()
    person = _person(target, query.get("email", ""))
    tracking = wire.flag(query.get("includetrackingpreference"))
    row = subscriber_row(wire.account(), target, person, version=g.version, tracking=tracking, sms=True)
    return wire.reply(row)


def unsubscribe(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    person = _person(target, wire.text(sent, "emailaddress"))
    at = wire.account().moment(target.client)
    changes.opt_out(wire.account(), target, person, "unsubscribed", at, "api")
    return wire.done()


def delete(list_id: str) -> Response:
    target = wire.list_of(list_id)
    person = _person(target, wire.query().get("email", ""))
    at = wire.account().moment(target.client)
    changes.opt_out(wire.account(), target, person, "deleted", at, "api")
    return wire.done()


def history(list_id: str) -> Response:
    target = wire.list_of(list_id)
    person = _person(target, wire.query().get("email", ""))
    campaigns = sorted(target.client.campaigns.values(), key=lambda one: one.sent, reverse=True)
    return wire.reply(
        [
            {"ID": one.campaign_id, "Type": "Campaign", "Name": one.name, "Actions": _actions(one, person)}
            for one in campaigns
            if person.email in one.reports["recipients"].people()
        ]
    )


def _actions(campaign: Campaign, person: Subscriber) -> list[dict[str, Any]]:
    """A person's opens and clicks, newest first, at most `HISTORY_LIMIT`."""
    actions = [
        {"Event": event, "Date": row.Date, "IPAddress": row.IPAddress, "Detail": getattr(row, "URL", "")}
        for event, report in (("Open", "opens"), ("Click", "clicks"))
        if person.email in campaign.reports[report].people()
        for row in campaign.reports[report].rows()
        if row.EmailAddress == person.email
    ]
    return sorted(actions, key=itemgetter("Date"), reverse=True)[:HISTORY_LIMIT]
