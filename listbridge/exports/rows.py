"""The row that a list should hold of a person: which options, which values, at which address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from listbridge.exports.delivered import Delivered, Refused, content, places
from listbridge.exports.protocol import FieldValue, Row
from listbridge.exports.terms import (
    MAX_VALUE,
    MOBILE,
    OF_THE_PERSON,
    SHOWN_CHOICES,
    UNKNOWN_OPTION,
    Feed,
    ListSpec,
    Person,
)
from listbridge.exports.values import CLEARED, Unfit, consent, e164, filled, fitted, lookup


def moving(
    row: Row, person: Person, spec: ListSpec, delivered: Delivered | None, refused: Refused | None
) -> Row:
    """The row, with the other addresses under which the list may have the person.

    Whoever is in no audience is not moved: the row is cleared where it is. In `add_only` nobody is.
    """
    went = delivered is not None and bool(delivered.address or delivered.earlier)
    if not (spec.by_address or went) or spec.mode == "add_only":
        return row
    if delivered is not None and not row.options and not delivered.earlier:
        return replace(row, email=delivered.address or person.key)
    wanted = row.email.lower()
    found = places(person.key, delivered, refused, OF_THE_PERSON)
    others = [each for each in found if each != wanted]
    if not others:
        return row
    cleared = tuple(label for label in spec.labels if label not in row.options)
    ours = tuple(each for each in others if each not in person.lost)
    lost = tuple(each for each in others if each in person.lost)
    return replace(row, moved_from=ours, formerly=lost, cleared=cleared)


def content_of(row: Row) -> str:
    """A fingerprint of everything in a row that could be a reason to refuse it."""
    contact = (row.consent, row.mobile, row.sms)
    more = f"\n{contact}" if any(contact) else ""
    return content(f"{row.email}\n{row.name}\n{row.values}{more}", row.options)


def wanted_options(person: Person, spec: ListSpec, delivered: Delivered | None) -> tuple[str, ...]:
    """The labels the list should hold: running feeds by membership; a paused feed's stay as they are.

    A membership that a feed does not count (see `Feed.existing_users`) neither sets nor clears a label,
    and a label of an audience that no event ever named for the person stays: others set it. So does one
    of a feed on whose `on_exit` nothing happens. The label of an audience that was taken out of a feed is
    as if everybody had left it.
    """
    held = {*delivered.options, *delivered.others} if delivered else set()
    wanted: set[str] = set()
    for feed in spec.feeds:
        if not feed.running or feed.on_exit == "nothing":
            wanted |= held & retired_labels(feed, spec)
        for slug, label in feed.audiences.items():
            before = held & feed.labels(slug) if held else held
            membership = person.membership(slug, feed)
            stays = feed.on_exit == "nothing" or not person.was_told_of(slug, feed)
            if not feed.running or (membership is None and stays):
                wanted |= before
            elif membership is not None and (before or feed.counts(slug, membership)):
                wanted.add(label)
    return tuple(sorted(wanted))


def retired_labels(feed: Feed, spec: ListSpec) -> set[str]:
    """The labels of audiences that were taken out of a feed, and that no feed has now."""
    if not feed.retired:
        return set()
    now = {label for each in spec.feeds for slug in each.audiences for label in each.labels(slug)}
    return feed.retired.keys() - now


def build_row(
    person: Person,
    spec: ListSpec,
    options: tuple[str, ...],
    delivered: Delivered | None,
    *,
    unsure: bool,
    raised: bool = False,
) -> Row:
    """The row for these options.

    What we know the list holds is cleared by name; what we can't know (never sent, `unsure`, another
    field) means every label of ours. So the row is right whether the system replaces or appends values.
    """
    same = delivered is not None and delivered.field == spec.field_key
    known = delivered is not None and same and not unsure and delivered.writes and not delivered.others
    ours = delivered.options if delivered is not None and known else spec.labels
    others = delivered.others if delivered is not None and same else ()
    name = lookup(person.fields, spec.name_field) if spec.name_field else None
    values, dropped = _values(person, spec)
    for key in spec.keeps:
        _keep(key, values, delivered, again=unsure and not raised)
    mobile, contact = None, spec.contact
    if contact.mobile_field:
        found = e164(lookup(person.fields, contact.mobile_field), contact.mobile_region)
        if isinstance(found, Unfit):
            dropped[MOBILE] = found.words
        else:
            mobile = found
    return Row(
        key=person.key,
        email=address_of(person, spec),
        name=name if isinstance(name, str) else None,
        options=options,
        cleared=tuple(label for label in ours if label not in options),
        values=tuple(sorted(values.items())),
        other_options=tuple(each for each in others if each not in {*spec.labels, *options}),
        new=person.status is None and (delivered is None or (unsure and not delivered.known)),
        removed=_removed(spec, values, delivered),
        consent=_consent(person, contact.consent_field, contact.consent),
        mobile=mobile,
        sms=(_consent(person, contact.sms_field, contact.sms) or contact.sms) if mobile else None,
        dropped=tuple(sorted(dropped.items())),
    )


def _values(person: Person, spec: ListSpec) -> tuple[dict[str, FieldValue], dict[str, str]]:
    """The values by field key, and why others are left out."""
    values: dict[str, FieldValue] = {}
    dropped: dict[str, str] = {}
    found: dict[str, Any] = {}
    for source, key in (spec.fields or {}).items():
        value = lookup(person.fields, source)
        found[key] = found.get(key) if value is None else value
    found |= {key: filled(template, person.fields) for key, template in spec.templates.items()}
    for key, value in found.items():
        fit = fitted(value, spec.kinds.get(key, ""), spec.choices.get(key))
        if isinstance(fit, Unfit):
            dropped[key] = fit.words
        elif fit is not None:
            values[key] = fit
        elif spec.when_null.get(key) == "clear":
            values[key] = CLEARED
    return values, dropped


def _keep(key: str, values: dict[str, FieldValue], delivered: Delivered | None, *, again: bool) -> None:
    """Leave the field alone if it holds something; our own row that may be lost is sent `again` as it was."""
    held = delivered.values.get(key) if delivered is not None else None
    if held and delivered is not None:
        values.pop(key, None)
        if again and delivered.writes:
            values[key] = held


def _removed(
    spec: ListSpec, values: Mapping[str, FieldValue], delivered: Delivered | None
) -> tuple[tuple[str, str], ...]:
    """The options of other fields of many options that the list was told before and that are gone."""
    if delivered is None:
        return ()
    gone = []
    for key, value in values.items():
        if spec.kinds.get(key) == "MultiSelectMany" and value != CLEARED:
            now = {value} if isinstance(value, str) else {*value}
            before = delivered.values.get(key, ())
            gone += [(key, each) for each in _texts(before) if each and each not in now]
    return tuple(sorted(gone))


def _texts(value: FieldValue) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _consent(person: Person, source: str | None, otherwise: str | None) -> str | None:
    return consent(lookup(person.fields, source), otherwise) if source else None


def address_of(person: Person, spec: ListSpec) -> str:
    """The address that a person's row goes to."""
    address = lookup(person.fields, spec.email_field)
    return address if isinstance(address, str) else person.key


def fault_of(row: Row, spec: ListSpec) -> tuple[str, str] | None:
    """The code and the words of what the list could not store."""
    for key, value in row.values:
        texts = _texts(value)
        longest = max((len(text) for text in texts), default=0)
        if longest > MAX_VALUE:
            return "invalid", f"the value for {key} has {longest} characters; the limit is {MAX_VALUE}"
        choices = spec.choices.get(key)
        if choices is not None and (strange := [text for text in texts if text and text not in choices]):
            known = ", ".join(map(repr, choices[:SHOWN_CHOICES])) or "none"
            more = ", ..." if len(choices) > SHOWN_CHOICES else ""
            return UNKNOWN_OPTION, f"{strange[0]!r} is not an option of {key}; it has {known}{more}"
    return None
