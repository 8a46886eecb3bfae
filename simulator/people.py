"""What people do by themselves: sign up, leave, complain, move, and how addresses die."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

from simulator import changes, values
from simulator.account import Account, Subscriber, SubscriberList
from simulator.clock import Moment
from simulator.errors import UnknownPerson
from simulator.reports import SpamComplaint, Unsubscribe
from simulator.subscribing import is_email


def act(account: Account, action: str, list_id: str, email: str, details: Mapping[str, Any]) -> None:
    """Do one of `ACTIONS` now. `details` may hold name, values {key: [value, ...]}, new_email, and
    campaign_id, which enters an unsubscribe or a complaint into that campaign's report.

    Raises `UnknownPerson`, `ApiError` 102 for an unknown list, `KeyError` for an unknown action.
    """
    target = account.find_list(list_id)
    ACTIONS[action](account, target, email, account.moment(target.client), details)


def _subscribe(
    account: Account, target: SubscriberList, email: str, at: Moment, details: Mapping[str, Any]
) -> None:
    person = target.find(email) or changes.join(target, email, "", at)
    _write(target, person, details)
    if person.state == "Active":
        changes.updated(account, target, person, at, "human")
    else:
        changes.activate(account, target, person, at, "human", ip_of(email))


def _unsubscribe(
    account: Account, target: SubscriberList, email: str, at: Moment, details: Mapping[str, Any]
) -> None:
    person = _known(target, email)
    changes.opt_out(account, target, person, "unsubscribed", at, "human")
    if details.get("campaign_id"):
        row = Unsubscribe(person.email, target.list_id, at.minute, ip_of(person.email))
        account.find_campaign(details["campaign_id"]).reports["unsubscribes"].add(row)


def _spam(
    account: Account, target: SubscriberList, email: str, at: Moment, details: Mapping[str, Any]
) -> None:
    person = _known(target, email)
    changes.opt_out(account, target, person, "spam", at, "human")
    if details.get("campaign_id"):
        row = SpamComplaint(person.email, target.list_id, at.minute)
        account.find_campaign(details["campaign_id"]).reports["spam"].add(row)


def _bounce(account: Account, target: SubscriberList, email: str, at: Moment, _: Mapping[str, Any]) -> None:
    changes.bounce(account, target, _known(target, email), at, "human")


def _delete(account: Account, target: SubscriberList, email: str, at: Moment, _: Mapping[str, Any]) -> None:
    changes.opt_out(account, target, _known(target, email), "deleted", at, "human")


def _update(
    account: Account, target: SubscriberList, email: str, at: Moment, details: Mapping[str, Any]
) -> None:
    person = _known(target, email)
    _write(target, person, details)
    changes.updated(account, target, person, at, "human")


def _change_email(
    account: Account, target: SubscriberList, email: str, at: Moment, details: Mapping[str, Any]
) -> None:
    person = _known(target, email)
    new_email = str(details.get("new_email") or "")
    if not new_email or target.find(new_email) not in (None, person):
        raise UnknownPerson("new_email is missing or taken in this list")
    changes.rename(target, person, new_email)
    changes.updated(account, target, person, at, "human", email)


ACTIONS: dict[str, Callable[[Account, SubscriberList, str, Moment, Mapping[str, Any]], None]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "bounce": _bounce,
    "delete": _delete,
    "spam": _spam,
    "update": _update,
    "change-email": _change_email,
}


def interject(
    account: Account, target: SubscriberList, emails: Sequence[str], action: str, people: int
) -> list[str]:
    """Let up to `people` of these addresses do `action` as humans would; returns who did.

    Chosen by a checksum among those who are Active or not yet in the list; the latter sign up first.
    """
    able = {email.lower(): email for email in emails if _able(target, email)}
    chosen = sorted(able.values(), key=lambda email: (crc32(email.lower().encode()), email))[:people]
    for email in chosen:
        if target.find(email) is None:
            act(account, "subscribe", target.list_id, email, {})
        act(account, action, target.list_id, email, {})
    return chosen


def _able(target: SubscriberList, email: str) -> bool:
    person = target.find(email)
    if person is not None:
        return person.state == "Active"
    return is_email(email) and email.lower() not in target.client.suppressed


def ip_of(email: str) -> str:
    """The address that a person's own connection has: shared address space, always the same."""
    number = crc32(email.lower().encode())
    return f"100.{64 + number % 64}.{number >> 8 & 255}.{number >> 16 & 255}"


def _known(target: SubscriberList, email: str) -> Subscriber:
    person = target.find(email)
    if person is None:
        raise UnknownPerson(f"{email} is not in list {target.list_id}")
    return person


def _write(target: SubscriberList, person: Subscriber, details: Mapping[str, Any]) -> None:
    if details.get("name") is not None:
        person.name = str(details["name"])
    for key, chosen in (details.get("values") or {}).items():
        entries: list[dict[str, Any]] = [{"key": key, "value": "", "clear": True}]
        entries += [{"key": key, "value": value} for value in chosen]
        values.write(target.fields, person.values, entries, values.ValueRules())
