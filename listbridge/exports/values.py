"""Profile values as a list's fields take them; what a field can't take is said and left out.

The types are those of Campaign Monitor's custom fields, and so are the limits: it drops a day outside
`FIRST_DAY` to `LAST_DAY` without a word (documentation of "add subscriber"), and a text in a number
field as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from string import Formatter
from typing import Any, Final

import phonenumbers

from listbridge.exports.protocol import FieldValue

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2076, 6, 6)
CLEARED: Final = ""
"""The value that empties a field."""
SHOWN = 60
"""Characters of a value that a message shows."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_DAY = re.compile(r"(\d{4})[/-](\d\d?)[/-](\d\d?)(?:[ T].*)?")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_GENERATED = ("Country", "USState")
_CONSENTS = {
    **dict.fromkeys(("yes", "y", "true", "1"), "Yes"),
    **dict.fromkeys(("no", "n", "false", "0"), "No"),
    "unchanged": "Unchanged",
}


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value that the field can't take, and why."""

    words: str


def lookup(fields: Mapping[str, Any], name: str) -> Any:
    """A profile field, or an attribute that came with the audience events."""
    return fields[name] if name in fields else fields.get("attributes", {}).get(name)


def as_text(value: Any) -> FieldValue | None:
    """A profile value as a list's field takes it: text, or several for a multi-option field."""
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def fitted(value: Any, kind: str, choices: Sequence[str] | None = None) -> FieldValue | Unfit | None:
    """The value as a field of this type takes it; None when there is nothing to send.

    A list joins in a text field. An empty type takes everything.
    """
    text = as_text(value)
    if text is None or text in ("", ()):
        return None
    if kind == "MultiSelectMany" or (not kind and isinstance(text, tuple)):
        return tuple(dict.fromkeys(text)) if isinstance(text, tuple) else text
    if isinstance(text, tuple):
        if kind == "Text":
            return ", ".join(text)
        if len(text) > 1:
            return Unfit(f"{len(text)} values for a field that takes one")
        text = text[0]
    if kind == "Date":
        return _day(text)
    if kind == "Number":
        number = text.strip()
        return number if _NUMBER.fullmatch(number) else Unfit(f"{_short(text)} is no number")
    if kind in _GENERATED and choices:
        return next((each for each in choices if each.casefold() == text.strip().casefold()), text)
    return text


def _day(text: str) -> FieldValue | Unfit:
    """`yyyy-mm-dd` of a day or an RFC 3339 time."""
    found = _DAY.fullmatch(text.strip())
    try:
        day = date(*map(int, found.groups())) if found else None
    except ValueError:
        day = None
    if day is None:
        return Unfit(f"{_short(text)} is no day; yyyy-mm-dd is")
    if not FIRST_DAY <= day <= LAST_DAY:
        return Unfit(f"{day.isoformat()} is outside {FIRST_DAY} to {LAST_DAY}")
    return day.isoformat()


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def template_fields(template: str) -> list[str]:
    """The profile fields that a template names in braces. Raises `ValueError` saying what is wrong."""
    names = []
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if not name.strip() or spec or conversion:
            raise ValueError("in braces stands the name of a profile field alone; write {{ for a brace")
        names.append(name)
    return names


def filled(template: str, fields: Mapping[str, Any]) -> str | None:
    """The template with the person's values; None when one of them is missing."""
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            value = as_text(lookup(fields, name))
            if value is None or value in ("", ()):
                return None
            parts.append(value if isinstance(value, str) else ", ".join(value))
    return "".join(parts)


def e164(value: Any, region: str | None) -> str | Unfit | None:
    """A phone number as E.164; one without a country's prefix is read as a number of `region`."""
    text = as_text(value)
    if text is None or not isinstance(text, str) or not text.strip():
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return Unfit("no phone number; with its country's prefix, as +46701234567, it is one")
    if not phonenumbers.is_possible_number(number):
        return Unfit("no possible phone number: it has too few or too many digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def consent(value: Any, otherwise: str | None) -> str | None:
    """`Yes`, `No` or `Unchanged` for a profile value; `otherwise` where it says none of them."""
    text = as_text(value)
    word = text.strip().lower() if isinstance(text, str) else ""
    return _CONSENTS.get(word, otherwise)
