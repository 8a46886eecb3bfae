"""The fields of a version, as they are listed."""

from __future__ import annotations

from typing import Any

from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings.differences import described
from listbridge.mappings.versions import Version, program_of


def rows_of(held: Version) -> list[dict[str, Any]]:
    """What `described` says of each field, and `since`: when it began to count (None: all events count).

    Raises `UnusableMappings`.
    """
    rows = []
    for definition in program_of(held).fields.values():
        since = held.fields[definition.id].since
        rows.append(described(definition) | {"since": None if since is None else rfc3339(since)})
    return rows
