"""How every process writes its log: one line a record, and no address above DEBUG.

What is logged says nothing of people by itself. But the text of an exception that nobody expected can: a
library quotes the value on which it failed, and whoever logs the exception, as Celery does a task's, quotes
that.
"""

from __future__ import annotations

import logging
import re

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
TIMES = "%H:%M:%S"

# A run without spaces, quotes, brackets or separators that holds @ or its percent-encoding.
_ADDRESS = re.compile(r"[^\s\"'<>()\[\]{},;:=?&/\\]*(?:@|%40)[^\s\"'<>()\[\]{},;:=?&/\\]*", re.IGNORECASE)


def without_addresses(text: str) -> str:
    """The text with everything that looks like an e-mail address replaced by `<address>`."""
    return _ADDRESS.sub("<address>", text)


class WithoutAddresses(logging.Formatter):
    """Formats records, their exceptions included, and takes addresses out of all above DEBUG."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno <= logging.DEBUG else without_addresses(text)


def write_log(level: str) -> None:
    """Have this process write its log to stderr, from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutAddresses(FORMAT, TIMES))
    logging.basicConfig(level=level, handlers=[handler])
