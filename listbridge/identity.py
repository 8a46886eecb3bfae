"""Who is who: the one function that makes a person's key."""

from __future__ import annotations

from listbridge.aggregation.functions import email
from listbridge.remembering import remembers_short_texts


def person_key(address: object) -> str | None:
    """The key of the person with this address: the address in lower case, or None when it is unreadable."""
    return _key(address) if isinstance(address, str) else None


@remembers_short_texts(65_536)
def _key(address: str) -> str | None:
    return email(address)
