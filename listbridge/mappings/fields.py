"""The fields of a version, as they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings.differences import described
from listbridge.mappings.versions import Version, program_of
from listbridge.profiles.commit import skip_name


def rows_of(held: Version) -> list[dict[str, Any]]:
    """What `described` says of each field, and `since`: when it began to count (None: all events count).

    Raises `UnusableMappings`.
    """
    rows = []
    for definition in program_of(held).fields.values():
        since = held.fields[definition.id].since
        rows.append(described(definition) | {"since": None if since is None else rfc3339(since)})
    return rows


def with_skips(held: Version, skips: Mapping[str, int]) -> list[dict[str, Any]]:
    """`rows_of`, each with `skipped`: stream -> the events that the field's columns skipped, of those that
    were folded since it counts. `skips` are all that `skipped` finds.
    """
    program = program_of(held)
    return [
        row
        | {
            "skipped": {
                stream: skips.get(skip_name(stream, program.fields[row["field"]].number), 0)
                for stream in row["streams"]
            }
        }
        for row in rows_of(held)
    ]
