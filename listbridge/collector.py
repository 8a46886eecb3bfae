"""Python's collector of cycles, out of the way of code that makes many objects and no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Without the collector, which takes up to half of the time with millions of objects alive.

    For code that makes no cycles; what a library makes is found afterwards. When several threads are in
    such blocks, it is back at the latest when all have left.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
