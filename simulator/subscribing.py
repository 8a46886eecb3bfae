"""The API's writes of subscribers: add, update and import, with the resubscribe matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator import changes, values
from simulator.account import Account, Subscriber, SubscriberList
from simulator.clock import Moment
from simulator.errors import ERRORS, ApiError
from simulator.switches import Switches

IMPORT_LIMIT = 1000
# Addresses outside ASCII are refused with code 1.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
_MOBILE = re.compile(r"\+[1-9]\d{6,14}")
# Inside an import code 1 has its documented title, not the message of a single add.
_IMPORT_MESSAGES = {
    1: "Invalid Email Address",
    429: "Subscriber was added too many times too quickly, try again later.",
}
_REFUSALS = {"Deleted": 205, "Unsubscribed": 206, "Bounced": 207, "Unconfirmed": 208}


def check_row(row: Mapping[str, Any]) -> str:
    """The row's address, once it, the mobile number and the consent are found valid.

    Raises `ApiError` 1, 220, 221, -213 or 215. Property names are in lower case.
    """
    email = str(row.get("emailaddress") or "").strip()
    valid = is_email(email)
    if not is_mobile(row):
        raise ApiError(220 if valid else 221)
    if not valid:
        raise ApiError(1)
    check_consent(row)
    return email


def is_email(address: str) -> bool:
    """Whether the API takes this for an address."""
    return _EMAIL.fullmatch(address) is not None


def is_mobile(row: Mapping[str, Any]) -> bool:
    """Whether the row's mobile number, if it has one, is E.164."""
    mobile = row.get("mobilenumber") or ""
    return not mobile or _MOBILE.fullmatch(str(mobile)) is not None


def check_consent(row: Mapping[str, Any]) -> None:
    """Raises `ApiError` -213 without ConsentToTrack, 215 for one that is not Yes, No or Unchanged."""
    consent = row.get("consenttotrack")
    if consent is None or consent == "":
        raise ApiError(-213)
    if str(consent).lower() not in ("yes", "no", "unchanged"):
        raise ApiError(215)


def refusal(
    state: str | None, *, suppressed: bool, honours_suppression: bool, resubscribe: bool, switches: Switches
) -> int | None:
    """The resubscribe matrix: the code that refuses a person in `state` (None: never in the list).

    None means that the person is added, updated or added again.
    """
    if resubscribe or not switches.opt_outs_hold:
        return None
    if suppressed and honours_suppression:
        if state is not None:
            return 204
        return 204 if switches.suppressed_never_in_list == "204" else None
    return None if state is None else _REFUSALS.get(state)


def refusal_in(account: Account, target: SubscriberList, email: str, resubscribe: bool) -> int | None:
    """The code that refuses this address in this list now, or None."""
    person = target.find(email)
    return refusal(
        person.state if person else None,
        suppressed=email.lower() in target.client.suppressed,
        honours_suppression=target.unsubscribe_setting == "AllClientLists",
        resubscribe=resubscribe,
        switches=account.switches,
    )


def add(
    account: Account, target: SubscriberList, row: Mapping[str, Any], resubscribe: bool, at: Moment
) -> None:
    """Add or update one checked row. Raises `ApiError` by the matrix."""
    email = check_row(row)
    code = _too_fast(account, target, email) or refusal_in(account, target, email, resubscribe)
    if code is not None:
        raise ApiError(code)
    rules = values.rules_of(account.switches)
    store(account, target, email, row, rules, at)


def _too_fast(account: Account, target: SubscriberList, email: str) -> int | None:
    """429 for an address that was written just now, else None, and the time is noted."""
    now, seconds = account.clock.now(), account.switches.too_fast_seconds
    if not seconds:
        return None
    before = target.written.get(email.lower())
    if before is not None and (now - before).total_seconds() < seconds:
        return 429
    target.written[email.lower()] = now
    return None


def store(
    account: Account,
    target: SubscriberList,
    email: str,
    row: Mapping[str, Any],
    rules: values.ValueRules,
    at: Moment,
) -> bool:
    """Write a row that the matrix lets through; True if the address is new to the list."""
    person = target.find(email)
    new = person is None
    if person is None:
        person = changes.join(target, email, "", at)
    write_details(target, person, row, rules)
    if person.state == "Active":
        changes.updated(account, target, person, at, "api")
    else:
        state = "Unconfirmed" if target.confirmed_opt_in else "Active"
        changes.activate(account, target, person, at, "api", state=state)
    return new


