"""Custom field values: keys, what each type accepts, Clear, and MultiSelectMany."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from simulator.account import CustomField
from simulator.switches import Switches

LONGEST_VALUE = 250
LONGEST_NAME = 100
_DATE = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?:[ T].*)?")
_FIRST_DATE, _LAST_DATE = date(1900, 1, 1), date(2076, 6, 6)


@dataclass(frozen=True)
class ValueRules:
    """How a call's values are written; see `Switches`."""

    append: bool = False
    clear_absent: bool = False
    bare_keys: bool = True
    unknown_options: bool = False
    empty_clears: bool = False
    clears_options: bool = True


def rules_of(switches: Switches, *, append: bool = False) -> ValueRules:
    """The rules that hold for one call; `append`: sent values of MultiSelectMany join the old."""
    return ValueRules(
        append=append,
        clear_absent=not switches.absent_key_untouched,
        bare_keys=switches.bare_keys,
        unknown_options=switches.unknown_option == "stored",
        empty_clears=switches.empty_value == "cleared",
        clears_options=switches.clear_option == "removes",
    )


def derive_key(name: str) -> str:
    """The key of a field name: spaces go, case stays: `Newsletter Format` -> `[NewsletterFormat]`."""
    return f"[{name.replace(' ', '')}]"


def fold_key(key: str) -> str:
    """What two spellings of a key (with brackets or spaces, in any case) have in common."""
    return key.replace("[", "").replace("]", "").replace(" ", "").lower()


def accepted(field: CustomField, value: str) -> str | None:
    """The value as the field stores it, or None where the service silently drops it."""
    if field.data_type == "Date":
        return _date(value)
    if field.data_type == "Number":
        return value if re.fullmatch(r"[+-]?\d+(\.\d+)?", value.strip()) else None
    if field.data_type != "Text":
        return value if value in field.options else None
    return value[:LONGEST_VALUE]


def _date(value: str) -> str | None:
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    try:
        day = date(*map(int, match.groups()))
    except ValueError:
        return None
    return day.isoformat() if _FIRST_DATE <= day <= _LAST_DATE else None


def write(
    fields: Sequence[CustomField],
    values: dict[str, list[str]],
    entries: Iterable[dict[str, Any]],
    rules: ValueRules,
) -> None:
    """Write the CustomFields of one call (property names in lower case) into `values`, by field key.

    An unknown key, a value that the type does not accept, and an empty value without Clear change
    nothing. A Clear without a value empties the field before the call's other values are written;
    MultiSelectMany with a value and Clear loses that value.
    """
    sent: dict[str, list[tuple[str, bool]]] = {}
    for entry in entries:
        if not rules.bare_keys and not _text(entry.get("key")).startswith("["):
            continue
        pair = (_text(entry.get("value")), _true(entry.get("clear")))
        sent.setdefault(fold_key(_text(entry.get("key"))), []).append(pair)
    for field in fields:
        pairs = sent.get(fold_key(field.key))
        if pairs is None:
            if rules.clear_absent and field.data_type == "MultiSelectMany":
                values.pop(field.key, None)
            continue
        old = values.get(field.key, [])
        new = (
            _many(field, old, pairs, rules)
            if field.data_type == "MultiSelectMany"
            else _one(field, old, pairs, rules)
        )
        if new:
            values[field.key] = new
        else:
            values.pop(field.key, None)


def unknown_keys(fields: Sequence[CustomField], row: Mapping[str, Any]) -> list[str]:
    """The keys of a row that no field has."""
    known = {fold_key(field.key) for field in fields}
    sent = (_text(entry.get("key")) for entry in row.get("customfields") or ())
    return [key for key in sent if fold_key(key) not in known]


def _many(field: CustomField, old: list[str], pairs: list[tuple[str, bool]], rules: ValueRules) -> list[str]:
    kept = set() if ("", True) in pairs else set(old)
    taken = {value for value, clear in pairs if value and not clear}
    chosen = taken if rules.unknown_options else taken & {*field.options}
    if chosen and not rules.append:
        kept = set()
    gone = {value for value, clear in pairs if clear} if rules.clears_options else set()
    held = (kept | chosen) - gone
    return [*(option for option in field.options if option in held), *sorted(held - {*field.options})]


def _one(field: CustomField, old: list[str], pairs: list[tuple[str, bool]], rules: ValueRules) -> list[str]:
    new = old
    for value, clear in pairs:
        if (
            clear
            or (field.data_type == "Date" and value == "0000-00-00")
            or (not value and rules.empty_clears)
        ):
            new = []
        elif value and (stored := accepted(field, value)) is not None:
            new = [stored]
    return new


def read(
    fields: Sequence[CustomField], values: dict[str, list[str]], bracketed: bool
) -> list[dict[str, str]]:
    """CustomFields as the API gives them: one entry per value, fields without a value left out."""
    return [
        {"Key": field.key if bracketed else field.name, "Value": value}
        for field in fields
        if field.key in values
        for value in values[field.key]
    ]


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
