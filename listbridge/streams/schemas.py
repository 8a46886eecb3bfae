"""What an event of each stream may hold: the field names and their types.

A value of another type is moved to the event's `_bad` at append and reads as missing, so that it
skips only the mapping columns that use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

FieldType = Literal["string", "int", "number", "bool", "map"]
Schema = Mapping[str, FieldType]

CM_USER: Final = "cm_user"
CM_ACTIVITY: Final = "cm_activity"
AUDIENCE: Final = "audience"
LINKS: Final = "links"

_WHO: Schema = {
    "email": "string",
    "name": "string",
    "client_id": "string",
    "client_name": "string",
    "list_id": "string",
    "list_name": "string",
    "origin": "string",
    "custom_fields": "map",
}

SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        CM_USER: MappingProxyType({**_WHO, "status": "string", "state": "string", "joined_at": "int"}),
        CM_ACTIVITY: MappingProxyType(
            {
                **_WHO,
                "event": "string",
                "status": "string",
                "state": "string",
                "old_email": "string",
                "campaign_id": "string",
                "campaign_name": "string",
                "url": "string",
                "ip": "string",
                "city": "string",
                "region": "string",
                "cc": "string",
                "country": "string",
                "latitude": "number",
                "longitude": "number",
                "reason": "string",
            }
        ),
        AUDIENCE: MappingProxyType(
            {
                "email": "string",
                "audience": "string",
                "event": "string",
                "fields": "map",
                "opted_in_at": "int",
            }
        ),
        LINKS: MappingProxyType(
            {
                "email": "string",
                "event": "string",
                "other": "string",
                "list_id": "string",
                "client_id": "string",
            }
        ),
    }
)
"""Field types by stream: `map` is an object of text to text; `int` holds epoch milliseconds for times."""
