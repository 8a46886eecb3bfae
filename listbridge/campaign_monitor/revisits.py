"""When a report is read again: the rules of `docs/imports.md`, pure. Ages and spans are milliseconds.

What a summary counts says whether a report can have changed. A repeated click by somebody who clicked
before is not counted there, counts may lag behind, and a row may be entered with an old date; so a
report whose counts stay is read on from its position now and then, and from its beginning at a slow pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from zlib import crc32

from listbridge.campaign_monitor.reports import ReportName

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YOUNG_MS = 3 * DAY_MS
FOR_EVER_MS = 100 * 365 * DAY_MS

_RESTS = ((YOUNG_MS, 6 * HOUR_MS), (30 * DAY_MS, DAY_MS), (180 * DAY_MS, 7 * DAY_MS))
"""Younger than -> how long a report whose counts stay is left alone."""
LONGEST_REST_MS = 30 * DAY_MS

_VISITS = ((YOUNG_MS, 0), (30 * DAY_MS, 6 * HOUR_MS))
"""Younger than -> how long the summary is not asked for again by an import that is kept updated."""
LONGEST_VISIT_MS = DAY_MS

WHOLE_AT_MS = (YOUNG_MS, 30 * DAY_MS)
"""At these ages a report is read from its beginning once more."""
WHOLE_EVERY_MS = 180 * DAY_MS
JOURNEY_REST_MS = DAY_MS
JOURNEY_WHOLE_EVERY_MS = 90 * DAY_MS

COUNTS: Mapping[ReportName, tuple[str, ...]] = {
    "recipients": ("recipients",),
    "opens": ("opens", "openers"),
    "clicks": ("clickers", "opens", "openers"),
    "bounces": ("bounces", "recipients"),
    "unsubscribes": ("unsubscribes", "complaints"),
    "spam": ("complaints", "unsubscribes"),
}
"""Report -> the counts of a summary that say whether it can have changed, its rows' own count first."""


def rest_ms(age: int) -> int:
    """For how long a report of a mailing of that age is left alone while its counts stay."""
    return next((rest for younger, rest in _RESTS if age < younger), LONGEST_REST_MS)


def journey_whole_after(now: int, name: str) -> int:
    """The same of an automated e-mail, which is always young: every `JOURNEY_WHOLE_EVERY_MS`."""
    return now - (now + crc32(name.encode())) % JOURNEY_WHOLE_EVERY_MS


def visit_ms(age: int) -> int:
    """For how long the summary of a mailing of that age is good."""
    return next((rest for younger, rest in _VISITS if age < younger), LONGEST_VISIT_MS)


def whole_after(sent_at: int, now: int, name: str) -> int:
    """Since when a report has to have been read from its beginning (epoch ms), so that nothing is lost.

    After the last age of `WHOLE_AT_MS` the turns come every `WHOLE_EVERY_MS`, each report's at its own time.
    """
    passed = [sent_at + age for age in WHOLE_AT_MS if sent_at + age <= now]
    if len(passed) < len(WHOLE_AT_MS):
        return max(passed, default=0)
    first = passed[-1] + crc32(name.encode()) % WHOLE_EVERY_MS
    return passed[-1] if now < first else now - (now - first) % WHOLE_EVERY_MS


def day_before(day: str) -> str:
    """The day before one (`YYYY-MM-DD`): sources differ on whether a filter's own day counts."""
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def basis(report: ReportName, counts: Mapping[str, int], zone: str) -> str:
    """What a report's rows hang on, as one text."""
    return ",".join(str(counts.get(name, 0)) for name in COUNTS[report]) + f"@{zone}"


def rows_counted(report: ReportName, counts: Mapping[str, int]) -> int:
    """How many rows a report has by the summary; of clicks at least so many."""
    return counts.get(COUNTS[report][0], 0)
