"""Custom fields: their data types and how their keys are compared."""

from __future__ import annotations

from typing import Literal

from listbridge.remembering import remembers_short_texts

DataType = Literal["Text", "Number", "MultiSelectOne", "MultiSelectMany", "Date", "Country", "USState"]


@remembers_short_texts(4096)
def field_key(key: str) -> str:
    """The form in which two spellings of one custom field are equal.

    Reads and webhooks give the field's name (`subscription date`) by the documentation and the key
    (`[SubscriptionDate]`) by code that runs against the live API; the service makes the key from the
    name by removing spaces. So brackets, white space and case are removed here.
    """
    return "".join(key.translate(_BRACKETS).split()).casefold()


_BRACKETS = str.maketrans("", "", "[]")
