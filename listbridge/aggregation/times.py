"""Times as the mapping language reads them from text: always the same, whatever the clock and the locale.

Where the form is free it is close to Go's `dateparse.ParseAny`, by which the language is defined: what
has no zone is UTC, and of `nn/nn` and `nn.nn` the first is the month.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.parser import parser, parserinfo

MAX_TIME_CHARACTERS: Final = 64
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)

_EPOCH_DIGITS: Final = {10: (1000, 1), 13: (1, 1), 16: (1, 1_000), 19: (1, 1_000_000)}
"""Digits of a Unix time in seconds, milli-, micro- and nanoseconds, and what makes milliseconds of each."""
_DATE_DIGITS: Final = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
_DAY_FIRST: Final = re.compile(r"\s*(1[3-9]|[2-9][0-9])[/.][0-9]{1,2}[/.]")
_ZONE_TWICE: Final = re.compile(r"([+-][0-9]{2}:?[0-9]{2}) [A-Z]{3,4}$")
_DEFAULTS: Final = (datetime(2000, 1, 1), datetime(2004, 1, 1))

_LAYOUT: Final = {
    "January": "%B",
    "Jan": "%b",
    "Monday": "%A",
    "Mon": "%a",
    "2006": "%Y",
    "-07:00": "%z",
    "-0700": "%z",
    "Z07:00": "%z",
    "01": "%m",
    "02": "%d",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "06": "%y",
    "15": "%H",
    "PM": "%p",
    "1": "%m",
    "2": "%d",
    "3": "%I",
    "4": "%M",
    "5": "%S",
    "%": "%%",
}
"""The parts of a layout as Go's `time.Parse` writes them, longer ones first."""
_LAYOUT_PART: Final = re.compile(r"[.,]0+|" + "|".join(map(re.escape, _LAYOUT)))


class _Names(parserinfo):
    """English names; two digits of a year are 1969 to 2068, as in Go, and not around today."""

    def convertyear(self, year: int, century_specified: bool = False) -> int:
        if century_specified or year >= 100:
            return year
        return year + (2000 if year < 69 else 1900)


_FREE_FORM: Final = parser(_Names())


def parse_time(text: str, zone: tzinfo = UTC) -> int | None:
    """Return the time that the text names, in epoch milliseconds, or None if it names none.

    Text without a year, or with the day before the month in figures, names none. What carries no
    offset is in `zone`.
    """
    text = text.strip()
    if not text or len(text) > MAX_TIME_CHARACTERS or _DAY_FIRST.match(text):
        return None
    try:
        if text.isascii() and text.isdigit():
            return _of_digits(text, zone)
        first, second = (_free_form(text, zone, default) for default in _DEFAULTS)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        # dateutil lets through what its own steps raise on text that is nothing like a date.
        return None
    return epoch_ms(first) if first == second else None


def parse_layout(layout: str, text: str) -> int | None:
    """Return the time of text in a layout such as `02/01/2006 15:04`, in epoch milliseconds, or None."""
    try:
        moment = datetime.strptime(text, _strptime_format(layout))
    except (ValueError, re.error):
        return None
    return epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def is_layout(layout: str) -> bool:
    """Can times be read by the layout? Not if it names a part twice."""
    try:
        datetime.strptime("", _strptime_format(layout))
    except re.error:
        return False
    except ValueError:
        return True
    return True


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds from 1970 to an aware moment, rounded down."""
    return (moment - EPOCH) // MILLISECOND


@cache
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of the IANA name, or None if there is none."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return None


def _of_digits(text: str, zone: tzinfo) -> int | None:
    if len(text) in _EPOCH_DIGITS:
        factor, divisor = _EPOCH_DIGITS[len(text)]
        return int(text) * factor // divisor
    layout = _DATE_DIGITS.get(len(text))
    return None if layout is None else epoch_ms(datetime.strptime(text, layout).replace(tzinfo=zone))


def _free_form(text: str, zone: tzinfo, default: datetime) -> datetime:
    def zone_of(_name: str | None, offset: int | None) -> tzinfo:
        # As in Go, the letters of a zone say nothing by themselves.
        return zone if offset is None else timezone(timedelta(seconds=offset))

    moment: datetime = _FREE_FORM.parse(_ZONE_TWICE.sub(r"\1", text), default=default, tzinfos=zone_of)
    return moment.astimezone(UTC)


@cache
def _strptime_format(layout: str) -> str:
    return _LAYOUT_PART.sub(lambda part: _LAYOUT.get(part[0], part[0][0] + "%f"), layout)
