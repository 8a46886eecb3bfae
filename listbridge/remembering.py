"""Remembering what a function made of a text, so that long texts can't fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

SHORT: Final = 256
"""Characters of the texts that are worth remembering."""

T = TypeVar("T")


def remembers_short_texts(count: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """What the function made of the last `count` texts of at most `SHORT` characters isn't made again."""

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        remembered = lru_cache(maxsize=count)(function)

        @wraps(function)
        def call(text: str) -> T:
            return remembered(text) if len(text) <= SHORT else function(text)

        return call

    return decorate
