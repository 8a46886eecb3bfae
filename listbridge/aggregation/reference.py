"""The reference of the mapping language, made from the code: `python -m listbridge.aggregation.reference`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from listbridge.aggregation.columns import MERGE_OPERATIONS
from listbridge.aggregation.functions import GROUPS
from listbridge.aggregation.kinds import KINDS, Kind
from listbridge.aggregation.signatures import Function
from listbridge.streams.schemas import SCHEMAS

EXAMPLE_EVENT: Final[Mapping[str, Any]] = {
    "_time": 1396889935000,
    "event": "open",
    "custom_fields": {"plan": "gold", "size": "xl"},
}
"""What the examples are evaluated for, an event of `cm_activity`: Monday, 7 April 2014, 16:58:55 UTC."""

_AGGREGATES: Final = (
    ("count(value)", "How many events have the value.", "int, number"),
    ("min(value), max(value)", "The least and the greatest number or time.", "int, number, date"),
    ("set(value)", "The distinct values; of a list its elements.", "[]string, []time, ts[]string"),
    ("valuect(value)", "How many events have each value.", "map[string]intsum"),
    ("map(key, value)", "The latest value for each key, or what MERGEOP says.", "map[string]…"),
)

_MERGE_MEANINGS: Final = {
    "latest": "the value of the latest event; of sets and maps all of that event's values, and only they",
    "oldest": "the value of the oldest event, likewise",
    "max": "the greatest",
    "min": "the least",
    "sum": "the sum, reckoned exactly in decimal",
    "count": "how many events have a value, of whatever type (KIND int or number)",
    "merge": "all values of a set; for each key of a map its latest value",
    "capped": "as merge, and CAP must stand too",
    "latestmap": "for each key its latest value",
    "oldestmap": "for each key its oldest value",
    "mapmax": "for each key its greatest value",
    "mapmin": "for each key its least value",
}

_CONTAINERS: Final = {
    "scalar": "one value",
    "set": "a set",
    "seen": "a set that knows when each value was last added",
    "map": "a map",
}

_HEAD: Final = """\
# The mapping language

This file is written by `python -m listbridge.aggregation.reference > docs/mapping.md`; a test says when \
it is out of date, and the examples of functions run as tests.

```
SELECT
    expression [AS field] [IF condition] [KIND kind] [MERGEOP operation] [CAP n] [SHORTDESC "…"] \
[LONGDESC "…"]
  , …
FROM stream [WHERE condition]
INTO USER BY field [OR field …]
[ALIAS name]
```

The clauses of a column may stand in any order. Keywords and functions are read in any letter case, \
fields are not. Text stands in double quotes, a field whose name is a keyword in back-ticks; `--` begins \
a comment.

`listbridge mapping check FILE` says what is wrong and where, `mapping test FILE --event '{…}'` what each \
column makes of an event, `mapping diff A B` which fields start anew. `mapping apply` makes mappings active, \
`mapping show` lists the active fields; [profiles.md](profiles.md) says what a change does.

## Missing values

Empty text, an empty list, an empty map and a number that is none are missing. A missing value is never \
written, so it never clears a field. Nor is a column whose IF is false or can't be evaluated; an event \
for which WHERE is so is left out.

- `==`, `>`, `>=`, `<`, `<=`, `IN`, `CONTAINS` and `LIKE` with a missing side are false; `!=` is true if \
one side is missing, false if both are; `NOT IN` is true for a missing value.
- `AND` with one side that can't be evaluated is false, with two it can't be evaluated; `OR` passes over \
such a side; `NOT` of one can't be evaluated.
- `EXISTS field` says whether a value is there.

## Conditions

- `> >= < <=` compare numbers and times; what stands beside a number or a time is read as one. Text is \
compared with `==` and `!=`, letter for letter.
- `value IN ("a", "b", 5)`, `value NOT IN (…)`.
- `text CONTAINS "part"`; a list contains its elements.
- `text LIKE "a*"`: `*` and `%` stand for any text, `?` for one character, and the pattern fits the whole \
text.
- Times without a zone are UTC; in `nn/nn` the first is the month. `now` is no time, because a profile \
depends on events alone.
"""

_CAP: Final = """\
## CAP

`CAP n` shows at most n values of a set or a map. All values are kept, so a greater CAP shows more at \
once:

- of `ts[]string` and `[]time` the newest n, of `[]string` the first n in alphabetical order;
- of a map the n entries with the newest values; where times aren't kept (counts, sums, greatest, least) \
the n greatest; among equals the first keys;
- of a map by `latest` or `oldest` the first n keys.
"""


def reference() -> str:
    """The whole reference, in Markdown."""
    parts = [_HEAD, *_streams(), *_functions(), *_aggregates(), *_kinds(), *_merge_operations(), _CAP]
    return "\n".join(parts)


def _streams() -> Iterable[str]:
    yield "## Streams and their fields\n"
    yield from _table(
        ("stream", "fields"),
        (
            (f"`{stream}`", ", ".join(f"`{name}` {kind}" for name, kind in schema.items()))
            for stream, schema in SCHEMAS.items()
        ),
    )


def _functions() -> Iterable[str]:
    yield "## Functions of one event\n"
    yield f"The examples are for an event of `cm_activity` that holds `{_json(dict(EXAMPLE_EVENT))}`.\n"
    for title, functions in GROUPS.items():
        yield f"### {title}\n"
        for name, function in functions.items():
            yield from _function(name, function)


def _function(name: str, function: Function) -> Iterable[str]:
    yield f"`{function.signature(name)}`: {function.meaning}\n"
    yield "```"
    for expression, value in function.examples:
        yield f"{expression}  -> {'nothing' if value is None else _json(value)}"
    yield "```\n"


def _aggregates() -> Iterable[str]:
    yield "## Functions of all events\n"
    yield "They stand outermost in a column.\n"
    yield from _table(
        ("function", "meaning", "kinds"), ((f"`{name}`", what, kinds) for name, what, kinds in _AGGREGATES)
    )


def _kinds() -> Iterable[str]:
    yield "## Kinds and their merge operations\n"
    rows = (
        (f"`{kind.name}`", _CONTAINERS[kind.container], ", ".join(merge_words(kind)))
        for kind in KINDS.values()
    )
    yield from _table(("KIND", "holds", "MERGEOP"), rows)
    yield (
        "Without MERGEOP a value is"
        " the latest, a set merges, a map keeps the latest of each key. What functions of all events make is"
        " merged as they say. Latest is by event time, then by time received, then by value.\n"
    )


def merge_words(kind: Kind) -> list[str]:
    """The MERGEOPs that a field of the kind can have."""
    words = list(MERGE_OPERATIONS[kind.container])
    if kind.element == "intsum":
        return ["sum"]
    if kind.container == "set":
        return words if kind.element == "string" else ["merge", "capped"]
    if kind.element in ("int", "number"):
        return words
    refused = (
        {"sum", "count"} if kind.element == "date" else {"max", "min", "mapmax", "mapmin", "sum", "count"}
    )
    return [word for word in words if word not in refused]


def _merge_operations() -> Iterable[str]:
    yield from _table(("MERGEOP", "keeps"), ((f"`{name}`", what) for name, what in _MERGE_MEANINGS.items()))


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (heads, ("---",) * len(heads), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(reference())
