"""Why a rebuild stops. Whoever was rebuilt before stays so, and all others stay as they were."""

from __future__ import annotations

from collections.abc import Sequence

from listbridge.archive.files import Unreadable
from listbridge.store.store import StoreError


class RebuildError(StoreError):
    """A rebuild can't go on: the message says why; it can be started again at any time."""


class EventsMissing(RebuildError):
    """Files of the archive can't be read, so profiles made from the others would lack events: mend the
    files from a copy, or rebuild without them."""

    def __init__(self, unreadable: Sequence[Unreadable]) -> None:
        self.unreadable = tuple(unreadable)
        files = "; ".join(f"{each.path}: {each.reason}" for each in unreadable)
        super().__init__(f"events are missing, and these profiles stay as they are: {files}")
