"""/journeys: journeys and the reports of their automated e-mails."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from simulator import wire
from simulator.errors import ApiError
from simulator.journeys import JOURNEY_REPORTS, Email, Journey
from simulator.paging import page_request, since


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.get("/clients/<client_id>/journeys.json")(journeys)
    api.get("/journeys/<journey_id>.json")(summary)
    for name in JOURNEY_REPORTS:
        path = f"/journeys/email/<email_id>/{name}.json"
        api.get(path, endpoint=f"email_{name}")(_report(name))


def journeys(client_id: str) -> Response:
    return wire.reply(
        [
            {
                "ListID": each.owner.list_id,
                "JourneyID": each.journey_id,
                "Name": each.name,
                "TriggerType": each.trigger,
                "Status": each.status,
            }
            for each in wire.client_of(client_id).journeys.values()
        ]
    )


def summary(journey_id: str) -> Response:
    found = _find(lambda journey: journey.journey_id == journey_id, 3000)
    return wire.reply(
        {
            "JourneyID": found.journey_id,
            "Name": found.name,
            "TriggerType": found.trigger,
            "Status": found.status,
            "Emails": [email.figures() for email in found.emails],
        }
    )


def _find(wanted: Callable[[Journey], bool], code: int) -> Journey:
    """The journey, if the key may see it. Raises `ApiError` with `code` or 102."""
    for client in wire.account().clients.values():
        for journey in client.journeys.values():
            if wanted(journey):
                wire.client_of(client.client_id)
                return journey
    raise ApiError(code)


def _email(email_id: str) -> Email:
    journey = _find(lambda one: any(email.email_id == email_id for email in one.emails), 3002)
    return next(email for email in journey.emails if email.email_id == email_id)


def _report(name: str) -> Callable[[str], Response]:
    def view(email_id: str) -> Response:
        email, query = _email(email_id), wire.query()
        request = page_request(query, ["date"], "date")
        rows = email.reports[name].rows("date", since(query), inclusive=wire.inclusive())
        return wire.reply(wire.page(rows, request, "SentDate" if name == "recipients" else "Date"))

    return view
