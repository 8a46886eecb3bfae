"""How every process writes its log: one line a record, and no address above DEBUG.

What is logged says nothing of people by itself. But the text of an exception that nobody expected can: a
library quotes the value on which it failed, and whoever logs the exception, as Celery does a task's, quotes
that.
"""

from __future__ import annotations

import logging
import re
import socket

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
TIMES = "%H:%M:%S"
WORKERS = ("fold", "worker", "pull", "archive")

# A run without spaces, quotes, brackets or separators that holds @ or its percent-encoding.
_RUN = r"[^\s\"'<>()\[\]{},;:=?&/\\]"
_ADDRESS = re.compile(rf"(?<!{_RUN}){_RUN}*?(?:@|%40){_RUN}*", re.IGNORECASE)


def without_addresses(text: str) -> str:
    """The text with everything that looks like an e-mail address replaced by `<address>`."""
    return _ADDRESS.sub("<address>", text)


class WithoutAddresses(logging.Formatter):
    """Formats records, their exceptions included, and takes addresses out of all above DEBUG.

    What Celery calls its workers, as `fold@HOST` or `fold-2@HOST`, stays.
    """

    def __init__(self, form: str, times: str) -> None:
        super().__init__(form, times)
        host = re.escape(socket.gethostname())
        self._workers = re.compile(rf"(?<!\S)((?:{'|'.join(WORKERS)})(?:-[\w-]+)?@{host})(?![\w.-]*\w)")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= logging.DEBUG:
            return text
        parts = self._workers.split(text)
        return "".join(each if at % 2 else without_addresses(each) for at, each in enumerate(parts))


def write_log(level: str, form: str = FORMAT) -> None:
    """Have this process write its log to stderr, from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutAddresses(form, TIMES))
    logging.basicConfig(level=level, handlers=[handler])
