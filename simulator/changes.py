"""The changes a subscriber can undergo, whoever causes them: each tells the list's webhooks.

Dates are `Moment`s in the client's zone. What opted-out people go through is logged in the account.
"""

from __future__ import annotations

from typing import Any

from simulator import values
from simulator.account import Account, Cause, Client, Subscriber, SubscriberList, Suppression, WebhookEvent
from simulator.clock import Moment

SIGNUP_BY_API = "TypeManual"


def activate(
    account: Account,
    target: SubscriberList,
    person: Subscriber,
    at: Moment,
    cause: Cause,
    ip: str = SIGNUP_BY_API,
    *,
    state: str = "Active",
) -> None:
    """Make a new or inactive person Active (Unconfirmed, on request) and fire Subscribe.

    Lifts the suppression of a person who came back by themselves. Logs an API write that overrides
    an opt-out.
    """
    key = person.email.lower()
    how = person.opted_out or ("suppressed" if key in target.client.suppressed else "")
    if how and cause == "api" and state == "Active":
        looked_at = getattr(account.caller, "looked_at", "")
        log = _log(target.list_id, person.email, at, how) | {"looked_at": looked_at}
        account.added_after_opt_out.append(log)
    person.state, person.date = state, at.minute
    target.version += 1
    if state == "Active":
        person.opted_out = ""
        if cause == "human" or account.switches.resubscribe_lifts_suppression:
            target.client.suppressed.pop(key, None)
        event = {
            "EmailAddress": person.email,
            "Name": person.name,
            "SignupIPAddress": ip,
            "Type": "Subscribe",
        }
        _fire(account, target, person, at, cause, event)


def join(target: SubscriberList, email: str, name: str, at: Moment) -> Subscriber:
    """Put a new address into the list, not active yet; `activate` comes next."""
    consent = target.client.consent
    consent.setdefault(email.lower(), "Yes")
    person = Subscriber(email, name, "", at.minute, at.minute, reads_with=reader_of(email))
    target.subscribers[target.identity(email)] = person
    return person


def reader_of(email: str) -> str:
    """The mail program that an address reads with; empty where it was never seen to read."""
    programs = ("Gmail", "Apple Mail", "Outlook", "")
    return programs[sum(email.encode()) % len(programs)]


def updated(
    account: Account,
    target: SubscriberList,
    person: Subscriber,
    at: Moment,
    cause: Cause,
    old_email: str = "",
) -> None:
    """Fire Update for a change that was made already; `old_email` defaults to the present address."""
    target.version += 1
    event = {
        "OldEmailAddress": old_email or person.email,
        "EmailAddress": person.email,
        "Name": person.name,
        "State": person.state,
        "Type": "Update",
    }
    _fire(account, target, person, at, cause, event)


def rename(target: SubscriberList, person: Subscriber, email: str) -> None:
    """Give a person another address, free in this list; everything else stays."""
    del target.subscribers[target.identity(person.email)]
    consent = target.client.consent
    consent[email.lower()] = consent.get(person.email.lower(), "Yes")
    person.email = email
    target.subscribers[target.identity(email)] = person


def opt_out(
    account: Account, target: SubscriberList, person: Subscriber, how: str, at: Moment, cause: Cause
) -> None:
    """Take a person out who asked for it; `how` is unsubscribed, deleted or spam.

    On an AllClientLists list unsubscribing and complaining end every subscription of the client's
    and enter the suppression list; a complaint enters it anyway. Whoever left that way already is left alone.
    """
    state = "Deleted" if how == "deleted" else "Unsubscribed"
    if person.state == state and person.opted_out == how:
        return
    shown = account.switches.spam_webhook_state if how == "spam" else state
    everywhere = how != "deleted" and target.unsubscribe_setting == "AllClientLists"
    _leave(account, target, person, state, how, at, cause, shown)
    if everywhere or how == "spam":
        suppress(account, target.client, person.email, "Unsubscribed", at)
    if everywhere:
        for other in target.client.lists.values():
            twin = other.find(person.email)
            if twin is not None and other is not target and twin.state in ("Active", "Unconfirmed"):
                _leave(account, other, twin, state, how, at, cause, shown)


def bounce(account: Account, target: SubscriberList, person: Subscriber, at: Moment, cause: Cause) -> None:
    """Take a person out whose address is dead, and suppress the address."""
    _leave(account, target, person, "Bounced", "", at, cause, "Bounced")
    suppress(account, target.client, person.email, "Bounced", at)


def suppress(account: Account, client: Client, email: str, reason: str, at: Moment) -> None:
    """Enter an address into the suppression list, unless it is there; its list states stay."""
    if email.lower() not in client.suppressed:
        client.suppressed[email.lower()] = Suppression(email, reason, at.second)
        account.opt_outs.append(_log("", email, at, "suppressed"))


def _leave(
    account: Account,
    target: SubscriberList,
    person: Subscriber,
    state: str,
    how: str,
    at: Moment,
    cause: Cause,
    shown: str,
) -> None:
    was, person.state = person.state, state
    if was != state:  # the date is that of the last change of state
        person.date = at.minute
    target.version += 1
    if how:
        person.opted_out = how
        account.opt_outs.append(_log(target.list_id, person.email, at, how))
    if was != state:
        event = {"EmailAddress": person.email, "Name": person.name, "State": shown, "Type": "Deactivate"}
        _fire(account, target, person, at, cause, event)


def _log(list_id: str, email: str, at: Moment, how: str) -> dict[str, str]:
    return {"list_id": list_id, "email": email, "at": at.utc, "how": how}


# Webhooks of format Xml are kept and listed; nothing is sent to them.
def _fire(
    account: Account,
    target: SubscriberList,
    person: Subscriber,
    at: Moment,
    cause: Cause,
    event: dict[str, Any],
) -> None:
    listening = [
        hook
        for hook in target.webhooks.values()
        if hook.status == "Active" and hook.payload_format == "Json" and event["Type"] in hook.events
    ]
    if not listening:
        return
    fields = values.read(target.fields, person.values, account.switches.bracketed_keys)
    event = {"CustomFields": fields, "Date": at.minute, **event}
    for hook in listening:
        record = WebhookEvent(hook.webhook_id, hook.list_id, hook.url, event, cause)
        hook.waiting.append(record)
        account.webhook_events.append(record)
