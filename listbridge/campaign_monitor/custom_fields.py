"""Custom fields: their data types and how their keys are compared."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

DataType = Literal["Text", "Number", "MultiSelectOne", "MultiSelectMany", "Date", "Country", "USState"]


def field_key(key: str) -> str:
    """The form in which two spellings of one custom field are equal.

    Reads and webhooks give the field's name (`subscription date`) by the documentation and the key
    (`[SubscriptionDate]`) by code that runs against the live API; the service makes the key from the
    name by removing spaces. So brackets, white space and case are removed here.
    """
    return _short_key(key) if len(key) <= SHORT else _key(key)


SHORT = 256
"""Characters of the keys that are worth remembering."""


def _key(key: str) -> str:
    return "".join(key.translate(_BRACKETS).split()).casefold()


_short_key = lru_cache(maxsize=4096)(_key)


_BRACKETS = str.maketrans("", "", "[]")
