"""What can go wrong with a mapping.

MappingError (ValueError)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MappingError(ValueError):
    """A mapping can't be used as it is written: correct the file at the line and column named."""

    def __init__(self, source: str, line: int, column: int, found: str, expected: str) -> None:
        super().__init__(f"{source}:{line}:{column}: found {found}, expected {expected}")
        self.source = source
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list all of them: text for `expected`."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1)
    return f"`{close[0]}`" if close else "one of " + ", ".join(f"`{each}`" for each in words)
