"""Finding an address in bytes that somebody else wrote: JSON with its escapes, in any case, or other text."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_DEEPEST = 3
"""A body that was put into a string of JSON is escaped twice; deeper nobody goes."""


class Mentions:
    """Finds an address where it stands by itself, in any case, as UTF-8 or as JSON escapes it.

    `o'ann@example.com` and `ann@example.com.au` are other addresses than `ann@example.com`.
    """

    __slots__ = ("_alone", "_person")

    def __init__(self, person: str) -> None:
        self._person = person.lower()
        alone = rf"(?<![\w.+\-])(?<!\w['&]){re.escape(self._person)}(?![\w\-]|\.\w)"
        self._alone = re.compile(alone, re.ASCII)

    def search(self, body: bytes) -> bool:
        """Is the address in it?"""
        text = body.decode(errors="replace")
        for _ in range(_DEEPEST):
            if self._in(text):
                return True
            if "\\" not in text:
                return False
            text = _joined(_ESCAPED.sub(_plain, text))
        return self._in(text)

    def _in(self, text: str) -> bool:
        lower = text.lower()
        return self._person in lower and self._alone.search(lower) is not None


def _plain(found: re.Match[str]) -> str:
    text = found[1]
    return chr(int(text[1:], 16)) if len(text) == 5 else _LETTERS.get(text, text)


def _joined(text: str) -> str:
    """With the halves of a character that JSON escapes as two put together."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
