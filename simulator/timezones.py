"""The time-zone labels of the API that the simulator's clients use, and their IANA names.

Labels as `GET /timezones.json` lists them; the list is a selection.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

DEFAULT = "(GMT+10:00) Canberra, Melbourne, Sydney"

IANA = {
    "(GMT) Coordinated Universal Time": "Etc/UTC",
    "(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London": "Europe/London",
    "(GMT+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna": "Europe/Berlin",
    "(GMT+01:00) Brussels, Copenhagen, Madrid, Paris": "Europe/Paris",
    "(GMT+02:00) Athens, Bucharest, Istanbul": "Europe/Bucharest",
    "(GMT+05:30) Chennai, Kolkata, Mumbai, New Delhi": "Asia/Kolkata",
    "(GMT+05:45) Kathmandu": "Asia/Kathmandu",
    "(GMT+08:00) Kuala Lumpur, Singapore": "Asia/Singapore",
    "(GMT+09:00) Osaka, Sapporo, Tokyo": "Asia/Tokyo",
    DEFAULT: "Australia/Sydney",
    "(GMT+12:00) Auckland, Wellington": "Pacific/Auckland",
    "(GMT-03:30) Newfoundland": "America/St_Johns",
    "(GMT-05:00) Eastern Time (US & Canada)": "America/New_York",
    "(GMT-06:00) Central Time (US & Canada)": "America/Chicago",
    "(GMT-08:00) Pacific Time (US & Canada)": "America/Los_Angeles",
    "(GMT-10:00) Hawaii": "Pacific/Honolulu",
}


def zone(label: str) -> ZoneInfo:
    """The zone of a label. Raises `KeyError` for a label that is not in the table."""
    return ZoneInfo(IANA[label])
