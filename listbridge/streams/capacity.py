"""What an append says when the streams hold as many events as they may."""

from __future__ import annotations

from typing import cast

from listbridge.errors import Retriable
from listbridge.store import keys
from listbridge.store.store import Store


class StreamFullError(Retriable):
    """The streams hold as many events as they may; they take more once what waits is folded and archived."""


def full(store: Store, held: int) -> StreamFullError:
    """The error of an append to a partition that holds `held` events, with the reason where it is known."""
    error = cast(bytes | None, store.client.hget(keys.ARCHIVE, "error"))
    if error:
        reason = f"the archive can't be written: {error.decode(errors='replace')}"
    else:
        reason = "the fold or the archive is behind; are their workers running?"
    share = -(-store.stream_limit_events // store.partitions)
    return StreamFullError(
        f"a partition holds {held:,} events that wait for the fold or the archive, and its share of "
        f"LISTBRIDGE_STREAM_LIMIT_EVENTS is {share:,}: {reason}"
    )