def write_details(
    target: SubscriberList, person: Subscriber, row: Mapping[str, Any], rules: values.ValueRules
) -> None:
    """Write name, fields, consent and mobile number; what the row does not name stays."""
    if row.get("name") is not None:
        person.name = str(row["name"])
    values.write(target.fields, person.values, row.get("customfields") or (), rules)
    consent = str(row.get("consenttotrack")).capitalize()
    if consent in ("Yes", "No"):
        target.client.consent[person.email.lower()] = consent
    if row.get("mobilenumber") is not None:
        person.mobile = str(row["mobilenumber"])
    if person.mobile and row.get("consenttosendsms"):
        person.sms_consent = str(row["consenttosendsms"]).capitalize()


def update(
    account: Account,
    target: SubscriberList,
    email: str,
    row: Mapping[str, Any],
    resubscribe: bool,
    at: Moment,
) -> None:
    """Update the person at `email`, who may be inactive and stays so unless `resubscribe` says otherwise.

    Raises `ApiError` 203, 211, 220, 201, 429, -213, 215.
    """
    person = target.find(email)
    if person is None:
        raise ApiError(203)
    new_email = str(row.get("emailaddress") or person.email).strip()
    if not is_email(new_email):
        raise ApiError(211)
    if not is_mobile(row):
        raise ApiError(220)
    check_consent(row)
    if target.find(new_email) not in (None, person):
        raise ApiError(201)
    if code := _too_fast(account, target, new_email):
        raise ApiError(code)
    old_email = person.email
    if new_email != old_email:
        changes.rename(target, person, new_email)
    rules = values.rules_of(account.switches)
    write_details(target, person, row, rules)
    returning = resubscribe and person.state != "Active"
    if returning:
        changes.activate(account, target, person, at, "api")
    if not returning or new_email != old_email:
        changes.updated(account, target, person, at, "api", old_email)


@dataclass
class ImportResult:
    """What became of an import's rows; unique = existing + new + failed."""

    unique: int = 0
    existing: int = 0
    new: int = 0
    duplicates: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The answer to an import without failures."""
        return {
            "FailureDetails": self.failures,
            "TotalUniqueEmailsSubmitted": self.unique,
            "TotalExistingSubscribers": self.existing,
            "TotalNewSubscribers": self.new,
            "DuplicateEmailsInSubmission": self.duplicates,
        }

    def partial_body(self) -> dict[str, Any]:
        """The ResultData of an import with failures; its keys are recorded in another order."""
        body = self.body()
        return {**{key: body[key] for key in list(body)[1:]}, "FailureDetails": self.failures}


def import_rows(
    account: Account,
    target: SubscriberList,
    rows: list[dict[str, Any]],
    resubscribe: bool,
    at: Moment,
    *,
    queue: bool = False,
    restart: bool = False,
) -> ImportResult:
    """Import rows in order, the good ones in spite of the bad; of rows for one address the last counts.

    `queue` starts automations for people who are new, `restart` for who was inactive.
    Raises `ApiError` 212 for no rows and 209 for more than `IMPORT_LIMIT`, storing nothing.
    """
    if not rows:
        raise ApiError(212)
    if len(rows) > IMPORT_LIMIT:
        raise ApiError(209)
    result = ImportResult()
    unique: dict[str, dict[str, Any]] = {}
    first = account.switches.duplicate_rows == "first"
    for row in rows:
        key = str(row.get("emailaddress") or "").strip().lower()
        if key in unique and key not in (seen.lower() for seen in result.duplicates):
            result.duplicates.append(str(row["emailaddress"]).strip() if key else "")
        unique[key] = unique.get(key, row) if first else row
    result.unique = len(unique)
    rules = values.rules_of(account.switches, append=account.switches.import_multi_select == "append")
    for row in unique.values():
        email = str(row.get("emailaddress") or "").strip()
        before = target.find(email)
        inactive = before is not None and before.state != "Active"
        _import_row(account, target, row, resubscribe, rules, at, result)
        if (queue and before is None and target.find(email)) or (restart and inactive and resubscribe):
            how = "restarted" if inactive else "queued"
            account.automations.append({"list_id": target.list_id, "email": email, "how": how})
    return result


def _import_row(
    account: Account,
    target: SubscriberList,
    row: dict[str, Any],
    resubscribe: bool,
    rules: values.ValueRules,
    at: Moment,
    result: ImportResult,
) -> None:
    try:
        email = check_row(row)
        code = _too_fast(account, target, email) or refusal_in(account, target, email, resubscribe)
        if account.switches.unknown_key == "refused" and values.unknown_keys(target.fields, row):
            code = code or 253
    except ApiError as error:
        code = error.code
    if code is not None:
        message = _IMPORT_MESSAGES.get(code, ERRORS[code][1])
        address = str(row.get("emailaddress") or "")
        result.failures.append({"EmailAddress": address, "Code": code, "Message": message})
    elif store(account, target, email, row, rules, at):
        result.new += 1
    else:
        result.existing += 1
