"""Times of the API: naive text in the client's zone, against epoch milliseconds, UTC.

The zone is a label in the client's details; `zone_labels` says what the labels mean.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from .errors import UnknownTimeZone
from .zone_labels import ZONES

_LABEL = re.compile(r"\s*\((?:GMT|UTC)(?:[+-]\d\d?:?\d\d)?\)\s*(?P<name>.+)", re.IGNORECASE | re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_YEAR_1 = -62_135_596_800_000
_YEAR_10000 = 253_402_300_800_000


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


_ZONES = {_plain(name): key for name, key in ZONES.items()}


def zone_name(label: str) -> str:
    """The IANA name of a label such as `(GMT+10:00) Canberra, Melbourne, Sydney`.

    The offset before the name, white space and case don't matter. Raises `UnknownTimeZone`.
    """
    match = _LABEL.fullmatch(label)
    name = _ZONES.get(_plain(match["name"])) if match else None
    if name is None:
        raise UnknownTimeZone(f"the time zone {label!r} is not in the table of labels")
    return name


def zone(label: str) -> ZoneInfo:
    """The zone of a label. Raises `UnknownTimeZone`."""
    return ZoneInfo(zone_name(label))


@lru_cache(maxsize=65_536)
def to_epoch_ms(text: str, zone: ZoneInfo) -> int:
    """The epoch milliseconds of `YYYY-MM-DD HH:MM[:SS]` in `zone`. Raises ValueError for other text.

    Where clocks go back an hour has two readings: the earlier one is taken. A time that clocks
    skipped is read with the offset from before the change, so 02:30 in a skipped hour is 03:30.
    """
    if not _TIME.fullmatch(text):
        raise ValueError(f"a time is YYYY-MM-DD HH:MM[:SS], not {text[:40]!r}")
    since = datetime.fromisoformat(text).replace(tzinfo=zone) - _EPOCH
    at = since.days * _DAY_MS + since.seconds * 1000
    if not _YEAR_1 <= at < _YEAR_10000:
        raise ValueError(f"a time lies in the years 1 to 9999 of UTC; {text} does not")
    return at


def to_text(epoch_ms: int, zone: ZoneInfo) -> str:
    """The minute that `epoch_ms` falls in as `YYYY-MM-DD HH:MM` in `zone`, for `date=` parameters.

    In an hour that clocks repeat, both readings give the same text, which `to_epoch_ms` reads as
    the earlier: a read from there on overlaps and never leaves out.
    """
    return (_EPOCH + timedelta(milliseconds=epoch_ms)).astimezone(zone).strftime("%Y-%m-%d %H:%M")
